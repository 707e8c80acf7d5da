//! Backups: one snapshot of a lake in a folder, while the lake is written. A backup folder holds
//!
//! ```text
//! backup.json                     what the backup consists of: written last, replaced as a whole
//! catalog-<id>.sqlite             the catalog, as SQLite also where the lake has it in PostgreSQL
//! configuration-<id>/             the configuration and the rules
//! files/main/...                  the data files, which never change: the next backup adds those that are new
//! ```
//!
//! A backup that is killed leaves the one before it whole. Every file is compared with the checksum of its commit after it
//! was copied.

use super::catalog::Lake;
use super::checks::RecordedFile;
use super::error::CatalogError;
use super::location;
use crate::supervisor::run_blocking;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use trailhound_datasets::checksum::FileDigest;
use trailhound_datasets::layout::{CATALOG_FILE, CatalogLocation, FILES_FOLDER};

/// Name of the list of what a backup consists of.
const MANIFEST_FILE: &str = "backup.json";
/// Name of the file that one backup at a time locks.
const LOCK_FILE: &str = "backup.lock";
/// How often a backup begins anew where the lake has removed a file meanwhile.
const ATTEMPTS: u32 = 3;
/// Version of the manifest.
const FORMAT: u32 = 1;

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct BackupFile {
    /// Path below the backup's folder, with `/`.
    path: String,
    bytes: u64,
    xxh3: Option<String>,
}

/// What a backup consists of.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Manifest {
    format: u32,
    /// The uuid of the lake's schema.
    lake: String,
    snapshot: i64,
    snapshot_time: String,
    catalog: BackupFile,
    files: Vec<BackupFile>,
    configuration: Vec<BackupFile>,
}

/// Result of a backup or a restore.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BackupSummary {
    /// The lake's snapshot.
    pub snapshot: i64,
    /// When it was made, UTC.
    pub snapshot_time: String,
    /// Data files of the backup.
    pub files: u64,
    /// Data files that this run has copied or linked; the others were there.
    pub files_new: u64,
    /// Bytes of the data files of the backup.
    pub bytes: u64,
    /// Where the configuration of the backup is; empty where it has none.
    pub configuration: Vec<PathBuf>,
}

/// How data files come into a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupMode {
    /// As copies.
    Copy,
    /// As hard links where the file system allows them: they take no space, and share damage with the lake.
    HardLink,
}

impl Lake {
    /// Backs the newest snapshot up into the folder `target`, with the files and folders of `configuration`: the name that each
    /// gets, and where it is. Data files of earlier backups in the folder are kept where they are part of this one.
    ///
    /// # Errors
    /// [`CatalogError`]; the earlier backup in the folder is still whole then.
    pub async fn back_up(
        &self,
        target: &Path,
        configuration: &[(String, PathBuf)],
        mode: BackupMode,
    ) -> Result<BackupSummary, CatalogError> {
        std::fs::create_dir_all(target).map_err(|source| at(target, source))?;
        let _lock = lock(target)?;
        for _ in 1..ATTEMPTS {
            match self.back_up_once(target, configuration, mode).await {
                // Its rows were merged into another file, and an hour has passed: the newest snapshot has that one.
                Err(CatalogError::File { source, .. })
                    if source.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
        }
        self.back_up_once(target, configuration, mode).await
    }

    async fn back_up_once(
        &self,
        target: &Path,
        configuration: &[(String, PathBuf)],
        mode: BackupMode,
    ) -> Result<BackupSummary, CatalogError> {
        let before = read_manifest(target)?;
        let id = uuid::Uuid::now_v7().to_string();
        let catalog_path = target.join(format!("catalog-{id}.sqlite"));
        self.copy_catalog_to(&catalog_path).await?;
        let copied = Self::of_copy(self.folder(), &catalog_path, self.table_sets())?;
        let head = copied.catalog_head().await?;
        if let Some(before) = &before
            && (before.lake != head.lake || before.snapshot > head.snapshot)
        {
            return Err(refused(
                target,
                format!(
                    "the folder holds a backup of {} of snapshot {}; give another folder",
                    if before.lake == head.lake { "this lake" } else { "another lake" },
                    before.snapshot
                ),
            ));
        }
        // A rule may still have to run over files that only earlier snapshots see.
        let (live, kept) = (copied.recorded_files().await?, copied.ended_files().await?);
        copied.close().await;
        let catalog = backup_file(target, &catalog_path)?;
        let (lake, folder) = (self.folder().to_owned(), target.to_owned());
        let configuration = configuration.to_vec();
        let manifest = Manifest {
            format: FORMAT,
            lake: head.lake,
            snapshot: head.snapshot,
            snapshot_time: head.snapshot_time,
            catalog,
            files: Vec::new(),
            configuration: Vec::new(),
        };
        in_background(move || {
            let folder = folder.as_path();
            finish(folder, &lake, manifest, (live, kept), (&configuration, &id), mode)
        })
        .await
    }

    /// Closes the connections to the catalog.
    async fn close(&self) {
        self.writer_pool.close().await;
        self.pool.close().await;
    }

    /// Makes `target` the catalog as it is now, in one read transaction.
    async fn copy_catalog_to(&self, target: &Path) -> Result<(), CatalogError> {
        match self.location() {
            CatalogLocation::Sqlite(_) => {
                sqlx::query("VACUUM INTO $1")
                    .bind(target.display().to_string())
                    .execute(&self.pool)
                    .await?;
            }
            CatalogLocation::Postgresql(_) => self.copy_to_sqlite(target).await?,
        }
        sync(target)
    }
}

/// Copies files and configuration, and replaces the manifest. Blocks.
fn finish(
    target: &Path,
    lake: &Path,
    mut manifest: Manifest,
    (live, ended): (Vec<RecordedFile>, Vec<RecordedFile>),
    (configuration, id): (&[(String, PathBuf)], &str),
    mode: BackupMode,
) -> Result<BackupSummary, CatalogError> {
    let mut summary = BackupSummary {
        snapshot: manifest.snapshot,
        snapshot_time: manifest.snapshot_time.clone(),
        ..BackupSummary::default()
    };
    for (file, is_live) in
        live.iter().map(|file| (file, true)).chain(ended.iter().map(|file| (file, false)))
    {
        if !is_live && !file.path.exists() {
            // The lake removes what no snapshot sees any more.
            continue;
        }
        let place = file.path.strip_prefix(lake).unwrap_or(&file.path);
        let copy = RecordedFile { path: target.join(place), ..file.clone() };
        // What an earlier backup has copied may be damaged since.
        let is_there = copy.path.exists() && copy.find_damage()?.is_none();
        if !is_there {
            take(file, &copy, mode)?;
            summary.files_new += 1;
        }
        summary.files += 1;
        summary.bytes += file.bytes;
        let (bytes, xxh3) = (file.bytes, file.checksum.clone());
        manifest.files.push(BackupFile { path: slashed(place), bytes, xxh3 });
    }
    let place = target.join(format!("configuration-{id}"));
    for (name, from) in configuration {
        copy_configuration(from, &place.join(name), target, &mut manifest.configuration)?;
        summary.configuration.push(place.join(name));
    }
    write_whole(
        &target.join(MANIFEST_FILE),
        &serde_json::to_vec_pretty(&manifest).map_err(|e| at(target, e.into()))?,
    )?;
    remove_old(target, &manifest)?;
    Ok(summary)
}

/// Makes `copy` of `file` and compares it with the checksum of the commit.
fn take(file: &RecordedFile, copy: &RecordedFile, mode: BackupMode) -> Result<(), CatalogError> {
    if let Some(folder) = copy.path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| at(folder, source))?;
    }
    let unfinished = copy.path.with_extension("parquet.tmp");
    remove_if_there(&unfinished)?;
    let linked =
        mode == BackupMode::HardLink && std::fs::hard_link(&file.path, &unfinished).is_ok();
    if !linked {
        std::fs::copy(&file.path, &unfinished).map_err(|source| at(&file.path, source))?;
        sync(&unfinished)?;
    }
    let made = RecordedFile { path: unfinished.clone(), ..copy.clone() };
    if let Some(mut damage) = made.find_damage()? {
        remove_if_there(&unfinished)?;
        damage.path.clone_from(&file.path);
        return Err(CatalogError::Damaged(damage));
    }
    std::fs::rename(&unfinished, &copy.path).map_err(|source| at(&copy.path, source))
}

/// Copies a file or a folder and adds what was copied to `files`.
fn copy_configuration(
    from: &Path,
    to: &Path,
    backup: &Path,
    files: &mut Vec<BackupFile>,
) -> Result<(), CatalogError> {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.map_err(|e| {
            at(from, e.into_io_error().unwrap_or_else(|| io::ErrorKind::Other.into()))
        })?;
        // Pipes and sockets have no content to keep.
        if !entry.file_type().is_file() {
            continue;
        }
        let place = entry.path().strip_prefix(from).unwrap_or(entry.path());
        let target = if place.as_os_str().is_empty() { to.to_owned() } else { to.join(place) };
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(|source| at(folder, source))?;
        }
        std::fs::copy(entry.path(), &target).map_err(|source| at(entry.path(), source))?;
        sync(&target)?;
        files.push(backup_file(backup, &target)?);
    }
    Ok(())
}

/// Removes what belongs to earlier backups alone.
fn remove_old(target: &Path, manifest: &Manifest) -> Result<(), CatalogError> {
    let parts = manifest.files.iter().chain(&manifest.configuration).chain([&manifest.catalog]);
    let kept: BTreeSet<PathBuf> = parts.map(|file| target.join(&file.path)).collect();
    for entry in walkdir::WalkDir::new(target).min_depth(1).into_iter().filter_map(Result::ok) {
        let place = entry.path().strip_prefix(target).unwrap_or(entry.path());
        let first = place.components().next().map(|part| part.as_os_str().to_string_lossy());
        let is_of_backup = first.is_some_and(|name| {
            name == FILES_FOLDER
                || name.starts_with("configuration-")
                || (name.starts_with("catalog-") && name.contains(".sqlite"))
        });
        if is_of_backup && entry.file_type().is_file() && !kept.contains(entry.path()) {
            remove_if_there(entry.path())?;
        }
    }
    Ok(())
}

/// Makes the lake in the folder `target`, which must hold none, from the backup in `backup`. Every file is compared with its
/// checksum. A restore that was killed is continued by the next.
///
/// # Errors
/// [`CatalogError::Backup`] where the folder is no whole backup, or `target` holds a lake; any other [`CatalogError`].
pub async fn restore(
    backup: &Path,
    target: &Path,
    tables: &[trailhound_datasets::catalog_schema::TableSet],
    now: i64,
) -> Result<BackupSummary, CatalogError> {
    let manifest = read_manifest(backup)?.ok_or_else(|| {
        refused(backup, format!("it holds no backup: there is no `{MANIFEST_FILE}`"))
    })?;
    if location::find_catalog(target)?.is_some() {
        return Err(refused(target, "the folder holds a lake; give a fresh one".to_owned()));
    }
    let (from, to) = (backup.to_owned(), target.to_owned());
    let summary = in_background(move || restore_files(&from, &to, &manifest)).await?;
    let lake = Lake::open(target, tables, now).await?;
    lake.record_head().await;
    lake.close().await;
    Ok(summary)
}

/// Copies the files, and the catalog last: before, the folder is no lake. Blocks.
fn restore_files(
    backup: &Path,
    target: &Path,
    manifest: &Manifest,
) -> Result<BackupSummary, CatalogError> {
    std::fs::create_dir_all(target.join(FILES_FOLDER)).map_err(|source| at(target, source))?;
    let mut summary = BackupSummary {
        snapshot: manifest.snapshot,
        snapshot_time: manifest.snapshot_time.clone(),
        ..BackupSummary::default()
    };
    for file in &manifest.files {
        let place = checked_place(backup, &file.path)?;
        summary.files += 1;
        summary.bytes += file.bytes;
        let recorded = |folder: &Path| RecordedFile {
            path: folder.join(&place),
            bytes: file.bytes,
            checksum: file.xxh3.clone(),
        };
        let copy = recorded(target);
        if copy.path.exists() && copy.find_damage()?.is_none() {
            continue;
        }
        take(&recorded(backup), &copy, BackupMode::Copy)?;
        summary.files_new += 1;
    }
    for file in &manifest.configuration {
        let place = checked_place(backup, &file.path)?;
        summary.configuration.push(backup.join(place));
    }
    let catalog = backup.join(checked_place(backup, &manifest.catalog.path)?);
    let unfinished = target.join("catalog.restoring");
    std::fs::copy(&catalog, &unfinished).map_err(|source| at(&catalog, source))?;
    sync(&unfinished)?;
    let copied = RecordedFile {
        path: unfinished.clone(),
        bytes: manifest.catalog.bytes,
        checksum: manifest.catalog.xxh3.clone(),
    };
    if let Some(mut damage) = copied.find_damage()? {
        remove_if_there(&unfinished)?;
        damage.path = catalog;
        return Err(CatalogError::Damaged(damage));
    }
    let placed = target.join(CATALOG_FILE);
    std::fs::rename(&unfinished, &placed).map_err(|source| at(&placed, source))?;
    Ok(summary)
}

/// A path of a manifest, which must stay below the backup's folder.
fn checked_place(backup: &Path, path: &str) -> Result<PathBuf, CatalogError> {
    let place = PathBuf::from(path);
    if place.components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(place);
    }
    Err(refused(
        backup,
        format!("`{MANIFEST_FILE}` names the path `{path}`, which is outside of it"),
    ))
}

fn read_manifest(backup: &Path) -> Result<Option<Manifest>, CatalogError> {
    let path = backup.join(MANIFEST_FILE);
    let content = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        content => content.map_err(|source| at(&path, source))?,
    };
    let manifest: Manifest = serde_json::from_slice(&content)
        .map_err(|e| refused(backup, format!("`{MANIFEST_FILE}` cannot be read: {e}")))?;
    if manifest.format != FORMAT {
        let format = manifest.format;
        return Err(refused(
            backup,
            format!("its format is {format}, and this version knows {FORMAT}"),
        ));
    }
    Ok(Some(manifest))
}

/// The lock of the backup folder, released when it is dropped.
fn lock(target: &Path) -> Result<File, CatalogError> {
    let path = target.join(LOCK_FILE);
    let file = File::create(&path).map_err(|source| at(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(refused(target, "another backup into this folder runs; wait for it".to_owned()))
        }
        Err(TryLockError::Error(source)) => Err(at(&path, source)),
    }
}

fn backup_file(backup: &Path, path: &Path) -> Result<BackupFile, CatalogError> {
    let digest = File::open(path).and_then(FileDigest::of).map_err(|source| at(path, source))?;
    let place = path.strip_prefix(backup).unwrap_or(path);
    Ok(BackupFile { path: slashed(place), bytes: digest.bytes, xxh3: Some(digest.xxh3) })
}

/// Replaces the file `path` as a whole.
fn write_whole(path: &Path, content: &[u8]) -> Result<(), CatalogError> {
    let aside = path.with_extension("tmp");
    let write = || {
        let mut file = File::create(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(|source| at(path, source))
}

fn slashed(place: &Path) -> String {
    let parts: Vec<_> = place.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

fn sync(path: &Path) -> Result<(), CatalogError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|source| at(path, source))
}

fn remove_if_there(path: &Path) -> Result<(), CatalogError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|source| at(path, source)),
    }
}

fn at(path: &Path, source: io::Error) -> CatalogError {
    CatalogError::File { path: path.to_owned(), source }
}

fn refused(folder: &Path, reason: String) -> CatalogError {
    CatalogError::Backup { folder: folder.to_owned(), reason }
}

/// Runs `work` where it may block.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CatalogError> + Send + 'static,
) -> Result<T, CatalogError> {
    run_blocking(work)
        .await
        .map_err(|e| CatalogError::Conflict { what: format!("a backup broke off: {e}") })?
}
