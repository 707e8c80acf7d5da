//! What detection stores in the lake's catalog: findings with their revisions, the outbox of the sinks, report runs.

mod bulk_sql;
mod error;
pub(crate) mod findings;
mod notice;
pub(crate) mod open_findings;
pub mod outbox;
pub mod report_runs;
pub mod routes;
mod transaction;
mod verification;

pub use error::StoreError;
pub use notice::Notice;
pub use transaction::TABLES;
pub use verification::store_problems;
