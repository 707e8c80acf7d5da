//! The tables of detection in the lake's catalog, and transactions that write to them.

use super::error::StoreError;
use sqlx::{Any, AnyPool, Transaction};
use trailhound_datasets::catalog_schema::{Migration, TableSet, VERSION_QUERY};

/// Findings, rule cursors, the outbox, positions of file sinks, report runs.
pub const TABLES: TableSet = TableSet {
    component: "findings",
    version: 9,
    create: include_str!("schema.sql"),
    migrations: &[Migration {
        to: 9,
        // In the order in which 0.1.0 locks them: each of its transactions ends before the next table is waited for.
        locks: &[
            "trailhound_report",
            "trailhound_outbox",
            "trailhound_sink",
            "trailhound_finding",
            "trailhound_rule_cursor",
        ],
        statements: include_str!("migrations/findings_9.sql"),
    }],
};

/// Begins a transaction that writes to [`TABLES`]. The tables have the version of this process until it ends. On SQLite it is
/// the only writer from its start, so that nothing it reads changes before it writes.
///
/// # Errors
/// [`StoreError::VersionMismatch`] where another version has migrated the lake; nothing may be written then.
pub(crate) async fn begin(catalog: &AnyPool) -> Result<Transaction<'static, Any>, StoreError> {
    let mut transaction = match catalog.connect_options().database_url.scheme() {
        "sqlite" => catalog.begin_with("BEGIN IMMEDIATE").await?,
        _ => catalog.begin().await?,
    };
    let found = sqlx::query_scalar(VERSION_QUERY)
        .bind(TABLES.component)
        .fetch_optional(&mut *transaction)
        .await?;
    TABLES.check(found)?;
    Ok(transaction)
}
