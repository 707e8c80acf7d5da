//! The catalog of a lake, read in this process: a test that waits for a row starts no program.

use super::program::Program;
use serde_json::{Value, json};
use std::path::PathBuf;
use trailhound_detect::store::outbox;
use trailhound_detect::store::report_runs;
use trailhound_ingest::lake::Lake;

/// The catalog of the lake in a folder, wherever that catalog is stored.
pub(crate) struct Catalog(PathBuf);

impl Program {
    /// The catalog of the lake in the folder `lake`.
    pub(crate) fn catalog(&self, lake: &str) -> Catalog {
        Catalog(self.path(lake))
    }
}

impl Catalog {
    fn read<T>(&self, question: impl AsyncFnOnce(&Lake) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let lake = Lake::open(&self.0, &[trailhound_detect::store::TABLES], 0)
                .await
                .unwrap_or_else(|e| panic!("{e}"));
            let answer = question(&lake).await;
            lake.catalog().close().await;
            answer
        })
    }

    /// Columns and indexes of all tables, in order: what a migration must leave as a new lake has it.
    pub(crate) fn schema(&self) -> Vec<String> {
        let (columns, indexes) = match self.read(async |lake| lake.is_shared()) {
            false => (
                "SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk || ' ' || coalesce(c.dflt_value, '') \
                 FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid",
                "SELECT m.tbl_name || ' ' || m.name || ' ' || c.name FROM sqlite_master m JOIN pragma_index_info(m.name) c \
                 WHERE m.type = 'index' ORDER BY m.name, c.seqno",
            ),
            true => (
                "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default, collation_name) \
                 FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
                // The indexes of primary keys keep the names they had.
                "SELECT regexp_replace(indexdef, 'INDEX \\S+', '') FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
            ),
        };
        [columns, indexes]
            .into_iter()
            .flat_map(|sql| {
                let rows = self.read(async |lake| {
                    sqlx::query_scalar::<_, String>(sql).fetch_all(lake.catalog()).await
                });
                rows.expect("a readable catalog")
            })
            .collect()
    }

    /// What `lake info --json` prints.
    pub(crate) fn info(&self) -> Value {
        let info = self.read(async |lake| lake.info().await).expect("a readable catalog");
        serde_json::to_value(info).expect("JSON")
    }

    /// The number of records with a fate: `received`, `stored`, `duplicate`, `quarantined`, `expired`.
    pub(crate) fn ledger(&self, field: &str) -> u64 {
        self.info()["ledger"][field].as_u64().unwrap_or_else(|| panic!("no count `{field}`"))
    }

    /// Problems and unreferenced files that `lake verify` reports.
    pub(crate) fn verify(&self) -> (Vec<String>, u64) {
        let found = self.read(async |lake| lake.verify().await).expect("a readable lake");
        (found.problems.iter().map(ToString::to_string).collect(), found.unreferenced_files)
    }

    /// Outbox rows of `sink` in `state`, of all where none is given, as `outbox list --format json` prints them.
    pub(crate) fn outbox(&self, sink: Option<&str>, state: Option<&str>) -> Vec<Value> {
        let rows = self
            .read(async |lake| outbox::list(lake.catalog(), sink, state, usize::MAX).await)
            .expect("a readable catalog");
        let row = |row: outbox::OutboxRow| {
            json!({
                "sink": row.sink, "finding_id": row.finding_id, "revision": row.revision, "severity": row.severity,
                "state": row.state, "attempts": row.attempts, "unsure": row.unsure, "note": row.note,
            })
        };
        rows.into_iter().map(row).collect()
    }

    /// Runs of scheduled reports: name, time and state, in order.
    pub(crate) fn report_runs(&self) -> Vec<(String, String, String)> {
        let runs = self
            .read(async |lake| report_runs::list(lake.catalog()).await)
            .expect("a readable catalog");
        let time = |micros| {
            let time = chrono::DateTime::from_timestamp_micros(micros).expect("a time");
            time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        };
        let mut runs: Vec<_> =
            runs.into_iter().map(|run| (run.report, time(run.due_at), run.state)).collect();
        runs.sort();
        runs
    }

    /// The number of queries in the query log with another result than `answered`.
    pub(crate) fn refused_queries(&self) -> i64 {
        self.read(async |lake| {
            sqlx::query_scalar::<_, i64>(
                "SELECT count(*) FROM trailhound_query_log WHERE result <> 'answered'",
            )
            .fetch_one(lake.catalog())
            .await
        })
        .expect("a readable catalog")
    }

    /// The number of queries in the query log with that result.
    pub(crate) fn logged_queries(&self, result: &str) -> i64 {
        self.read(async |lake| {
            sqlx::query_scalar::<_, i64>(
                "SELECT count(*) FROM trailhound_query_log WHERE result = $1",
            )
            .bind(result)
            .fetch_one(lake.catalog())
            .await
        })
        .expect("a readable catalog")
    }

    /// Runs a statement that changes the catalog. Returns the number of rows that it changed.
    pub(crate) fn change(&self, sql: &'static str) -> u64 {
        let changed = self.read(async |lake| sqlx::query(sql).execute(lake.catalog()).await);
        changed.expect("a writable catalog").rows_affected()
    }

    /// Ids of the rules with an open finding.
    pub(crate) fn rules_with_findings(&self) -> std::collections::BTreeSet<String> {
        let rules = self.read(async |lake| {
            sqlx::query_scalar::<_, String>(
                "SELECT DISTINCT rule_id FROM trailhound_latest_finding WHERE status = 'open'",
            )
            .fetch_all(lake.catalog())
            .await
        });
        rules.expect("a readable catalog").into_iter().collect()
    }

    /// Id, revision and status of every finding, except those about the health of the service.
    pub(crate) fn finding_revisions(&self) -> Vec<(String, i64, String)> {
        let rows = self.read(async |lake| {
            sqlx::query_as::<_, (String, i64, String)>(
                "SELECT finding_id, revision, status FROM trailhound_latest_finding WHERE rule_id NOT LIKE 'AT-HEALTH-%' ORDER BY finding_id",
            )
            .fetch_all(lake.catalog())
            .await
        });
        rows.expect("a readable catalog")
    }
}
