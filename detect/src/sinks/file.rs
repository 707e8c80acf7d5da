//! A file of JSON lines, each finding exactly once, also where the service dies between writing and noting it: what stands in the file beyond
//! the noted length has been written and is not written again.

use super::{Form, Sink, all};
use crate::store::outbox::{Delivery, OutboxMessage};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// Lines written at a time.
const MOST: usize = 10_000;

/// How far the file is written, as noted in the catalogue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    inode: u64,
    bytes: u64,
}

/// The sink.
pub struct FileSink {
    path: PathBuf,
    form: Form,
    rotate_bytes: u64,
    noted: Position,
    open: Option<Open>,
}

struct Open {
    file: File,
    position: Position,
    /// Lines beyond the noted length.
    written: HashSet<u128>,
    /// All that was due has come since it was opened.
    drained: bool,
}

impl FileSink {
    /// A sink that writes to `path` and puts it aside when it would grow beyond `rotate_bytes`.
    #[must_use]
    pub fn new(path: PathBuf, form: Form, rotate_bytes: u64) -> Self {
        Self { path, form, rotate_bytes, noted: Position::default(), open: None }
    }

    /// Writes those of `lines` that the file lacks; gives where each stands.
    fn write(&mut self, lines: &[String]) -> io::Result<Vec<String>> {
        let mut open = match self.open.take() {
            Some(open) if open.is_still(&self.path) => open,
            _ => Open::at(&self.path, self.noted)?,
        };
        let coming: usize = lines.iter().map(|line| line.len() + 1).sum();
        let full = open.position.bytes > 0
            && open.position.bytes.saturating_add(coming as u64) > self.rotate_bytes;
        if full && (open.written.is_empty() || open.drained) && open.position == self.noted {
            set_aside(&self.path)?;
            open = Open {
                written: open.written,
                drained: true,
                ..Open::at(&self.path, Position::default())?
            };
        }
        let mut places = Vec::with_capacity(lines.len());
        let mut bytes = Vec::new();
        let start = open.position.bytes;
        for line in lines {
            if open.written.remove(&xxh3_128(line.as_bytes())) {
                places.push(format!("{}: was there already", self.path.display()));
                continue;
            }
            places.push(format!("{}: byte {}", self.path.display(), start + bytes.len() as u64));
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        open.file.write_all(&bytes)?;
        open.file.sync_data()?;
        open.position.bytes = start + bytes.len() as u64;
        // Everything that may have been written before it was opened has come by then; other lines there are somebody else's.
        open.drained |= lines.len() < MOST;
        self.noted = open.position;
        self.open = Some(open);
        Ok(places)
    }
}

impl Open {
    /// Opens the file, whose first bytes are noted as far as `noted` says.
    fn at(path: &Path, noted: Position) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        // Neither does a link lead elsewhere nor does a pipe keep us waiting.
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
        let known = if metadata.ino() == noted.inode && metadata.len() >= noted.bytes {
            noted.bytes
        } else {
            0
        };
        file.seek(SeekFrom::Start(known))?;
        let (written, whole) = lines_of(&mut file)?;
        let bytes = known + whole;
        if bytes < metadata.len() {
            // A line that was torn by a full disk or a sudden end.
            file.set_len(bytes)?;
        }
        Ok(Self {
            file,
            position: Position { inode: metadata.ino(), bytes },
            written,
            drained: false,
        })
    }

    /// Whether `path` still names this file, and nobody has cut it.
    fn is_still(&self, path: &Path) -> bool {
        let same = |there: std::fs::Metadata| {
            there.ino() == self.position.inode && there.len() == self.position.bytes
        };
        std::fs::symlink_metadata(path).is_ok_and(same)
    }
}

/// Hashes of the whole lines that follow in `file`, and their bytes.
fn lines_of(file: &mut File) -> io::Result<(HashSet<u128>, u64)> {
    let (mut lines, mut whole) = (HashSet::new(), 0);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let Some(text) = line.strip_suffix(b"\n") else { break };
        lines.insert(xxh3_128(text));
        whole += line.len() as u64;
        line.clear();
    }
    Ok((lines, whole))
}

/// Gives the file a name with the time, never that of another.
fn set_aside(path: &Path) -> io::Result<()> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path
        .extension()
        .map(|extension| format!(".{}", extension.to_string_lossy()))
        .unwrap_or_default();
    let time = chrono::Utc::now().format("%Y%m%dT%H%M%S%6f");
    let aside = path.with_file_name(format!("{stem}-{time}{extension}"));
    // Unlike a rename it replaces nothing.
    std::fs::hard_link(path, &aside)?;
    std::fs::remove_file(path)?;
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The line of `parcel`, with the revision that tells it from others of the same finding.
fn line(form: Form, parcel: &OutboxMessage) -> String {
    let text = form.text(parcel);
    match (form, text.strip_prefix('{')) {
        (Form::Native, Some(members)) => format!("{{\"revision\":{},{members}", parcel.revision),
        _ => text,
    }
}

#[async_trait]
impl Sink for FileSink {
    fn most(&self) -> usize {
        MOST
    }

    async fn deliver(&mut self, parcels: &[OutboxMessage]) -> Vec<Delivery> {
        let lines: Vec<String> = parcels.iter().map(|parcel| line(self.form, parcel)).collect();
        match tokio::task::block_in_place(|| self.write(&lines)) {
            Ok(places) => places.into_iter().map(Delivery::Delivered).collect(),
            // What was written before it failed is found when it is opened again.
            Err(error) => {
                let reason = format!("`{}`: {error}", self.path.display());
                all(parcels, &Delivery::Retry { reason, after: None, unsure: false })
            }
        }
    }

    fn resume(&mut self, position: Option<&str>) {
        self.open = None;
        self.noted =
            position.and_then(|position| serde_json::from_str(position).ok()).unwrap_or_default();
        // Mends at once what was torn; where that does not go, the next delivery says why.
        self.open = if self.path.exists() { Open::at(&self.path, self.noted).ok() } else { None };
    }

    fn position(&mut self) -> Option<String> {
        serde_json::to_string(&self.noted).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::health::sample;
    use std::fs;

    fn parcels(count: usize) -> Vec<OutboxMessage> {
        let parcel = |number: usize| {
            let finding =
                sample(1_700_000_000_000_000 + i64::try_from(number).expect("small") * 1_000_000);
            let body = serde_json::to_string(&finding).expect("JSON");
            OutboxMessage { finding, revision: 1, attempts: 0, body }
        };
        (0..count).map(parcel).collect()
    }

    fn all_delivered(deliveries: &[Delivery]) -> bool {
        deliveries.iter().all(|delivery| matches!(delivery, Delivery::Delivered(_)))
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
    async fn a_line_that_was_written_but_not_noted_is_not_written_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("findings.jsonl");
        let all = parcels(10);
        let mut sink = FileSink::new(path.clone(), Form::Native, 1 << 30);
        assert!(all_delivered(&sink.deliver(&all[..4]).await));
        let noted = sink.position().expect("a position");
        // Written, never noted, and torn in the middle of the last line.
        assert!(all_delivered(&sink.deliver(&all[4..8]).await));
        let length = fs::metadata(&path).expect("there").len();
        OpenOptions::new().write(true).open(&path).expect("open").set_len(length - 5).expect("cut");
        let mut again = FileSink::new(path.clone(), Form::Native, 1 << 30);
        again.resume(Some(&noted));
        assert!(all_delivered(&again.deliver(&all[6..10]).await));
        assert!(all_delivered(&again.deliver(&all[4..6]).await));
        let written = lines(folder.path());
        assert_eq!(written.len(), 10);
        assert_eq!(
            written.iter().collect::<HashSet<_>>(),
            all.iter()
                .map(|parcel| line(Form::Native, parcel))
                .collect::<Vec<_>>()
                .iter()
                .collect()
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_file_is_put_aside_and_one_that_is_gone_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("findings.jsonl");
        let all = parcels(9);
        let mut sink = FileSink::new(path.clone(), Form::Native, 2000);
        for parcel in &all {
            assert!(all_delivered(&sink.deliver(std::slice::from_ref(parcel)).await));
        }
        assert!(fs::read_dir(folder.path()).expect("a folder").count() > 2);
        assert!(fs::metadata(&path).expect("there").len() <= 2000);
        assert_eq!(lines(folder.path()).into_iter().collect::<HashSet<_>>().len(), 9);
        // Somebody takes it away, or puts another in its place.
        fs::remove_file(&path).expect("removed");
        assert!(all_delivered(&sink.deliver(&all[..1]).await));
        fs::write(&path, "of somebody else\n").expect("written");
        assert!(all_delivered(&sink.deliver(&all[1..2]).await));
        assert_eq!(
            fs::read_to_string(&path).expect("text"),
            format!("of somebody else\n{}\n", line(Form::Native, &all[1]))
        );
        for parcel in &all[2..6] {
            assert!(all_delivered(&sink.deliver(std::slice::from_ref(parcel)).await));
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
            let deliveries =
                FileSink::new(path.clone(), Form::Native, 1 << 30).deliver(&parcels(1)).await;
            assert!(
                matches!(&deliveries[0], Delivery::Retry { unsure: false, .. }),
                "{}: {deliveries:?}",
                path.display()
            );
        }
        assert_eq!(fs::read(&target).expect("there"), b"");
    }
}
