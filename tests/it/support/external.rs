//! Programs that tests run against: found by environment variables, started by the tests and ended with them.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The path of the external program that `variable` names; `None`, with a notice that names the test, where it is not set.
pub(crate) fn external_part(variable: &str) -> Option<String> {
    let place = std::env::var(variable).ok();
    if place.is_none() {
        skip_notice(&format!("{variable} is not set (scripts/install-test-parts tells it)"));
    }
    place
}

/// Prints that the test of this thread did not run, and why.
pub(crate) fn skip_notice(why: &str) {
    let thread = std::thread::current();
    let line = format!("notice: {} did not run: {why}\n", thread.name().unwrap_or("a test"));
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
}

/// Runs its arguments and kills them when its standard input closes: at the end of this process, however that ends.
const WATCHDOG: &str =
    r#"exec 3<&0; "$@" </dev/null >/dev/null 2>&1 & part=$!; cat <&3 >/dev/null; kill -9 $part"#;

/// Starts an external program that lives no longer than this process.
pub(crate) fn spawn_bound<S: AsRef<std::ffi::OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = S>,
) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", WATCHDOG, "sh", program]).args(args).stdin(Stdio::piped());
    command.spawn().expect("a shell")
}

/// Removes its argument when its standard input closes. Retries, because a server that is being killed may still write.
const REMOVE: &str = r#"cat >/dev/null; for i in 1 2 3 4 5 6 7 8 9; do rm -rf "$1" 2>/dev/null && exit; sleep 1; done"#;

/// A new folder that exists until this process ends.
pub(crate) fn bound_folder(name: &str) -> PathBuf {
    static ROOT: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (root, _) = ROOT.get_or_init(|| {
        let root = tempfile::Builder::new()
            .prefix("trailhound-tests-")
            .tempdir()
            .expect("a temporary folder")
            .keep();
        // PostgreSQL runs as another user, in a folder below.
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).expect("ours");
        let mut command = Command::new("sh");
        command.args(["-c", REMOVE, "sh"]).arg(&root).stdin(Stdio::piped());
        (root, command.spawn().expect("a shell"))
    });
    let folder = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(root);
    folder.expect("a temporary folder").keep()
}
