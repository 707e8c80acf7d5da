//! Files, folders, globs and standard input.

use super::object_name::ObjectName;
use globset::GlobBuilder;
use md5::{Digest, Md5};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;
use thiserror::Error;
use trailhound_datasets::layout::CATALOG_FILE;

/// The name under which this source's positions are kept.
pub const SOURCE: &str = "files";
/// Object name of standard input.
pub const STDIN: &str = "<stdin>";

/// Why the paths given lead nowhere.
#[derive(Debug, Error)]
pub enum FilesError {
    /// Nothing there.
    #[error("`{path}` does not exist, and no file matches it as a pattern")]
    Missing {
        /// As given.
        path: String,
    },
    /// A pattern that is none.
    #[error("`{pattern}` is no valid pattern")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong with it.
        source: globset::Error,
    },
}

/// Something to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// What the paths given stand for.
#[derive(Debug, Default)]
pub struct Inputs {
    /// What to read, in order, each once.
    pub inputs: Vec<Input>,
    /// Paths below the ones given that cannot be read, with the reason.
    pub unreadable: Vec<(String, String)>,
}

/// Finds what `paths` stand for: `-` is standard input, a folder all files below it (names starting with a dot and whole
/// lakes left out), and what does not exist is tried as a pattern with `*`, `?`, `[...]`, `{...}` and `**`.
///
/// # Errors
/// [`FilesError`] for the first path that leads nowhere.
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
            // One file reached by two names is read once.
            let identity = file.canonicalize().unwrap_or_else(|_| file.clone());
            if seen.insert(identity.clone()) {
                found.inputs.push(Input::File(identity));
            }
        }
    }
    // Regions stand above days in a trail's folders. By the time in their names, objects of one day come together: few
    // partitions are open at once, and their files become large.
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

/// An opened object.
pub(crate) struct Opened {
    /// Its name in positions and rows.
    pub(crate) object: String,
    /// Which content this is: size and time of change. Empty for standard input, which has no position.
    pub(crate) incarnation: String,
    pub(crate) name: Option<ObjectName>,
    pub(crate) bytes: Option<u64>,
    pub(crate) reader: Box<dyn Read + Send>,
    /// MD5 of what was read, where the name claims one.
    pub(crate) md5: Option<Arc<Mutex<Md5>>>,
}

/// Opens `input`.
pub(crate) fn open(input: &Input) -> io::Result<Opened> {
    let path = match input {
        Input::Stdin => {
            return Ok(Opened {
                object: STDIN.to_owned(),
                incarnation: String::new(),
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
        Some(md5) => Box::new(Hashed { file, md5: Arc::clone(md5) }),
        None => Box::new(file),
    };
    let bytes = metadata.is_file().then_some(metadata.len());
    Ok(Opened { object, incarnation: incarnation(&metadata), name, bytes, reader, md5 })
}

/// Size and time of change, as OSS's ETag would tell one content from the next. A pipe has neither.
fn incarnation(metadata: &Metadata) -> String {
    if !metadata.is_file() {
        return String::new();
    }
    // Without a time of change a rewritten file could pass for the old one: such a file has no position and is read again.
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    changed.map_or_else(String::new, |time| format!("{}:{}", metadata.len(), time.as_nanos()))
}

struct Hashed {
    file: File,
    md5: Arc<Mutex<Md5>>,
}

impl Read for Hashed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(out)?;
        self.md5.lock().unwrap_or_else(std::sync::PoisonError::into_inner).update(&out[..count]);
        Ok(count)
    }
}
