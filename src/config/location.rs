//! The configuration file: reads its text, and names it in error messages.

use crate::exit::Failure;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use std::path::{Path, PathBuf};
use trailhound_queries::local_time::TimeOrDay;
use trailhound_queries::suggestion::nearest;

/// Looked for in the current folder when no `--config` is given.
const FILE_NAME: &str = "trailhound.toml";
/// Largest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where the configuration is: relative paths in it refer to its folder, and error messages name
/// it.
pub(super) struct ConfigLocation {
    /// The file; `None` if all settings are defaults.
    pub(super) path: Option<PathBuf>,
    /// Folder of the file; empty, which is the current folder, if there is no file.
    pub(super) folder: PathBuf,
}

impl ConfigLocation {
    /// The location of `given`, or of the file in the current folder if there is one.
    pub(super) fn find(given: Option<&Path>) -> Self {
        let path = match given {
            Some(path) => Some(path.to_owned()),
            None => Some(PathBuf::from(FILE_NAME)).filter(|path| path.is_file()),
        };
        let folder =
            path.as_ref().and_then(|path| path.parent()).map(Path::to_owned).unwrap_or_default();
        Self { path, folder }
    }

    /// The name of the file for messages.
    pub(super) fn display(&self) -> String {
        self.path
            .as_ref()
            .map_or_else(|| "the configuration".to_owned(), |path| format!("`{}`", path.display()))
    }

    /// A usage error that names the file before `problem`.
    pub(super) fn error(&self, problem: impl std::fmt::Display) -> Failure {
        Failure::Usage(format!("{}: {problem}", self.display()))
    }

    /// `time` as a point in time; a day begins at its midnight in `zone`.
    ///
    /// # Errors
    /// [`Failure::Usage`] where the day is out of the range of dates.
    pub(super) fn point_in_time(
        &self,
        time: TimeOrDay,
        zone: Tz,
    ) -> Result<DateTime<Utc>, Failure> {
        time.at(zone)
            .ok_or_else(|| self.error(format!("the day is out of the range of dates in {zone}")))
    }

    /// The text of the file; empty if there is no file.
    ///
    /// # Errors
    /// [`Failure::Usage`]: the file cannot be read, is too large or not UTF-8.
    pub(super) fn read_text(&self) -> Result<String, Failure> {
        let Some(path) = &self.path else { return Ok(String::new()) };
        let metadata = std::fs::metadata(path).map_err(|e| self.error(e))?;
        // A pipe would be waited for without end.
        if !metadata.is_file() {
            return Err(self.error("it is not a file"));
        }
        let size = metadata.len();
        if size > FILE_BYTES_MAX {
            return Err(self.error(format!(
                "{size} bytes are too many for a configuration; at most {FILE_BYTES_MAX} are read"
            )));
        }
        let bytes = std::fs::read(path).map_err(|e| self.error(e))?;
        String::from_utf8(bytes).map_err(|e| {
            self.error(format!("not UTF-8 text at byte {}", e.utf8_error().valid_up_to()))
        })
    }
}

/// The message of `error`, which shows line and column, with the most similar key where a key is
/// unknown.
pub(super) fn with_nearest_key(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let mut quoted = error.message().split('`').skip(1).step_by(2);
    let (Some(unknown), true) = (quoted.next(), error.message().starts_with("unknown field"))
    else {
        return text;
    };
    match nearest(unknown, quoted) {
        Some(nearest) => format!("{}\nhint: did you mean `{nearest}`?", text.trim_end()),
        None => text,
    }
}

/// Merges the value of a key with that of its former name, which is accepted with a warning until
/// 0.3.0.
///
/// # Errors
/// A message: both names are given.
pub(super) fn renamed_key<T>(
    current: (&str, Option<T>),
    former: (&str, Option<T>),
    warnings: &mut Vec<String>,
) -> Result<Option<T>, String> {
    let ((name, value), (former_name, former_value)) = (current, former);
    match (value, former_value) {
        (Some(_), Some(_)) => {
            Err(format!("`{former_name}` is the former name of `{name}`; remove one of the two"))
        }
        (None, Some(value)) => {
            warnings.push(format!(
                "the key `{former_name}` is called `{name}` since 0.2.0; the former name is accepted until 0.3.0"
            ));
            Ok(Some(value))
        }
        (value, None) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_name_is_accepted_with_a_warning() {
        let mut warnings = Vec::new();
        assert_eq!(renamed_key(("new", Some(1)), ("old", None), &mut warnings), Ok(Some(1)));
        assert_eq!(renamed_key::<u8>(("new", None), ("old", None), &mut warnings), Ok(None));
        assert!(warnings.is_empty());
        assert_eq!(renamed_key(("new", None), ("old", Some(2)), &mut warnings), Ok(Some(2)));
        assert!(warnings[0].contains("`old` is called `new`"), "{warnings:?}");
        assert!(renamed_key(("new", Some(1)), ("old", Some(2)), &mut warnings).is_err());
    }
}
