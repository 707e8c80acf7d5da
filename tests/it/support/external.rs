//! Programs that tests run against: found by environment variables, started by the tests and ended with them.

use std::io::Write;
use std::process::{Child, Command, Stdio};

/// Where a part stands; `None`, with a notice that names the test, where `variable` does not say.
pub(crate) fn external_part(variable: &str) -> Option<String> {
    let place = std::env::var(variable).ok();
    if place.is_none() {
        skip_notice(&format!("{variable} is not set (scripts/install-test-parts tells it)"));
    }
    place
}

/// Says that the test of this thread did not run, and why.
pub(crate) fn skip_notice(why: &str) {
    let thread = std::thread::current();
    let line = format!("notice: {} did not run: {why}\n", thread.name().unwrap_or("a test"));
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
}

/// Runs its arguments and ends them when its standard input closes: with this process, however that ends.
const WATCHDOG: &str =
    r#"exec 3<&0; "$@" </dev/null >/dev/null 2>&1 & part=$!; cat <&3 >/dev/null; kill -9 $part"#;

/// Starts a part that lives no longer than the tests.
pub(crate) fn spawn_bound<S: AsRef<std::ffi::OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = S>,
) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", WATCHDOG, "sh", program]).args(args).stdin(Stdio::piped());
    command.spawn().expect("a shell")
}
