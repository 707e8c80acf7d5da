//! The user's own rules while the service runs: read anew when their files have changed, all of them or none.

use crate::config::Config;
use std::path::PathBuf;
use std::time::SystemTime;
use trailhound_queries::packs::rules::RuleSet;

/// The files of a folder of rules: path, length and time of the last change of each.
type Fingerprint = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// The folder of the user's rules, watched.
pub(super) struct RuleFiles {
    folder: PathBuf,
    /// As they were when they were read last, whatever came of it.
    read: Fingerprint,
    /// As they were at the last look: what is being written is left alone until it stands still.
    seen: Fingerprint,
}

impl RuleFiles {
    /// Those that `config` names, as they were read at the start; `None` where it names none.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let folder = config.rules_folder.clone()?;
        let read = fingerprint(&folder);
        Some(Self { folder, seen: read.clone(), read })
    }

    /// What was read was not taken up for a reason of its own: read it again.
    pub(super) fn again(&mut self) {
        self.read.clear();
    }

    /// Reads the rules anew where they have changed and stand still.
    ///
    /// # Errors
    /// What is wrong with them, once for each state of the files.
    pub(super) fn changed(&mut self) -> Option<Result<RuleSet, String>> {
        let now = fingerprint(&self.folder);
        let stands_still = now == self.seen;
        self.seen.clone_from(&now);
        if !stands_still || now == self.read {
            return None;
        }
        self.read = now;
        Some(read(&self.folder))
    }
}

fn read(folder: &std::path::Path) -> Result<RuleSet, String> {
    let mut catalogue = RuleSet::built_in().map_err(|e| e.to_string())?;
    match catalogue.add_folder(folder) {
        Ok(broken) if broken.is_empty() => {
            for warning in catalogue.warnings() {
                tracing::warn!(warning, "a rule file uses a deprecated key");
            }
            Ok(catalogue)
        }
        Ok(broken) => Err(broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        Err(error) => Err(error.to_string()),
    }
}

fn fingerprint(folder: &std::path::Path) -> Fingerprint {
    let mut files = Vec::new();
    let entries = |folder: &std::path::Path| {
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect::<Vec<_>>()
    };
    for path in
        entries(folder).into_iter().filter(|path| path.is_dir()).flat_map(|group| entries(&group))
    {
        let about = std::fs::metadata(&path);
        files.push((
            path,
            about.as_ref().map_or(0, std::fs::Metadata::len),
            about.ok().and_then(|about| about.modified().ok()),
        ));
    }
    files.sort();
    files
}
