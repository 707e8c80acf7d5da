//! The interactive shell of `trailhound query` in a terminal.

use crate::support::lakes::lake_of_3000;
use crate::support::program::Program;
use crate::support::terminal::Terminal;
use crate::support::waiting::wait_for;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn the_shell_completes_pages_cancels_and_points_at_errors() {
    let program = lake_of_3000();
    let Some(terminal) = Terminal::start(&program) else { return };
    completes(&terminal);
    points_and_cancels(&terminal);
    shows_as_told(&terminal);
    pages(&terminal);
    leaves_a_history(&program, &terminal);
}

/// Tests the completion of a table and of a column of that table, and a statement of two lines.
fn completes(terminal: &Terminal) {
    terminal.typed("SELECT outcome, count(*) FROM sign");
    terminal.keys(&["Tab"]);
    terminal.shows("FROM signins");
    // A statement ends with its semicolon.
    terminal.keys(&["Enter"]);
    terminal.typed("GROUP BY outc");
    terminal.keys(&["Tab"]);
    terminal.typed(";");
    terminal.keys(&["Enter"]);
    terminal.shows("(2 rows)");
}

/// How long the shell may take to answer before the test types again.
const TYPED_AGAIN_AFTER: Duration = Duration::from_secs(15);

/// Points at the place of an error, and cancels endless statements.
fn points_and_cancels(terminal: &Terminal) {
    terminal.clear();
    terminal.typed("SELECT usr_name FROM events;");
    terminal.keys(&["Enter"]);
    let pointed = terminal.shows("user_name");
    assert!(pointed.contains("1 | SELECT usr_name FROM events"), "{pointed}");
    terminal.clear();
    // The shell works after each cancellation, also of a join that never yields.
    let join = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b, generate_series(1, 1000000) c;";
    for (number, endless) in
        ["SELECT count(*) FROM generate_series(1, 1000000000000000);", join, join]
            .into_iter()
            .enumerate()
    {
        terminal.clear();
        terminal.typed(endless);
        terminal.keys(&["Enter"]);
        wait_for(
            || {
                // Before the statement runs, Ctrl-C only gives a new line.
                terminal.keys(&["C-c"]);
                terminal.screen().contains("cancelled").then_some(())
            },
            || format!("nothing is cancelled:\n{}", terminal.screen()),
        );
        // What is typed before the shell reads the next line is lost.
        wait_for(
            || terminal.screen().trim_end().ends_with("trailhound>").then_some(()),
            || format!("no prompt:\n{}", terminal.screen()),
        );
        let mut typed: Option<Instant> = None;
        wait_for(
            || {
                // What the screen showed may be of the statement before: then this one still runs. And a Ctrl-C that comes late
                // takes what is typed with it.
                if typed.is_none_or(|at| at.elapsed() > TYPED_AGAIN_AFTER) {
                    if typed.is_some() {
                        terminal.keys(&["C-c"]);
                    }
                    terminal.typed(&format!("SELECT 'here ' || '{number}' AS still;"));
                    terminal.keys(&["Enter"]);
                    typed = Some(Instant::now());
                }
                terminal.screen().contains(&format!("here {number}")).then_some(())
            },
            || format!("the shell does not answer:\n{}", terminal.screen()),
        );
    }
}

/// Shows times, and one line per column.
fn shows_as_told(terminal: &Terminal) {
    terminal.clear();
    terminal.typed("\\timing");
    terminal.keys(&["Enter"]);
    terminal.shows("timing is on");
    terminal.typed("\\x");
    terminal.keys(&["Enter"]);
    terminal.shows("one line per column");
    terminal.typed("SELECT 1 AS one;");
    terminal.keys(&["Enter"]);
    terminal.shows("one | 1");
    terminal.shows("(1 rows) in ");
    terminal.typed("\\x");
    terminal.keys(&["Enter"]);
    terminal.shows("one line per row");
}

/// Pages results that are longer or wider than the screen.
fn pages(terminal: &Terminal) {
    terminal.clear();
    // Results longer than the screen open in the pager; `q` leaves it.
    terminal.typed("SELECT event_name, count(*) FROM events GROUP BY ALL ORDER BY 1;");
    terminal.keys(&["Enter"]);
    let paged = terminal.shows("event_name");
    assert!(!paged.contains("rows)"), "{paged}");
    terminal.keys(&["q"]);
    terminal.shows("rows)");
    terminal.clear();
    terminal.typed("\\d+ coverage");
    terminal.keys(&["Enter"]);
    terminal.shows("hours_with_events");
    terminal.keys(&["q"]);
    terminal.shows("trailhound>");
    terminal.clear();
    terminal.typed("\\investigate who_stopped instance=i-bp1none");
    terminal.keys(&["Enter"]);
    // It is wider than the screen.
    terminal.shows("not visible");
    terminal.keys(&["q"]);
    terminal.shows("(1 rows)");
}

/// Queries an earlier snapshot, ends, and leaves a history.
fn leaves_a_history(program: &Program, terminal: &Terminal) {
    terminal.typed("\\asof 0");
    terminal.keys(&["Enter"]);
    terminal.shows("snapshot 0");
    terminal.typed("SELECT 'now ' || count(*) AS n FROM events;");
    terminal.keys(&["Enter"]);
    terminal.shows("now 0");
    terminal.typed("\\q");
    terminal.keys(&["Enter"]);
    // The history holds the statements.
    let is_open = || {
        let listed = Command::new("tmux").args(["-S", &terminal.socket, "list-sessions"]).output();
        listed.is_ok_and(|output| output.status.success())
    };
    wait_for(|| (!is_open()).then_some(()), || "the shell does not end".to_owned());
    let history = walkdir::WalkDir::new(program.path(""))
        .into_iter()
        .flatten()
        .find(|entry| entry.file_name() == "query_history");
    let history = std::fs::read_to_string(history.expect("a history").path()).expect("readable");
    assert!(history.contains("usr_name"), "{history}");
}
