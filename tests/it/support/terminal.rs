//! The query shell in a tmux terminal.

use crate::support::external::skip_notice;
use crate::support::program::Program;
use crate::support::waiting::wait_for;
use std::process::Command;

/// `trailhound query` in a tmux server of its own.
pub(crate) struct Terminal {
    pub(crate) socket: String,
}

impl Terminal {
    /// Starts it; `None`, with a notice, where tmux is not installed.
    pub(crate) fn start(program: &Program) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            skip_notice("tmux is not installed");
            return None;
        }
        let terminal = Self { socket: program.path("tmux").display().to_string() };
        let shell = format!(
            "cd {} && HOME={} PAGER='less -S' {} query --lake l",
            program.path("").display(),
            program.path("").display(),
            crate::support::program::binary().display()
        );
        terminal.tmux(&["new-session", "-d", "-x", "120", "-y", "30", "sh", "-c", &shell]);
        terminal.shows("trailhound>");
        Some(terminal)
    }

    pub(crate) fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-S", &self.socket, "-f", "/dev/null"])
            .args(args)
            .output()
            .expect("tmux runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", "0"], keys].concat());
    }

    pub(crate) fn typed(&self, text: &str) {
        // tmux would take a semicolon at the end as its own separator.
        let text =
            text.strip_suffix(';').map_or_else(|| text.to_owned(), |text| format!("{text}\\;"));
        self.tmux(&["send-keys", "-t", "0", "-l", &text]);
    }

    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "0"])
    }

    /// Waits until the screen shows `text`.
    pub(crate) fn shows(&self, text: &str) -> String {
        wait_for(
            || Some(self.screen()).filter(|screen| screen.contains(text)),
            || format!("`{text}` does not appear:\n{}", self.screen()),
        )
    }

    pub(crate) fn clear(&self) {
        self.keys(&["C-l"]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).status();
    }
}
