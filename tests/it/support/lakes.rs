//! A lake of generated events without findings.

use crate::support::program::Program;
use crate::support::template::{copy_of, generate};

/// A lake `l` of 3000 events in ten days, and the events in `g`.
pub(crate) fn lake_of_3000() -> Program {
    copy_of("lake of 3000", |program| {
        generate(program, &["--events", "3000", "--seed", "51", "--days", "10"]);
        program.run_ok(&["ingest", "g/events", "--lake", "l"]);
    })
}
