//! Watches the folder of the user's rules, and reads the rules again when their files have changed.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use trailhound_queries::packs::rules::RuleSet;

/// Path, length and modification time of each file in a folder of rules.
type Fingerprint = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// The folder of the user's rules and the states in which it was seen.
pub(super) struct RuleFolder {
    folder: PathBuf,
    /// The files as they were when they were last read, whether they were valid or not.
    last_read: Fingerprint,
    /// The files as they were at the last poll. Files that are still being written differ from one
    /// poll to the next.
    last_seen: Fingerprint,
}

impl RuleFolder {
    /// Watches `folder`, whose rules have been read at the start of the service.
    pub(super) fn new(folder: PathBuf) -> Self {
        let last_read = fingerprint(&folder);
        Self { folder, last_seen: last_read.clone(), last_read }
    }

    /// Has the rules read again at the next poll, although their files do not change.
    pub(super) fn mark_unread(&mut self) {
        self.last_read.clear();
    }

    /// Reads the rules if their files have changed since they were last read, and are the same as
    /// at the last poll.
    ///
    /// # Errors
    /// A message: a rule is broken. Each state of the files is read once.
    pub(super) fn poll(&mut self) -> Option<Result<RuleSet, String>> {
        let now = fingerprint(&self.folder);
        let is_stable = now == self.last_seen;
        self.last_seen.clone_from(&now);
        if !is_stable || now == self.last_read {
            return None;
        }
        self.last_read = now;
        Some(read_rules(&self.folder))
    }
}

/// The built-in rules and those in `folder`.
fn read_rules(folder: &Path) -> Result<RuleSet, String> {
    let mut rule_set = RuleSet::built_in().map_err(|e| e.to_string())?;
    match rule_set.add_folder(folder) {
        Ok(broken) if broken.is_empty() => {
            for warning in rule_set.warnings() {
                tracing::warn!(warning, "a rule file uses a deprecated key");
            }
            Ok(rule_set)
        }
        Ok(broken) => Err(broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        Err(error) => Err(error.to_string()),
    }
}

/// The files in the subfolders of `folder`, each of which is a group of rules.
fn fingerprint(folder: &Path) -> Fingerprint {
    let mut files = Vec::new();
    for group in entries(folder).into_iter().filter(|path| path.is_dir()) {
        for path in entries(&group) {
            let metadata = std::fs::metadata(&path).ok();
            let length = metadata.as_ref().map_or(0, std::fs::Metadata::len);
            let modified = metadata.and_then(|metadata| metadata.modified().ok());
            files.push((path, length, modified));
        }
    }
    files.sort();
    files
}

/// Paths in `folder`; none if it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
