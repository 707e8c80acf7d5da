//! Lakes that many tests query.

use crate::support::program::Program;

pub(crate) fn lake_of_3000() -> Program {
    let program = Program::new();
    program.run_ok(&["generate", "--events", "3000", "--seed", "51", "--days", "10", "--out", "g"]);
    program.run_ok(&["ingest", "g/events", "--lake", "l"]);
    program
}
