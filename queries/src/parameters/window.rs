//! Change windows: periods in which changes are expected.

use super::globs::GlobList;
use super::toml_time::{DateTimeText, deserialize_day};
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use rrule::RRuleSet;
use serde::Deserialize;
use serde::de::Error as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A change window, which opens once or regularly. Its start and end belong to it.
#[derive(Debug, Clone)]
pub struct ChangeWindow {
    schedule: Schedule,
    timezone: Tz,
    accounts: GlobList,
    regions: GlobList,
    instances: GlobList,
    principals: GlobList,
    /// Why changes are expected in the window.
    pub reason: String,
}

/// The periods in which a window is open, in local time of the window's time zone.
#[derive(Debug, Clone)]
enum Schedule {
    /// The window opens on each day of the recurrence rule, at the time `from`. It closes at the
    /// time `to` of that day, or of the next day if `to` is not after `from`. `days` caches for
    /// each day whether the rule includes it.
    Recurring {
        rule: Box<RRuleSet>,
        from: NaiveTime,
        to: NaiveTime,
        days: Arc<Mutex<HashMap<NaiveDate, bool>>>,
    },
    /// The window opens once, at `from`, and closes at `to`.
    Single { from: NaiveDateTime, to: NaiveDateTime },
}

/// An entry of the parameter `change_windows`, before its validation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeWindowEntry {
    rrule: Option<String>,
    from: DateTimeText,
    to: DateTimeText,
    timezone: String,
    #[serde(default, deserialize_with = "deserialize_day")]
    starts: Option<NaiveDate>,
    #[serde(default)]
    accounts: GlobList,
    #[serde(default)]
    regions: GlobList,
    #[serde(default)]
    instances: GlobList,
    #[serde(default)]
    principals: GlobList,
    reason: String,
}

/// The attributes of a change that [`ChangeWindow::covers`] compares with a window.
#[derive(Debug, Clone, Copy)]
pub struct ChangeAttributes<'c> {
    /// Time of the change, in microseconds since 1970 UTC.
    pub time: i64,
    /// Id of the account.
    pub account: Option<&'c str>,
    /// Region.
    pub region: Option<&'c str>,
    /// Name of the user or role that made the change.
    pub principal: Option<&'c str>,
    /// Ids of the changed instances. A window must match all of them.
    pub instances: &'c [&'c str],
}

impl ChangeWindow {
    /// True if the window is open at the time of `change`, and its globs match the account, the
    /// region, the principal and all instances. A window without globs for an attribute matches
    /// every value of it. A window with such globs does not match a change that lacks the
    /// attribute.
    #[must_use]
    pub fn covers(&self, change: &ChangeAttributes<'_>) -> bool {
        let matches_globs = |globs: &GlobList, value: Option<&str>| {
            globs.is_empty() || value.is_some_and(|value| globs.matches(value))
        };
        matches_globs(&self.accounts, change.account)
            && matches_globs(&self.regions, change.region)
            && matches_globs(&self.principals, change.principal)
            && (self.instances.is_empty()
                || (!change.instances.is_empty()
                    && change.instances.iter().all(|instance| self.instances.matches(instance))))
            && self.is_open(change.time)
    }

    fn is_open(&self, micros: i64) -> bool {
        let Some(time) = DateTime::from_timestamp_micros(micros) else { return false };
        // The schedule is compared with local wall-clock time, so a window keeps its hours when
        // daylight saving time begins or ends.
        let local = time.with_timezone(&self.timezone).naive_local();
        match &self.schedule {
            Schedule::Single { from, to } => *from <= local && local <= *to,
            Schedule::Recurring { rule, from, to, days } => {
                let today = local.date();
                [Some(today), today.checked_sub_days(Days::new(1))].into_iter().flatten().any(
                    |day| {
                        let end =
                            if to > from { Some(day) } else { day.checked_add_days(Days::new(1)) };
                        let inside = day.and_time(*from) <= local
                            && end.is_some_and(|end| local <= end.and_time(*to));
                        inside && self.occurs(rule, days, day)
                    },
                )
            }
        }
    }

    /// True if the recurrence rule includes `day`. `days` caches the result.
    fn occurs(
        &self,
        rule: &RRuleSet,
        days: &Mutex<HashMap<NaiveDate, bool>>,
        day: NaiveDate,
    ) -> bool {
        let mut days = days.lock().unwrap_or_else(PoisonError::into_inner);
        *days.entry(day).or_insert_with(|| {
            let zone = rrule::Tz::UTC;
            let at = |time: NaiveDateTime| time.and_local_timezone(zone).single();
            let (Some(start), Some(end)) =
                (at(day.and_time(NaiveTime::MIN)), day.and_hms_opt(23, 59, 59).and_then(at))
            else {
                return false;
            };
            !rule.clone().after(start).before(end).all(1).dates.is_empty()
        })
    }
}

impl TryFrom<ChangeWindowEntry> for ChangeWindow {
    type Error = String;

    fn try_from(entry: ChangeWindowEntry) -> Result<Self, String> {
        let timezone: Tz = entry.timezone.parse().map_err(|_| {
            format!(
                "`{}` is not a time zone; write an IANA name such as `Asia/Shanghai`",
                entry.timezone
            )
        })?;
        if entry.reason.trim().is_empty() {
            return Err("a change window needs a `reason`".to_owned());
        }
        let schedule = match &entry.rrule {
            Some(text) => {
                // The rule only selects days. It is evaluated in UTC. It starts on `starts`, or
                // else on a fixed Monday. A rule with an interval needs `starts`.
                let needs_start = text.to_uppercase().split(';').any(|part| {
                    part.trim().strip_prefix("INTERVAL=").is_some_and(|n| n.trim() != "1")
                });
                if needs_start && entry.starts.is_none() {
                    return Err(format!(
                        "`{text}` has an interval; give its first day with `starts = 2026-01-03`"
                    ));
                }
                let is_finer_than_days = text.to_uppercase().split(';').any(|part| {
                    let frequency = part.trim().strip_prefix("FREQ=").unwrap_or_default().trim();
                    ["HOURLY", "MINUTELY", "SECONDLY"].contains(&frequency)
                });
                if is_finer_than_days || text.contains(['\n', '\r']) {
                    // Each occurrence since the start would be walked through.
                    return Err(format!(
                        "`{text}` selects no days; write a rule with FREQ=DAILY, WEEKLY, MONTHLY or YEARLY, and the hours as `from` and `to`"
                    ));
                }
                let start =
                    entry.starts.unwrap_or(NaiveDate::from_ymd_opt(2010, 1, 4).unwrap_or_default());
                let rule = format!("DTSTART:{}T000000Z\nRRULE:{text}", start.format("%Y%m%d"))
                    .parse()
                    .map_err(|e| format!("`{text}` is not a recurrence rule: {e}"))?;
                Schedule::Recurring {
                    rule: Box::new(rule),
                    from: entry.from.time_of_day()?,
                    to: entry.to.time_of_day()?,
                    days: Arc::default(),
                }
            }
            None => {
                let moment = |text: &str| {
                    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M")
                        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S"))
                        .map_err(|_| format!("`{text}` is not a local time; without `rrule`, write `from` and `to` as `2026-05-01T22:00`"))
                };
                let (from, to) = (moment(&entry.from.0)?, moment(&entry.to.0)?);
                if from > to {
                    return Err(format!("the window ends ({to}) before it begins ({from})"));
                }
                Schedule::Single { from, to }
            }
        };
        Ok(Self {
            schedule,
            timezone,
            accounts: entry.accounts,
            regions: entry.regions,
            instances: entry.instances,
            principals: entry.principals,
            reason: entry.reason,
        })
    }
}

impl<'de> Deserialize<'de> for ChangeWindow {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(ChangeWindowEntry::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trailhound_datasets::derive::time;

    fn window(text: &str) -> Result<ChangeWindow, String> {
        #[derive(Deserialize)]
        struct Wrapped {
            w: ChangeWindow,
        }
        toml::from_str::<Wrapped>(&format!("w = {text}")).map(|w| w.w).map_err(|e| e.to_string())
    }

    fn open(window: &ChangeWindow, at: &str) -> bool {
        window.is_open(time::parse(at).expect("a time"))
    }

    #[test]
    fn a_window_past_midnight_uses_its_time_zone_and_includes_both_ends() {
        // Saturday 22:00 to Sunday 02:00 in Shanghai is 14:00 to 18:00 UTC on Saturday. 2026-11-21
        // is a Saturday.
        let w =
            window(r#"{ rrule = "FREQ=WEEKLY;BYDAY=SA", from = "22:00", to = "02:00", timezone = "Asia/Shanghai", reason = "patching" }"#)
                .expect("valid");
        for (at, is_open) in [
            ("2026-11-21T13:59:59Z", false),
            ("2026-11-21T14:00:00Z", true),
            ("2026-11-21T16:30:00Z", true),
            ("2026-11-21T18:00:00Z", true),
            ("2026-11-21T18:00:01Z", false),
            ("2026-11-22T14:00:00Z", false),
            ("2026-11-20T16:30:00Z", false),
        ] {
            assert_eq!(open(&w, at), is_open, "{at}");
        }
    }

    #[test]
    fn wall_clock_hours_hold_across_summer_time() {
        let w = window(r#"{ rrule = "FREQ=DAILY", from = "01:00", to = "03:30", timezone = "Europe/Berlin", reason = "backup" }"#)
            .expect("valid");
        for (at, is_open) in [
            ("2026-03-28T00:00:00Z", true),  // 01:00, winter
            ("2026-03-29T01:15:00Z", true),  // 03:15, the hour from two to three is skipped
            ("2026-03-29T01:31:00Z", false), // 03:31
            ("2026-07-01T23:00:00Z", true),  // 01:00, summer
            ("2026-07-01T22:59:59Z", false),
            ("2026-10-25T01:30:00Z", true), // 02:30 for the second time
        ] {
            assert_eq!(open(&w, at), is_open, "{at}");
        }
    }

    #[test]
    fn a_rule_with_an_interval_needs_a_start_day_and_counts_from_it() {
        let text = r#"{ rrule = "FREQ=WEEKLY;INTERVAL=2;BYDAY=SA", from = "10:00", to = "11:00", timezone = "UTC", reason = "r" "#;
        assert!(window(&format!("{text}}}")).expect_err("needs a start").contains("starts"));
        let w = window(&format!("{text}, starts = \"2026-11-21\" }}")).expect("valid");
        assert!(open(&w, "2026-11-21T10:00:00Z"));
        assert!(!open(&w, "2026-11-28T10:00:00Z"));
        assert!(open(&w, "2026-12-05T11:00:00Z"));
    }

    #[test]
    fn every_instance_must_be_covered() {
        let w =
            window(r#"{ from = "2026-05-01T00:00", to = "2026-05-02T00:00", timezone = "UTC", instances = ["i-bp1*"], reason = "move" }"#)
                .expect("valid");
        let change = |instances| ChangeAttributes {
            time: time::parse("2026-05-01T12:00:00Z").expect("a time"),
            account: None,
            region: None,
            principal: None,
            instances,
        };
        assert!(w.covers(&change(&["i-bp1a", "i-BP1b"])));
        assert!(!w.covers(&change(&["i-bp1a", "i-other"])));
        assert!(!w.covers(&change(&[])));
    }

    #[test]
    fn invalid_windows_are_refused() {
        for (text, hint) in [
            (
                r#"{ rrule = "FREQ=SOMETIMES", from = "22:00", to = "02:00", timezone = "UTC", reason = "x" }"#,
                "not a recurrence rule",
            ),
            (
                r#"{ rrule = "FREQ=SECONDLY", from = "22:00", to = "02:00", timezone = "UTC", reason = "x" }"#,
                "selects no days",
            ),
            (
                r#"{ rrule = "BYHOUR=3; freq=minutely", from = "22:00", to = "02:00", timezone = "UTC", reason = "x" }"#,
                "selects no days",
            ),
            (
                r#"{ rrule = "FREQ=DAILY", from = "25:00", to = "02:00", timezone = "UTC", reason = "x" }"#,
                "not a time of day",
            ),
            (
                r#"{ rrule = "FREQ=DAILY", from = "22:00", to = "02:00", timezone = "Asia/Shangai", reason = "x" }"#,
                "not a time zone",
            ),
            (
                r#"{ rrule = "FREQ=DAILY", from = "22:00", to = "02:00", timezone = "UTC", reason = " " }"#,
                "reason",
            ),
            (
                r#"{ from = "22:00", to = "02:00", timezone = "UTC", reason = "x" }"#,
                "not a local time",
            ),
        ] {
            let error = window(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
