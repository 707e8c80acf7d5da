//! The head record: a file beside the data that says which snapshot was committed last. With it a catalog that is older than
//! the data, or that belongs to another lake, is recognised before anything is written.

use super::catalog::Lake;
use super::error::CatalogError;
use super::instant::parse_time_text;
use super::location::HEAD_FILE;
use super::private;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// What the record holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The uuid of the lake's schema, which is made with the lake.
    pub(super) lake: String,
    /// The newest snapshot.
    pub(super) snapshot: i64,
    /// When it was made, as the catalog writes it.
    pub(super) snapshot_time: String,
}

/// How the catalog and the head record relate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeadState {
    /// The catalog holds what the record says.
    Agrees,
    /// There is no record: the lake was last written by a version before 0.2.0, or the record was removed.
    Missing,
    /// The catalog is not the one that was last written: what the record says, and what the catalog says.
    Differs(String),
}

impl Lake {
    /// Records the newest snapshot beside the data. Called after each commit. The commit stands, whatever becomes of this: an
    /// error is told in the log, and the next commit records again.
    pub(super) async fn record_head(&self) {
        if let Err(error) = self.try_record_head().await {
            tracing::warn!(%error, file = %self.head_path().display(), "the newest snapshot was not recorded beside the data");
        }
    }

    async fn try_record_head(&self) -> Result<(), CatalogError> {
        let head = self.catalog_head().await?;
        let path = self.head_path();
        let aside = path.with_extension(format!("{}.tmp", std::process::id()));
        let write = || {
            let mut file = private::open_or_create(&aside)?;
            file.set_len(0)?;
            file.write_all(&serde_json::to_vec(&head)?)?;
            file.sync_all()?;
            std::fs::rename(&aside, &path)
        };
        write().map_err(|source| CatalogError::File { path: path.clone(), source })
    }

    /// Whether the catalog is the one that was last written.
    pub(super) async fn head_state(&self) -> Result<HeadState, CatalogError> {
        let path = self.head_path();
        let failed = |source| CatalogError::File { path: path.clone(), source };
        let content = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(HeadState::Missing),
            content => content.map_err(failed)?,
        };
        let Ok(head) = serde_json::from_slice::<Head>(&content) else {
            tracing::warn!(file = %path.display(), "the record of the newest snapshot is unreadable; the next commit writes it again");
            return Ok(HeadState::Missing);
        };
        let catalog = self.catalog_head().await?;
        if head.lake != catalog.lake {
            return Ok(HeadState::Differs("the catalog is that of another lake".to_owned()));
        }
        if head.snapshot > catalog.snapshot {
            return Ok(HeadState::Differs(format!(
                "the last commit was snapshot {} of {}, and the catalog ends with snapshot {} of {}",
                head.snapshot, head.snapshot_time, catalog.snapshot, catalog.snapshot_time
            )));
        }
        let held: Option<String> = sqlx::query_scalar(
            "SELECT CAST(snapshot_time AS TEXT) FROM ducklake_snapshot WHERE snapshot_id = $1",
        )
        .bind(head.snapshot)
        .fetch_optional(&self.pool)
        .await?;
        let recorded = parse_time_text(&head.snapshot_time);
        Ok(match held {
            Some(held) if parse_time_text(&held) != recorded => HeadState::Differs(format!(
                "snapshot {} was committed at {}, and the catalog's is of {held}",
                head.snapshot, head.snapshot_time
            )),
            _ => HeadState::Agrees,
        })
    }

    /// What the catalog itself says.
    pub(super) async fn catalog_head(&self) -> Result<Head, CatalogError> {
        let (snapshot, snapshot_time): (i64, String) = sqlx::query_as(
            "SELECT snapshot_id, CAST(snapshot_time AS TEXT) FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1",
        )
        .fetch_one(&self.pool)
        .await?;
        let lake: String = sqlx::query_scalar(
            "SELECT CAST(schema_uuid AS TEXT) FROM ducklake_schema WHERE schema_name = 'main' ORDER BY begin_snapshot LIMIT 1",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Head { lake, snapshot, snapshot_time })
    }

    fn head_path(&self) -> PathBuf {
        self.folder().join(HEAD_FILE)
    }
}
