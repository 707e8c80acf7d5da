//! `[service]`: the address of `trailhound serve`, and how often it commits and maintains the lake.

use super::location::renamed_key;
use serde::Deserialize;
use std::net::SocketAddr;
use std::num::NonZero;
use std::time::Duration;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServiceConfig {
    pub(super) listen: SocketAddr,
    flush_age_max_ms: NonZero<u64>,
    pub(super) flush_rows_max: NonZero<u64>,
    /// A source with content of which nothing is read for this long does not work.
    unread_max_seconds: NonZero<u64>,
    maintenance_interval_seconds: Option<NonZero<u64>>,
    /// Name of `maintenance_interval_seconds` before 0.2.0.
    tidy_every_seconds: Option<NonZero<u64>>,
}

/// Pause between two runs of the maintenance by default.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(20);

/// Shortest and longest interval between two looks at a topic.
const SURVEY_INTERVAL: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

impl Default for ServiceConfig {
    fn default() -> Self {
        let non_zero = |number| NonZero::new(number).unwrap_or(NonZero::<u64>::MIN);
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8640)),
            flush_age_max_ms: non_zero(1000),
            flush_rows_max: non_zero(100_000),
            unread_max_seconds: non_zero(300),
            maintenance_interval_seconds: None,
            tidy_every_seconds: None,
        }
    }
}

impl ServiceConfig {
    /// Takes the values of keys under their former names, and adds a warning for each.
    ///
    /// # Errors
    /// A message: a key is given under both names.
    pub(super) fn merge_renamed_keys(&mut self, warnings: &mut Vec<String>) -> Result<(), String> {
        self.maintenance_interval_seconds = renamed_key(
            ("maintenance_interval_seconds", self.maintenance_interval_seconds),
            ("tidy_every_seconds", self.tidy_every_seconds.take()),
            warnings,
        )
        .map_err(|problem| format!("[service]: {problem}"))?;
        Ok(())
    }

    /// The pause between two runs of the lake's maintenance.
    pub(super) fn maintenance_interval(&self) -> Duration {
        self.maintenance_interval_seconds
            .map_or(MAINTENANCE_INTERVAL, |seconds| Duration::from_secs(seconds.get()))
    }

    /// How long a source may have content of which nothing is read.
    pub(super) fn unread_max(&self) -> Duration {
        Duration::from_secs(self.unread_max_seconds.get())
    }

    /// Interval between two looks at a topic: several within the time after which it must be told that nothing is read.
    pub(super) fn survey_interval(&self) -> Duration {
        (self.unread_max() / 10).clamp(SURVEY_INTERVAL.0, SURVEY_INTERVAL.1)
    }

    /// The longest time that a record waits for its commit.
    pub(super) fn flush_age_max(&self) -> Duration {
        Duration::from_millis(self.flush_age_max_ms.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_accepted_under_its_former_name() {
        let read = |text: &str| {
            let mut config: ServiceConfig = toml::from_str(text).expect("TOML");
            let mut warnings = Vec::new();
            let merged = config.merge_renamed_keys(&mut warnings);
            merged.map(|()| (config.maintenance_interval().as_secs(), warnings.len()))
        };
        assert_eq!(read(""), Ok((20, 0)));
        assert_eq!(read("maintenance_interval_seconds = 7"), Ok((7, 0)));
        assert_eq!(read("tidy_every_seconds = 7"), Ok((7, 1)));
        assert!(read("maintenance_interval_seconds = 7\ntidy_every_seconds = 7").is_err());
    }
}
