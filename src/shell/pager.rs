//! Long answers by pages: the user's pager, else `less`, where there is one.

use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

/// Lines that fit on a terminal of unknown height.
const LINES: usize = 24;
/// Characters that fit on a line of unknown width.
const COLUMNS: usize = 80;

/// Writes `text` to the terminal, through the pager where it is longer than the screen.
pub(super) fn show(text: &[u8]) -> io::Result<()> {
    let (height, width) = rustix::termios::tcgetwinsize(io::stdout())
        .map_or((LINES, COLUMNS), |size| (usize::from(size.ws_row), usize::from(size.ws_col)));
    let text_of = String::from_utf8_lossy(text);
    let fits = text_of.lines().count() + 2 <= height
        && text_of.lines().all(|line| line.chars().count() <= width);
    if io::stdout().is_terminal() && !fits && paged(text).is_ok() {
        return Ok(());
    }
    io::stdout().lock().write_all(text)
}

/// The pager may be left before it has read everything.
fn paged(text: &[u8]) -> io::Result<()> {
    let chosen = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty());
    let mut words = chosen.as_deref().unwrap_or("less -S").split_whitespace();
    let program = words.next().unwrap_or("less");
    let mut child = Command::new(program).args(words).stdin(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(text);
    }
    child.wait().map(|_| ())
}
