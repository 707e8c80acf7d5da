//! The file source: files, folders, glob patterns and standard input.

use super::object_name::ObjectName;
use crate::lock::lock;
use globset::GlobBuilder;
use md5::{Digest, Md5};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;
use thiserror::Error;
use trailhound_datasets::layout::CATALOG_FILE;

/// Name of this source, as stored in positions and rows.
pub const SOURCE: &str = "files";
/// Object name of standard input.
pub const STDIN: &str = "<stdin>";

/// Why a path leads to no input.
#[derive(Debug, Error)]
pub enum FilesError {
    /// No such file, and no file that matches the path as a pattern.
    #[error("`{path}` does not exist, and no file matches it as a pattern")]
    Missing {
        /// The path or pattern.
        path: String,
    },
    /// The path is not a valid pattern.
    #[error("`{pattern}` is no valid pattern")]
    Pattern {
        /// The path or pattern.
        pattern: String,
        /// What is wrong with it.
        source: globset::Error,
    },
}

/// An input to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// The inputs that paths lead to.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Inputs in reading order, without duplicates.
    pub inputs: Vec<Input>,
    /// Paths below the given ones that cannot be read, with the reason.
    pub unreadable: Vec<(String, String)>,
}

/// Finds the inputs that `paths` lead to. `-` is standard input. A folder stands for all files below it, except names that
/// start with a dot, and lakes. A path that does not exist is used as a glob pattern with `*`, `?`, `[...]`, `{...}` and
/// `**`.
///
/// # Errors
/// [`FilesError`] for the first path that leads to no input.
pub fn find(paths: &[String]) -> Result<Inputs, FilesError> {
    let mut found = Inputs::default();
    let mut seen = std::collections::HashSet::new();
    for path in paths {
        if path == "-" {
            if seen.insert(PathBuf::from(STDIN)) {
                found.inputs.push(Input::Stdin);
            }
            continue;
        }
        let mut files = Vec::new();
        if Path::new(path).is_dir() {
            walk(Path::new(path), &mut files, &mut found.unreadable);
        } else if Path::new(path).exists() {
            files.push(PathBuf::from(path));
        } else {
            files = matching(path, &mut found.unreadable)?;
        }
        for file in files {
            // A file with two names is read once.
            let identity = file.canonicalize().unwrap_or_else(|_| file.clone());
            if seen.insert(identity.clone()) {
                found.inputs.push(Input::File(identity));
            }
        }
    }
    // A trail's folders are ordered by region, then by day. Sorted by the time in their names, objects of one day are read
    // together, so few partitions are open at a time and their files become large.
    found.inputs.sort_by_cached_key(|input| match input {
        Input::File(path) => ObjectName::parse(&path.to_string_lossy()).map(|name| name.time),
        Input::Stdin => None,
    });
    Ok(found)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>, unreadable: &mut Vec<(String, String)>) {
    let entries = walkdir::WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| {
            let hidden = entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.');
            !hidden && !entry.path().join(CATALOG_FILE).is_file()
        });
    for entry in entries {
        match entry {
            Ok(entry) if entry.file_type().is_file() => files.push(entry.into_path()),
            Ok(_) => {}
            Err(e) => unreadable.push((
                e.path().map_or_else(String::new, |p| p.display().to_string()),
                e.to_string(),
            )),
        }
    }
}

fn matching(
    pattern: &str,
    unreadable: &mut Vec<(String, String)>,
) -> Result<Vec<PathBuf>, FilesError> {
    let special = pattern
        .find(['*', '?', '[', '{'])
        .ok_or_else(|| FilesError::Missing { path: pattern.to_owned() })?;
    let root = match pattern[..special].rfind('/') {
        Some(0) => "/",
        Some(end) => &pattern[..end],
        None => ".",
    };
    let bad = |source| FilesError::Pattern { pattern: pattern.to_owned(), source };
    let glob =
        GlobBuilder::new(pattern).literal_separator(true).build().map_err(bad)?.compile_matcher();
    let mut files = Vec::new();
    walk(Path::new(root), &mut files, unreadable);
    files.retain(|file| glob.is_match(file.strip_prefix("./").unwrap_or(file)));
    if files.is_empty() {
        return Err(FilesError::Missing { path: pattern.to_owned() });
    }
    Ok(files)
}

/// An object opened for reading.
pub(crate) struct OpenedObject {
    /// Name of the object, as stored in positions and rows.
    pub(crate) object: String,
    /// Version of the content: size and modification time. Empty where the input has no position, as for standard input.
    pub(crate) content_version: String,
    pub(crate) name: Option<ObjectName>,
    pub(crate) bytes: Option<u64>,
    pub(crate) reader: Box<dyn Read + Send>,
    /// MD5 of the bytes read so far, where the name contains one to compare with.
    pub(crate) md5: Option<Arc<Mutex<Md5>>>,
}

/// Opens `input` for reading.
pub(crate) fn open(input: &Input) -> io::Result<OpenedObject> {
    let path = match input {
        Input::Stdin => {
            return Ok(OpenedObject {
                object: STDIN.to_owned(),
                content_version: String::new(),
                name: None,
                bytes: None,
                reader: Box::new(io::stdin()),
                md5: None,
            });
        }
        Input::File(path) => path,
    };
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let object = path.display().to_string();
    let name = ObjectName::parse(&object);
    let md5 = name.as_ref().map(|_| Arc::new(Mutex::new(Md5::new())));
    let reader: Box<dyn Read + Send> = match &md5 {
        Some(md5) => Box::new(HashingReader { file, md5: Arc::clone(md5) }),
        None => Box::new(file),
    };
    let bytes = metadata.is_file().then_some(metadata.len());
    Ok(OpenedObject {
        object,
        content_version: content_version(&metadata),
        name,
        bytes,
        reader,
        md5,
    })
}

/// Size and modification time of a file, which change with its content like an entity tag. Empty for a pipe, which has
/// neither.
fn content_version(metadata: &Metadata) -> String {
    if !metadata.is_file() {
        return String::new();
    }
    // Without modification time, a rewritten file could not be told from the old one. Such a file has no position and is
    // read every time.
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    changed.map_or_else(String::new, |time| format!("{}:{}", metadata.len(), time.as_nanos()))
}

/// Computes the MD5 of the bytes read.
struct HashingReader {
    file: File,
    md5: Arc<Mutex<Md5>>,
}

impl Read for HashingReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(out)?;
        lock(&self.md5).update(&out[..count]);
        Ok(count)
    }
}
