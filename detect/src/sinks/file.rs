//! The file sink: writes JSON lines to a file, each revision of a finding exactly once, also if the
//! service crashes between writing a line and recording the outcome.
//!
//! The outbox records the file's length with the outcomes. When the file is opened again, lines
//! beyond the recorded length are known to be written already, and are skipped when the outbox
//! sends them again.
//!
//! Example: the recorded length is 500 bytes. The service writes lines C and D, to byte 900, and
//! crashes. After the restart the sink reads the lines behind byte 500, remembers the hashes of C
//! and D, and skips both when they are due. A line that the crash left incomplete is removed first.

use crate::sinks::sink::{PayloadFormat, Sink, same_outcome};
use crate::store::outbox::{DeliveryOutcome, OutboxMessage};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// The most lines of one delivery.
const BATCH_MAX: usize = 10_000;

/// The file and its length, as recorded in the catalog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct FilePosition {
    inode: u64,
    bytes: u64,
}

/// A sink that appends to a file of JSON lines.
pub struct FileSink {
    path: PathBuf,
    format: PayloadFormat,
    /// Maximum size of the file, in bytes, before it is rotated.
    rotate_bytes: u64,
    /// The position as last recorded or returned.
    recorded: FilePosition,
    open_file: Option<OpenFile>,
}

struct OpenFile {
    file: File,
    position: FilePosition,
    /// Hashes of lines beyond the recorded length: they are written, but their outcome was not
    /// recorded.
    unrecorded_lines: HashSet<u128>,
    /// The outbox has sent everything that was due when the file was opened.
    drained: bool,
}

impl FileSink {
    /// Makes a sink that appends to `path`. Before the file grows beyond `rotate_bytes`, it is
    /// renamed and a new one begins.
    #[must_use]
    pub fn new(path: PathBuf, format: PayloadFormat, rotate_bytes: u64) -> Self {
        Self { path, format, rotate_bytes, recorded: FilePosition::default(), open_file: None }
    }

    /// Appends the `lines` that the file does not contain yet. Returns the location of each line. A
    /// rotated file gets `now` in its name.
    fn write(&mut self, lines: &[String], now: DateTime<Utc>) -> io::Result<Vec<String>> {
        let mut file = match self.open_file.take() {
            Some(file) if file.is_still_at(&self.path) => file,
            _ => OpenFile::open(&self.path, self.recorded)?,
        };
        let new_bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        let full = file.position.bytes > 0
            && file.position.bytes.saturating_add(new_bytes as u64) > self.rotate_bytes;
        // The hashes must outlive the rotation until the outbox has sent all their lines again.
        let can_rotate = file.unrecorded_lines.is_empty() || file.drained;
        if full && can_rotate && file.position == self.recorded {
            rotate(&self.path, now)?;
            file = OpenFile {
                unrecorded_lines: file.unrecorded_lines,
                drained: true,
                ..OpenFile::open(&self.path, FilePosition::default())?
            };
        }
        let mut places = Vec::with_capacity(lines.len());
        let mut bytes = Vec::new();
        let start = file.position.bytes;
        for line in lines {
            if file.unrecorded_lines.remove(&xxh3_128(line.as_bytes())) {
                places.push(format!("{}: was there already", self.path.display()));
                continue;
            }
            places.push(format!("{}: byte {}", self.path.display(), start + bytes.len() as u64));
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        file.file.write_all(&bytes)?;
        file.file.sync_data()?;
        file.position.bytes = start + bytes.len() as u64;
        // A batch that is not full was everything that was due. Hashes that remain then are of
        // lines that other programs wrote.
        file.drained |= lines.len() < BATCH_MAX;
        self.recorded = file.position;
        self.open_file = Some(file);
        Ok(places)
    }
}

impl OpenFile {
    /// Opens or creates the file. `recorded` is its last recorded position; lines behind it are
    /// read to [`Self::unrecorded_lines`].
    fn open(path: &Path, recorded: FilePosition) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        // A link is not followed, and opening a pipe does not block.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .custom_flags(flags)
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no plain file"));
        }
        // Another file, or a truncated one, has no recorded part.
        let recorded_bytes = if metadata.ino() == recorded.inode && metadata.len() >= recorded.bytes
        {
            recorded.bytes
        } else {
            0
        };
        file.seek(SeekFrom::Start(recorded_bytes))?;
        let (unrecorded_lines, line_bytes) = line_hashes(&mut file)?;
        let bytes = recorded_bytes + line_bytes;
        if bytes < metadata.len() {
            // Removes a line that a full disk or a crash has left incomplete.
            file.set_len(bytes)?;
        }
        Ok(Self {
            file,
            position: FilePosition { inode: metadata.ino(), bytes },
            unrecorded_lines,
            drained: false,
        })
    }

    /// True if `path` still names this file and no other program has changed its length.
    fn is_still_at(&self, path: &Path) -> bool {
        let is_same = |metadata: std::fs::Metadata| {
            metadata.ino() == self.position.inode && metadata.len() == self.position.bytes
        };
        std::fs::symlink_metadata(path).is_ok_and(is_same)
    }
}

/// Reads the complete lines to the end of `file`; returns their hashes and their length in bytes.
fn line_hashes(file: &mut File) -> io::Result<(HashSet<u128>, u64)> {
    let (mut hashes, mut bytes) = (HashSet::new(), 0);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let Some(text) = line.strip_suffix(b"\n") else { break };
        hashes.insert(xxh3_128(text));
        bytes += line.len() as u64;
        line.clear();
    }
    Ok((hashes, bytes))
}

/// Renames the file to a name with the time `now`, such as `findings-20261001T000000000000.jsonl`.
/// It never replaces another file.
fn rotate(path: &Path, now: DateTime<Utc>) -> io::Result<()> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path
        .extension()
        .map(|extension| format!(".{}", extension.to_string_lossy()))
        .unwrap_or_default();
    let time = now.format("%Y%m%dT%H%M%S%6f");
    // A clock that stands still or goes back gives a time twice; a number then tells the files
    // apart.
    for number in 0_u32.. {
        let suffix = if number == 0 { String::new() } else { format!("-{number}") };
        let rotated = path.with_file_name(format!("{stem}-{time}{suffix}{extension}"));
        // Unlike a rename, a hard link fails where a file of that name exists.
        match std::fs::hard_link(path, &rotated) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    std::fs::remove_file(path)?;
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Writes the line of `message`. In the native format it begins with the revision, so that two
/// revisions of a finding never have equal lines.
fn line(format: PayloadFormat, message: &OutboxMessage) -> String {
    let text = format.encode(message);
    match (format, text.strip_prefix('{')) {
        (PayloadFormat::Native, Some(members)) => {
            format!("{{\"revision\":{},{members}", message.revision)
        }
        _ => text,
    }
}

#[async_trait]
impl Sink for FileSink {
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn deliver(
        &mut self,
        messages: &[OutboxMessage],
        now: DateTime<Utc>,
    ) -> Vec<DeliveryOutcome> {
        let lines: Vec<String> =
            messages.iter().map(|message| line(self.format, message)).collect();
        match tokio::task::block_in_place(|| self.write(&lines, now)) {
            Ok(places) => places.into_iter().map(DeliveryOutcome::Delivered).collect(),
            // Lines that were written before the failure are found when the file is opened again.
            Err(error) => {
                let reason = format!("`{}`: {error}", self.path.display());
                same_outcome(
                    messages,
                    &DeliveryOutcome::Retry { reason, after: None, unsure: false },
                )
            }
        }
    }

    fn resume(&mut self, position: Option<&str>) {
        self.open_file = None;
        self.recorded =
            position.and_then(|position| serde_json::from_str(position).ok()).unwrap_or_default();
        // Removes an incomplete line at once. If the file cannot be opened, the next delivery fails
        // with the reason.
        self.open_file =
            if self.path.exists() { OpenFile::open(&self.path, self.recorded).ok() } else { None };
    }

    fn position(&mut self) -> Option<String> {
        serde_json::to_string(&self.recorded).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::health::sample_finding;
    use std::fs;

    /// Fixed time. Rotated files must get different names although the time is the same.
    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn sample_messages(count: usize) -> Vec<OutboxMessage> {
        let message = |number: usize| {
            let finding = sample_finding(
                1_700_000_000_000_000 + i64::try_from(number).expect("small") * 1_000_000,
            );
            let body = serde_json::to_string(&finding).expect("JSON");
            OutboxMessage { finding, revision: 1, attempts: 0, body }
        };
        (0..count).map(message).collect()
    }

    fn all_delivered(deliveries: &[DeliveryOutcome]) -> bool {
        deliveries.iter().all(|delivery| matches!(delivery, DeliveryOutcome::Delivered(_)))
    }

    fn lines(folder: &Path) -> Vec<String> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("a file").path())
            .collect();
        files.sort();
        files
            .iter()
            .flat_map(|file| {
                fs::read_to_string(file)
                    .expect("text")
                    .lines()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_line_that_was_written_but_not_recorded_is_not_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("findings.jsonl");
        let all = sample_messages(10);
        let mut sink = FileSink::new(path.clone(), PayloadFormat::Native, 1 << 30);
        assert!(all_delivered(&sink.deliver(&all[..4], NOW).await));
        let recorded = sink.position().expect("a position");
        // Written, not recorded, and incomplete in the middle of the last line.
        assert!(all_delivered(&sink.deliver(&all[4..8], NOW).await));
        let length = fs::metadata(&path).expect("there").len();
        OpenOptions::new().write(true).open(&path).expect("open").set_len(length - 5).expect("cut");
        let mut again = FileSink::new(path.clone(), PayloadFormat::Native, 1 << 30);
        again.resume(Some(&recorded));
        assert!(all_delivered(&again.deliver(&all[6..10], NOW).await));
        assert!(all_delivered(&again.deliver(&all[4..6], NOW).await));
        let written = lines(folder.path());
        assert_eq!(written.len(), 10);
        assert_eq!(
            written.iter().collect::<HashSet<_>>(),
            all.iter()
                .map(|message| line(PayloadFormat::Native, message))
                .collect::<Vec<_>>()
                .iter()
                .collect()
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_file_is_rotated_and_a_missing_one_is_created_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("findings.jsonl");
        let all = sample_messages(9);
        let mut sink = FileSink::new(path.clone(), PayloadFormat::Native, 2000);
        for message in &all {
            assert!(all_delivered(&sink.deliver(std::slice::from_ref(message), NOW).await));
        }
        assert!(fs::read_dir(folder.path()).expect("a folder").count() > 2);
        assert!(fs::metadata(&path).expect("there").len() <= 2000);
        assert_eq!(lines(folder.path()).into_iter().collect::<HashSet<_>>().len(), 9);
        // Somebody takes it away, or puts another in its place.
        fs::remove_file(&path).expect("removed");
        assert!(all_delivered(&sink.deliver(&all[..1], NOW).await));
        fs::write(&path, "of somebody else\n").expect("written");
        assert!(all_delivered(&sink.deliver(&all[1..2], NOW).await));
        assert_eq!(
            fs::read_to_string(&path).expect("text"),
            format!("of somebody else\n{}\n", line(PayloadFormat::Native, &all[1]))
        );
        for message in &all[2..6] {
            assert!(all_delivered(&sink.deliver(std::slice::from_ref(message), NOW).await));
        }
        assert!(
            fs::metadata(&path).expect("there").len() <= 2000,
            "what somebody else wrote keeps nothing from being put aside"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_link_is_followed_and_no_pipe_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("target");
        fs::write(&target, "").expect("written");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&target, &link).expect("a link");
        let pipe = folder.path().join("pipe");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .expect("mkfifo runs")
                .success()
        );
        for path in [link, pipe, folder.path().to_owned(), PathBuf::from("/dev/full")] {
            let deliveries = FileSink::new(path.clone(), PayloadFormat::Native, 1 << 30)
                .deliver(&sample_messages(1), NOW)
                .await;
            assert!(
                matches!(&deliveries[0], DeliveryOutcome::Retry { unsure: false, .. }),
                "{}: {deliveries:?}",
                path.display()
            );
        }
        assert_eq!(fs::read(&target).expect("there"), b"");
    }
}
