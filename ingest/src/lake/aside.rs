//! Files of the lake's folder that no commit refers to are moved into `aside/DAY`, where DAY is the day of the move, and
//! removed only after [`KEPT_DAYS`].

use super::catalog::Lake;
use super::error::CatalogError;
use super::instant::parse_time_text;
use serde::Serialize;
use std::path::{Path, PathBuf};
use trailhound_datasets::layout::{self, DAY_MICROS};

/// Name of the folder.
const ASIDE_FOLDER: &str = "aside";

/// Days that a file stays aside before it is removed.
pub const KEPT_DAYS: i32 = 7;

/// The files that were moved aside on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AsideInfo {
    /// The day, UTC.
    pub day: String,
    /// Their number.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// From this day on they are removed, UTC.
    pub removed_on: String,
}

impl Lake {
    /// Moves `path`, a file below the lake's folder, into the folder aside of the day of `now` (microseconds UTC). Below it
    /// the file has the path that it had below the lake's folder.
    ///
    /// # Errors
    /// [`CatalogError::File`].
    pub(super) fn move_aside(&self, path: &Path, now: i64) -> Result<(), CatalogError> {
        let failed = |source| CatalogError::File { path: path.to_owned(), source };
        let place = path.strip_prefix(self.folder()).unwrap_or(path);
        let day = self.aside_folder().join(layout::day_text(layout::day_of(now)));
        let target = day.join(place);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        if let Err(error) = std::fs::rename(path, &target) {
            // The folder of the data may be on another disk.
            if error.kind() != std::io::ErrorKind::CrossesDevices {
                return Err(failed(error));
            }
            std::fs::copy(path, &target).map_err(failed)?;
            std::fs::remove_file(path).map_err(failed)?;
        }
        tracing::warn!(file = %path.display(), to = %target.display(), "a file that no commit refers to was moved aside");
        Ok(())
    }

    /// What stands aside, by day. `None` of it is part of the lake.
    ///
    /// # Errors
    /// [`CatalogError::File`].
    pub fn aside(&self) -> Result<Vec<AsideInfo>, CatalogError> {
        let mut days = Vec::new();
        for (day, folder) in self.aside_days()? {
            let (mut files, mut bytes) = (0, 0);
            for entry in walkdir::WalkDir::new(&folder) {
                let metadata = entry.and_then(|entry| entry.metadata());
                let metadata = metadata.map_err(|e| CatalogError::File {
                    path: e.path().unwrap_or(&folder).to_owned(),
                    source: e.into_io_error().unwrap_or_else(|| std::io::ErrorKind::Other.into()),
                })?;
                if metadata.is_file() {
                    (files, bytes) = (files + 1, bytes + metadata.len());
                }
            }
            let (removed_on, day) =
                (layout::day_text(day.saturating_add(KEPT_DAYS)), layout::day_text(day));
            days.push(AsideInfo { day, files, bytes, removed_on });
        }
        Ok(days)
    }

    /// Removes the folders aside that are older than [`KEPT_DAYS`], by `now` (microseconds UTC), a time that
    /// is confirmed, and by the newest commit: a wrong clock alone removes nothing. Returns the days removed.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn remove_expired_aside(&self, now: i64) -> Result<Vec<AsideInfo>, CatalogError> {
        let present = self.newest_commit_time().await?.unwrap_or(i64::MIN).min(now);
        let mut removed = self.aside()?;
        removed.retain(|day| parse_day(&day.removed_on).is_some_and(|day| day <= present));
        for AsideInfo { day, files, bytes, .. } in &removed {
            let folder = self.aside_folder().join(day);
            std::fs::remove_dir_all(&folder)
                .map_err(|source| CatalogError::File { path: folder.clone(), source })?;
            tracing::warn!(folder = %folder.display(), files, bytes, kept_days = KEPT_DAYS, "files that no commit refers to were removed");
        }
        Ok(removed)
    }

    /// When the newest snapshot was committed, microseconds since 1970 UTC; `None` where the catalog's text is no time.
    pub(super) async fn newest_commit_time(&self) -> Result<Option<i64>, CatalogError> {
        Ok(parse_time_text(&self.catalog_head().await?.snapshot_time))
    }

    fn aside_folder(&self) -> PathBuf {
        self.folder().join(ASIDE_FOLDER)
    }

    /// The days with files aside, in days since 1970, and their folders, oldest first. Folders with other names are no
    /// folders of this program.
    fn aside_days(&self) -> Result<Vec<(i32, PathBuf)>, CatalogError> {
        let folder = self.aside_folder();
        let failed = |source| CatalogError::File { path: folder.clone(), source };
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut days = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if let Some(micros) = entry.file_name().to_str().and_then(parse_day) {
                days.push((layout::day_of(micros), entry.path()));
            }
        }
        days.sort();
        Ok(days)
    }
}

/// The first instant of a day such as `2026-01-31`, microseconds since 1970 UTC.
fn parse_day(text: &str) -> Option<i64> {
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let days = day.signed_duration_since(chrono::NaiveDate::default()).num_days();
    days.checked_mul(DAY_MICROS)
}
