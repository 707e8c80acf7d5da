//! Shows text that is longer than the screen in a pager.

use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

/// Height of a terminal that does not report its own, in lines.
const DEFAULT_HEIGHT: usize = 24;
/// Width of a terminal that does not report its own, in characters.
const DEFAULT_WIDTH: usize = 80;
/// The pager if the user has chosen none.
const DEFAULT_PAGER: &str = "less -S";

/// Writes `text` to standard output. On a terminal, text that does not fit on the screen goes
/// through `pager`, a command with arguments; if that cannot be started, it is written as it is.
///
/// # Errors
/// Standard output cannot be written to.
pub(super) fn show(text: &[u8], pager: Option<&str>) -> io::Result<()> {
    let (height, width) = rustix::termios::tcgetwinsize(io::stdout())
        .map_or((DEFAULT_HEIGHT, DEFAULT_WIDTH), |size| {
            (usize::from(size.ws_row), usize::from(size.ws_col))
        });
    let lines = String::from_utf8_lossy(text);
    let fits = lines.lines().count() + 2 <= height
        && lines.lines().all(|line| line.chars().count() <= width);
    if io::stdout().is_terminal() && !fits && run_pager(text, pager).is_ok() {
        return Ok(());
    }
    io::stdout().lock().write_all(text)
}

fn run_pager(text: &[u8], pager: Option<&str>) -> io::Result<()> {
    let chosen = pager.filter(|pager| !pager.trim().is_empty());
    let mut words = chosen.unwrap_or(DEFAULT_PAGER).split_whitespace();
    let program = words.next().unwrap_or("less");
    let mut child = Command::new(program).args(words).stdin(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // The user may quit the pager before it has read all of the text. That closes the pipe and
        // is no error.
        let _ = input.write_all(text);
    }
    child.wait().map(|_| ())
}
