//! Parsers for the values of command-line arguments. The shell parses its own arguments with them
//! too.
//!
//! Each returns an error message without the argument's name: the command-line parser adds that.

use chrono_tz::Tz;
use clap::Args;
use std::path::PathBuf;
use trailhound_detect::Language;
use trailhound_detect::finding::risk::EntityKind;
use trailhound_detect::report::PeriodLength;
use trailhound_queries::local_time::TimeOrDay;
use trailhound_queries::packs::rules::Severity;
use trailhound_queries::session::AsOf;

/// For tests of the service only: what goes wrong in it.
#[derive(Debug, Clone, Args)]
pub(crate) struct TestSwitches {
    /// Tasks that fail once: `NAME=KIND,NAME=KIND`; KIND is `panic`, `return`, `error` or `hang`.
    #[arg(long, hide = true, default_value = "", env = "TRAILHOUND_TEST_TASK", hide_env = true)]
    pub(crate) test_task: String,
    /// A file with the number of seconds by which the clock of the machine is wrong. It is read again and again.
    #[arg(long, hide = true, value_name = "FILE", env = "TRAILHOUND_TEST_CLOCK", hide_env = true)]
    pub(crate) test_clock: Option<PathBuf>,
}

/// Parses a point in time: RFC 3339, or a date such as `2026-09-21`, which means its midnight in the
/// time zone of the configuration.
///
/// # Errors
/// A message that shows both forms.
pub(crate) fn parse_time(text: &str) -> Result<TimeOrDay, String> {
    TimeOrDay::read(text)
        .ok_or_else(|| "write it as `2026-09-21` or `2026-09-21T08:00:00Z`".to_owned())
}

/// Which state of the lake to query, as a person writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotOrTime {
    /// The snapshot with this number.
    Snapshot(i64),
    /// The last snapshot taken at or before this time.
    Time(TimeOrDay),
}

impl SnapshotOrTime {
    /// The state to query; a day begins at its midnight in `zone`. `None` where that is out of the
    /// range of dates.
    pub(crate) fn as_of(self, zone: Tz) -> Option<AsOf> {
        match self {
            Self::Snapshot(number) => Some(AsOf::Snapshot(number)),
            Self::Time(time) => time.at(zone).map(AsOf::Time),
        }
    }
}

/// Parses `name=value`. A name consists of ASCII letters, digits and `_`; a value may be empty.
///
/// # Errors
/// There is no `=`, or the name has other characters.
pub(crate) fn parse_parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    let is_valid =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_valid {
        Ok((name.to_owned(), value.to_owned()))
    } else {
        Err(format!("`{name}` is not a valid parameter name: use letters, digits and `_`"))
    }
}

/// Parses which state of the lake to query: a snapshot number, or a point in time.
///
/// # Errors
/// The text is neither of the two.
pub(crate) fn parse_as_of(text: &str) -> Result<SnapshotOrTime, String> {
    text.parse()
        .map(SnapshotOrTime::Snapshot)
        .or_else(|_| parse_time(text).map(SnapshotOrTime::Time))
        .map_err(|e| format!("expected a snapshot number or a time: {e}"))
}

/// Parses the length of a report's period: `day`, `week` or `month`.
///
/// # Errors
/// The text is something else.
pub(crate) fn parse_period(text: &str) -> Result<PeriodLength, String> {
    [PeriodLength::Day, PeriodLength::Week, PeriodLength::Month]
        .into_iter()
        .find(|span| span.name() == text)
        .ok_or_else(|| "one of day, week, month".to_owned())
}

/// Parses a language: `en` or `zh`.
///
/// # Errors
/// The text is something else.
pub(crate) fn parse_language(text: &str) -> Result<Language, String> {
    [Language::En, Language::Zh]
        .into_iter()
        .find(|language| language.name() == text)
        .ok_or_else(|| "en or zh".to_owned())
}

/// Parses the kind of an entity, such as `principal`.
///
/// # Errors
/// The text is no kind.
pub(crate) fn parse_entity_kind(text: &str) -> Result<EntityKind, String> {
    EntityKind::ALL
        .into_iter()
        .find(|kind| kind.name() == text)
        .ok_or_else(|| "one of principal, access_key, address, target".to_owned())
}

/// Parses a severity such as `high` or `HIGH`.
///
/// # Errors
/// The text is no severity.
pub(crate) fn parse_severity(text: &str) -> Result<Severity, String> {
    Severity::from_name(&text.to_lowercase())
        .ok_or_else(|| "one of info, low, medium, high, critical".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_has_a_name_and_a_value() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(parse_parameter("who=a=b"), pair("who", "a=b"));
        assert_eq!(parse_parameter("who="), pair("who", ""));
        assert!(parse_parameter("=x").is_err() && parse_parameter("a b=x").is_err());
    }
}
