//! Coverage: which events each account has delivered to the lake, and which rules see nothing or
//! too little because of what is missing.

use crate::finding::match_rows;
use datafusion::arrow::array::{Array, AsArray, Float64Array, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::error::DataFusionError;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use trailhound_datasets::layout::day_text;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::{RequiredData, Rule};
use trailhound_queries::session::Session;

/// Maximum length of [`EventCounts::silent_days`].
const SILENT_DAYS_LISTED: usize = 10;

/// One row per account, region and day, read by [`daily_rows`].
const DAYS_SQL: &str = "SELECT account_id, acs_region, CAST(date_part('epoch', day) / 86400 AS BIGINT), events, read_events, data_events, \
     hours_with_events, sign_ins, sign_ins_mfa_unknown, sign_ins_address_undetermined, lag_seconds_mean, lag_seconds_most \
     FROM coverage ORDER BY 1, 2, 3";

/// One row per account and fact that was not understood.
const NOT_UNDERSTOOD_SQL: &str = "SELECT account_id, fact, CAST(sum(not_understood) AS BIGINT) FROM comprehension \
     WHERE not_understood > 0 GROUP BY account_id, fact ORDER BY 1, 2";

/// Event counts of one account, or of one region of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EventCounts {
    /// All events.
    pub events: i64,
    /// Read-only events.
    pub read_events: i64,
    /// Data-plane events: of objects and logs.
    pub data_events: i64,
    /// Sign-ins, successful or not.
    pub sign_ins: i64,
    /// Number of sign-ins whose event does not record whether MFA was used.
    pub sign_ins_mfa_unknown: i64,
    /// Sign-ins whose source is not an address.
    pub sign_ins_address_undetermined: i64,
    /// First day with an event, `2026-01-31`.
    pub first_day: String,
    /// Last day with an event.
    pub last_day: String,
    /// Days without events between the first and the last day; only the first ten are listed.
    pub silent_days: Vec<String>,
    /// The number of all days without events between the first and the last day.
    pub silent_days_in_all: i64,
    /// Hours with at least one event. In the sum over all regions, an hour counts once for each region with an event.
    pub hours_with_events: i64,
    /// Mean time from an event to its arrival in the lake, in seconds.
    pub lag_seconds_mean: f64,
    /// Longest such time, in seconds.
    pub lag_seconds_most: f64,
}

/// A rule that misses matches because the account does not deliver events the rule needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlindSpot {
    /// Id of the rule.
    pub rule_id: String,
    /// The kind of events that is missing, in words.
    pub lacks: &'static str,
    /// True if the rule can match nothing, false if it misses a part.
    pub wholly: bool,
}

/// The coverage of one account.
#[derive(Debug, Clone, Serialize)]
pub struct AccountCoverage {
    /// Id of the account; `None` for events without one.
    pub account_id: Option<String>,
    /// Counts over all regions.
    #[serde(flatten)]
    pub totals: EventCounts,
    /// Counts by region; the empty name stands for events without a region.
    pub regions: BTreeMap<String, EventCounts>,
    /// The number of events of which each fact was not understood, by the name of the fact. Rules
    /// that read the fact cannot judge these events.
    pub not_understood: BTreeMap<String, i64>,
    /// Rules that miss matches.
    #[serde(rename = "blind")]
    pub blind_spots: Vec<BlindSpot>,
}

/// A row of the view `coverage`: one account, region and day.
struct DailyRow {
    account_id: Option<String>,
    region: String,
    /// Days since 1970.
    day: i32,
    /// Events, read events, data events, hours with events, sign-ins, sign-ins with unknown MFA,
    /// sign-ins without an address.
    counts: [i64; 7],
    lag_mean: f64,
    lag_most: f64,
}

/// Computes the coverage of every account in the lake of `session`. Blind spots are looked for
/// among `rules`.
///
/// # Errors
/// [`SessionError`] where the view `coverage` cannot be read.
pub async fn coverage(
    session: &Session,
    rules: &[&Rule],
) -> Result<Vec<AccountCoverage>, SessionError> {
    let mut by_account: BTreeMap<Option<String>, Vec<DailyRow>> = BTreeMap::new();
    for batch in session.sql(DAYS_SQL).await?.collect().await? {
        for day in daily_rows(&batch)? {
            by_account.entry(day.account_id.clone()).or_default().push(day);
        }
    }
    let mut not_understood = not_understood(session).await?;
    Ok(by_account
        .into_iter()
        .map(|(account_id, days)| AccountCoverage {
            not_understood: not_understood.remove(&account_id).unwrap_or_default(),
            ..account_coverage(account_id, &days, rules)
        })
        .collect())
}

/// The number of events with each fact that was not understood, by account.
async fn not_understood(
    session: &Session,
) -> Result<BTreeMap<Option<String>, BTreeMap<String, i64>>, SessionError> {
    let mut by_account: BTreeMap<Option<String>, BTreeMap<String, i64>> = BTreeMap::new();
    for batch in session.sql(NOT_UNDERSTOOD_SQL).await?.collect().await? {
        let (accounts, facts) =
            (match_rows::utf8(batch.column(0))?, match_rows::utf8(batch.column(1))?);
        let counts = match_rows::int64(batch.column(2))?;
        for ((account, fact), count) in accounts.iter().zip(&facts).zip(counts.values()) {
            let of_account = by_account.entry(account.map(str::to_owned)).or_default();
            of_account.insert(fact.unwrap_or_default().to_owned(), *count);
        }
    }
    Ok(by_account)
}

fn account_coverage(
    account_id: Option<String>,
    days: &[DailyRow],
    rules: &[&Rule],
) -> AccountCoverage {
    let mut regions: BTreeMap<String, Vec<&DailyRow>> = BTreeMap::new();
    for day in days {
        regions.entry(day.region.clone()).or_default().push(day);
    }
    let totals = sum_days(days.iter());
    let blind_spots = rules.iter().flat_map(|rule| blind_spots(rule, &totals)).collect();
    AccountCoverage {
        account_id,
        blind_spots,
        not_understood: BTreeMap::new(),
        totals,
        regions: regions
            .into_iter()
            .map(|(region, days)| (region, sum_days(days.into_iter())))
            .collect(),
    }
}

/// Returns a blind spot for each kind of events in `needs` and `gaps` of `rule` that the account does
/// not deliver. Without `needs` the rule can match nothing, without `gaps` it misses a part.
fn blind_spots(rule: &Rule, totals: &EventCounts) -> Vec<BlindSpot> {
    let is_missing = |need: &&RequiredData| match need {
        RequiredData::ReadEvents => totals.read_events == 0,
        RequiredData::DataEvents => totals.data_events == 0,
    };
    let blind_spot = |wholly| {
        move |need: &RequiredData| BlindSpot {
            rule_id: rule.id.clone(),
            lacks: need.label(),
            wholly,
        }
    };
    let needs = rule.needs.iter().filter(is_missing).map(blind_spot(true));
    needs.chain(rule.gaps.iter().filter(is_missing).map(blind_spot(false))).collect()
}

/// Adds up the rows of several days.
fn sum_days<'d>(days: impl Iterator<Item = &'d DailyRow>) -> EventCounts {
    let mut totals = EventCounts::default();
    let mut dates: BTreeSet<i32> = BTreeSet::new();
    // Sum of the lags of all events, in seconds.
    let mut lag = 0.0;
    for day in days {
        let [events, reads, data, hours, sign_ins, mfa_unknown, undetermined] = day.counts;
        totals.events += events;
        totals.read_events += reads;
        totals.data_events += data;
        totals.hours_with_events += hours;
        totals.sign_ins += sign_ins;
        totals.sign_ins_mfa_unknown += mfa_unknown;
        totals.sign_ins_address_undetermined += undetermined;
        totals.lag_seconds_most = totals.lag_seconds_most.max(day.lag_most);
        #[allow(clippy::cast_precision_loss, reason = "a mean")]
        let weight = events as f64;
        lag += day.lag_mean * weight;
        dates.insert(day.day);
    }
    #[allow(clippy::cast_precision_loss, reason = "a mean")]
    let events = totals.events.max(1) as f64;
    totals.lag_seconds_mean = lag / events;
    if let (Some(&first), Some(&last)) = (dates.first(), dates.last()) {
        (totals.first_day, totals.last_day) = (day_text(first), day_text(last));
        // A single event with a wrong year makes millions of such days: all are counted, only the
        // first are listed.
        let gaps =
            || dates.iter().zip(dates.iter().skip(1)).map(|(before, after)| before + 1..*after);
        totals.silent_days = gaps().flatten().take(SILENT_DAYS_LISTED).map(day_text).collect();
        totals.silent_days_in_all =
            gaps().map(|gap| i64::from(gap.end) - i64::from(gap.start)).sum();
    }
    totals
}

/// Reads the result of [`DAYS_SQL`].
fn daily_rows(batch: &RecordBatch) -> Result<Vec<DailyRow>, DataFusionError> {
    let texts = |at: usize| match_rows::utf8(batch.column(at));
    let ints = |at: usize| match_rows::int64(batch.column(at));
    let floats = |at: usize| -> Result<Float64Array, DataFusionError> {
        Ok(cast(batch.column(at), &DataType::Float64)?.as_primitive::<Float64Type>().clone())
    };
    let (accounts, regions, days, mean, most) =
        (texts(0)?, texts(1)?, ints(2)?, floats(10)?, floats(11)?);
    let counts = (3..10).map(ints).collect::<Result<Vec<_>, _>>()?;
    let day = |row: usize| DailyRow {
        account_id: accounts.is_valid(row).then(|| accounts.value(row).to_owned()),
        region: if regions.is_valid(row) { regions.value(row).to_owned() } else { String::new() },
        day: i32::try_from(days.value(row)).unwrap_or_default(),
        counts: std::array::from_fn(|at| counts[at].value(row)),
        lag_mean: mean.value(row),
        lag_most: most.value(row),
    };
    Ok((0..batch.num_rows()).map(day).collect())
}

impl AccountCoverage {
    /// The account's id and name for display.
    fn title(&self, names: &BTreeMap<String, String>) -> String {
        match &self.account_id {
            Some(id) => names
                .get(id)
                .map_or_else(|| format!("account {id}"), |name| format!("account {id} ({name})")),
            None => "events that name no account".to_owned(),
        }
    }

    /// Describes the coverage in lines of text. `names` maps account ids to names.
    #[must_use]
    pub fn describe(&self, names: &BTreeMap<String, String>) -> Vec<String> {
        let totals = &self.totals;
        let mut lines = vec![format!(
            "{}: {} event(s) in {} region(s), {} to {}",
            self.title(names),
            totals.events,
            self.regions.len(),
            totals.first_day,
            totals.last_day
        )];
        let share = |part: i64| {
            if part == 0 {
                "none".to_owned()
            } else {
                format!("{part} ({} %)", part * 100 / totals.events.max(1))
            }
        };
        lines.push(format!(
            "  read events: {}; data events: {}",
            share(totals.read_events),
            share(totals.data_events)
        ));
        if !totals.silent_days.is_empty() {
            let more = totals.silent_days_in_all
                - i64::try_from(totals.silent_days.len()).unwrap_or(i64::MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            lines
                .push(format!("  days without any event: {}{more}", totals.silent_days.join(", ")));
        }
        if totals.sign_ins > 0 {
            lines.push(format!(
                "  sign-ins: {}; whether MFA was used is not known of {}, the address of {}",
                totals.sign_ins, totals.sign_ins_mfa_unknown, totals.sign_ins_address_undetermined
            ));
        }
        if !self.not_understood.is_empty() {
            let facts: Vec<String> = self
                .not_understood
                .iter()
                .map(|(fact, count)| format!("{fact} of {count}"))
                .collect();
            lines.push(format!(
                "  not understood, so that rules cannot judge: {} event(s)",
                facts.join(", ")
            ));
        }
        lines.push(format!(
            "  in the lake after {} on average, {} at most",
            human_duration(totals.lag_seconds_mean),
            human_duration(totals.lag_seconds_most)
        ));
        for (wholly, what) in [(true, "cannot be seen here"), (false, "is seen only in part")] {
            let mut by_lack: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for blind in self.blind_spots.iter().filter(|blind| blind.wholly == wholly) {
                by_lack.entry(blind.lacks).or_default().push(&blind.rule_id);
            }
            lines.extend(by_lack.into_iter().map(|(lack, rules)| {
                format!("  {what}, for want of {lack}: {}", rules.join(", "))
            }));
        }
        lines
    }
}

/// Writes seconds as `90 s`, `5 min`, `12 h` or `3 days`.
fn human_duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}
