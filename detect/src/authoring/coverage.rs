//! What the data can show and what it cannot, by account: from the lake itself.

use crate::finding::match_rows;
use datafusion::arrow::array::{Array, AsArray, Float64Array, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::error::DataFusionError;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use trailhound_datasets::layout::day_text;
use trailhound_queries::limits::SessionError;
use trailhound_queries::packs::rules::{Need, Rule};
use trailhound_queries::session::Session;

/// Days named one by one where nothing came.
const SILENT_DAYS_NAMED: usize = 10;

const DAYS: &str = "SELECT account_id, acs_region, CAST(date_part('epoch', day) / 86400 AS BIGINT), events, read_events, data_events, \
     hours_with_events, sign_ins, sign_ins_mfa_unknown, sign_ins_address_undetermined, lag_seconds_mean, lag_seconds_most \
     FROM coverage ORDER BY 1, 2, 3";

/// Counts of one account, or of one region of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Seen {
    /// Events.
    pub events: i64,
    /// Those that only read.
    pub read_events: i64,
    /// Those of the data plane: objects and logs.
    pub data_events: i64,
    /// Sign-ins, tried or done.
    pub sign_ins: i64,
    /// Those that do not say whether MFA was used.
    pub sign_ins_mfa_unknown: i64,
    /// Those that come from something that is no address.
    pub sign_ins_address_undetermined: i64,
    /// First day with an event, `2026-01-31`.
    pub first_day: String,
    /// Last day with an event.
    pub last_day: String,
    /// Days between the two without any: the first of them.
    pub silent_days: Vec<String>,
    /// How many of them there are.
    pub silent_days_in_all: i64,
    /// Hours with events.
    pub hours_with_events: i64,
    /// Mean time until an event was in the lake, in seconds.
    pub lag_seconds_mean: f64,
    /// The longest.
    pub lag_seconds_most: f64,
}

/// A rule that cannot see everything it looks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blind {
    /// The rule.
    pub rule_id: String,
    /// What is missing, in words.
    pub lacks: &'static str,
    /// It can see nothing; else it sees less.
    pub wholly: bool,
}

/// What the data of one account can show.
#[derive(Debug, Clone, Serialize)]
pub struct AccountCoverage {
    /// The account; `None` for events that name none.
    pub account_id: Option<String>,
    /// All regions together.
    #[serde(flatten)]
    pub seen: Seen,
    /// Each region; the empty one for events that name none.
    pub regions: BTreeMap<String, Seen>,
    /// Rules that cannot see everything.
    pub blind: Vec<Blind>,
}

/// A row of the view `coverage`.
struct Day {
    account_id: Option<String>,
    region: String,
    /// Days since 1970.
    day: i32,
    counts: [i64; 7],
    lag_mean: f64,
    lag_most: f64,
}

/// What the lake of `session` can show `rules`, by account.
///
/// # Errors
/// [`SessionError`].
pub async fn coverage(
    session: &Session,
    rules: &[&Rule],
) -> Result<Vec<AccountCoverage>, SessionError> {
    let mut by_account: BTreeMap<Option<String>, Vec<Day>> = BTreeMap::new();
    for batch in session.sql(DAYS).await?.collect().await? {
        for day in days(&batch)? {
            by_account.entry(day.account_id.clone()).or_default().push(day);
        }
    }
    Ok(by_account.into_iter().map(|(account_id, days)| account(account_id, &days, rules)).collect())
}

fn account(account_id: Option<String>, days: &[Day], rules: &[&Rule]) -> AccountCoverage {
    let mut regions: BTreeMap<String, Vec<&Day>> = BTreeMap::new();
    for day in days {
        regions.entry(day.region.clone()).or_default().push(day);
    }
    let seen = seen(days.iter());
    let blind = rules.iter().flat_map(|rule| blind(rule, &seen)).collect();
    AccountCoverage {
        account_id,
        blind,
        seen,
        regions: regions
            .into_iter()
            .map(|(region, days)| (region, self::seen(days.into_iter())))
            .collect(),
    }
}

fn blind(rule: &Rule, seen: &Seen) -> Vec<Blind> {
    let lacks = |need: &&Need| match need {
        Need::ReadEvents => seen.read_events == 0,
        Need::DataEvents => seen.data_events == 0,
    };
    let of = |wholly| {
        move |need: &Need| Blind { rule_id: rule.id.clone(), lacks: need.in_words(), wholly }
    };
    let needs = rule.needs.iter().filter(lacks).map(of(true));
    needs.chain(rule.gaps.iter().filter(lacks).map(of(false))).collect()
}

fn seen<'d>(days: impl Iterator<Item = &'d Day>) -> Seen {
    let mut seen = Seen::default();
    let mut dates: BTreeSet<i32> = BTreeSet::new();
    let mut lag = 0.0;
    for day in days {
        let [events, reads, data, hours, sign_ins, mfa_unknown, undetermined] = day.counts;
        seen.events += events;
        seen.read_events += reads;
        seen.data_events += data;
        seen.hours_with_events += hours;
        seen.sign_ins += sign_ins;
        seen.sign_ins_mfa_unknown += mfa_unknown;
        seen.sign_ins_address_undetermined += undetermined;
        seen.lag_seconds_most = seen.lag_seconds_most.max(day.lag_most);
        #[allow(clippy::cast_precision_loss, reason = "a mean")]
        let weight = events as f64;
        lag += day.lag_mean * weight;
        dates.insert(day.day);
    }
    #[allow(clippy::cast_precision_loss, reason = "a mean")]
    let events = seen.events.max(1) as f64;
    seen.lag_seconds_mean = lag / events;
    if let (Some(&first), Some(&last)) = (dates.first(), dates.last()) {
        (seen.first_day, seen.last_day) = (day_text(first), day_text(last));
        // A single time far off makes millions of them: named are the first, counted all.
        let gaps =
            || dates.iter().zip(dates.iter().skip(1)).map(|(before, after)| before + 1..*after);
        seen.silent_days = gaps().flatten().take(SILENT_DAYS_NAMED).map(day_text).collect();
        seen.silent_days_in_all = gaps().map(|gap| i64::from(gap.end) - i64::from(gap.start)).sum();
    }
    seen
}

fn days(batch: &RecordBatch) -> Result<Vec<Day>, DataFusionError> {
    let texts = |at: usize| match_rows::text(batch.column(at));
    let ints = |at: usize| match_rows::whole(batch.column(at));
    let floats = |at: usize| -> Result<Float64Array, DataFusionError> {
        Ok(cast(batch.column(at), &DataType::Float64)?.as_primitive::<Float64Type>().clone())
    };
    let (accounts, regions, days, mean, most) =
        (texts(0)?, texts(1)?, ints(2)?, floats(10)?, floats(11)?);
    let counts = (3..10).map(ints).collect::<Result<Vec<_>, _>>()?;
    let day = |row: usize| Day {
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
    /// The account's name, or its id.
    fn title(&self, names: &BTreeMap<String, String>) -> String {
        match &self.account_id {
            Some(id) => names
                .get(id)
                .map_or_else(|| format!("account {id}"), |name| format!("account {id} ({name})")),
            None => "events that name no account".to_owned(),
        }
    }

    /// In words, a line each; `names` gives accounts their names.
    #[must_use]
    pub fn in_words(&self, names: &BTreeMap<String, String>) -> Vec<String> {
        let seen = &self.seen;
        let mut lines = vec![format!(
            "{}: {} event(s) in {} region(s), {} to {}",
            self.title(names),
            seen.events,
            self.regions.len(),
            seen.first_day,
            seen.last_day
        )];
        let share = |part: i64| {
            if part == 0 {
                "none".to_owned()
            } else {
                format!("{part} ({} %)", part * 100 / seen.events.max(1))
            }
        };
        lines.push(format!(
            "  read events: {}; data events: {}",
            share(seen.read_events),
            share(seen.data_events)
        ));
        if !seen.silent_days.is_empty() {
            let more =
                seen.silent_days_in_all - i64::try_from(seen.silent_days.len()).unwrap_or(i64::MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            lines.push(format!("  days without any event: {}{more}", seen.silent_days.join(", ")));
        }
        if seen.sign_ins > 0 {
            lines.push(format!(
                "  sign-ins: {}; whether MFA was used is not known of {}, the address of {}",
                seen.sign_ins, seen.sign_ins_mfa_unknown, seen.sign_ins_address_undetermined
            ));
        }
        lines.push(format!(
            "  in the lake after {} on average, {} at most",
            span(seen.lag_seconds_mean),
            span(seen.lag_seconds_most)
        ));
        for (wholly, what) in [(true, "cannot be seen here"), (false, "is seen only in part")] {
            let mut by_lack: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for blind in self.blind.iter().filter(|blind| blind.wholly == wholly) {
                by_lack.entry(blind.lacks).or_default().push(&blind.rule_id);
            }
            lines.extend(by_lack.into_iter().map(|(lack, rules)| {
                format!("  {what}, for want of {lack}: {}", rules.join(", "))
            }));
        }
        lines
    }
}

/// Seconds for people.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}
