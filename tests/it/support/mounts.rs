//! File systems that are full or read-only, and a hosts file of one process.

use crate::support::external::skip_notice;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A small temporary file system.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a file system on `folder`. Returns `None`, with a notice, if mounting is not allowed.
    pub(crate) fn mount(folder: &Path, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir(folder).expect("a folder");
        let size = format!("size={mebibytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder.to_owned()));
        }
        skip_notice("no right to mount a small disk");
        None
    }

    /// Fills the file system until about `left` bytes are free.
    pub(crate) fn fill(&self, left: usize) {
        let mut file = std::fs::File::create(self.filler()).expect("a file");
        while file.write_all(&[1; 4096]).is_ok() {}
        let filled = file.metadata().expect("a file").len();
        file.set_len(filled.saturating_sub(left as u64)).expect("shorter");
    }

    /// Frees that space.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.filler()).expect("removed");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A folder that is read-only until this is dropped.
pub(crate) struct ReadOnlyMount(PathBuf);

impl ReadOnlyMount {
    /// Makes `folder` read-only for everybody; `None`, with a notice, where that is not allowed.
    pub(crate) fn mount(folder: &Path) -> Option<Self> {
        let mount = |args: &[&str]| {
            Command::new("mount")
                .args(args)
                .arg(folder)
                .status()
                .is_ok_and(|status| status.success())
        };
        let place = folder.display().to_string();
        if !mount(&["--bind", &place]) {
            skip_notice("no right to mount a folder");
            return None;
        }
        let mounted = Self(folder.to_owned());
        assert!(mount(&["-o", "remount,ro,bind"]), "the folder stays writable");
        Some(mounted)
    }
}

impl Drop for ReadOnlyMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Runs its arguments from the third on, with the first as `/etc/hosts` and the second as `/etc/resolv.conf`.
const MOUNT_HOSTS: &str =
    r#"mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@""#;

/// `command` in a mount namespace in which host names resolve by the file `hosts` alone, also after it changes; `None`, with a
/// notice, where that is not allowed.
pub(crate) fn with_hosts_file(hosts: &Path, command: &Command) -> Option<Command> {
    let mounts = Command::new("unshare")
        .args(["--mount", "mount", "--bind"])
        .arg(hosts)
        .arg("/etc/hosts")
        .status();
    if !mounts.is_ok_and(|status| status.success()) {
        skip_notice("no right to have other names than the system's");
        return None;
    }
    let nobody = hosts.with_extension("resolv");
    std::fs::write(&nobody, "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n")
        .expect("a file");
    let mut wrapped = Command::new("unshare");
    wrapped
        .env_clear()
        .args(["--mount", "sh", "-c", MOUNT_HOSTS, "sh"])
        .arg(hosts)
        .arg(nobody)
        .arg(command.get_program())
        .args(command.get_args());
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped.current_dir(command.get_current_dir().expect("a folder")).stdin(Stdio::null());
    Some(wrapped)
}
