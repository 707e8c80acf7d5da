//! `trailhound rules backtest`: runs rules over the past and prints how much they find. Nothing is
//! stored.

use super::lake_access::{open_session, open_session_with};
use crate::cli::RulesBacktestArgs;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::list_output::{OutputFormat, Sheet};
use crate::printer;
use chrono::DateTime;
use chrono_tz::Tz;
use serde_json::json;
use std::sync::Arc;
use trailhound_datasets::sanitize::sanitize;
use trailhound_detect::authoring::backtest::{AlertVolume, FindingsDiff, compare};
use trailhound_detect::{Detection, Finding, FindingStatus, RuleSelection, TimeRange, detect};
use trailhound_queries::local_time::{TimeOrDay, local_text};
use trailhound_queries::session::Session;

/// Maximum number of rows of each list.
const ROWS_SHOWN: usize = 20;

/// Backtests the rules that `args` select, with the parameters of one or two configurations.
pub(super) async fn run(config: &Config, args: &RulesBacktestArgs) -> Result<Exit, Failure> {
    let format = args.list.checked_format()?;
    let range = config.time_range(args.since, args.until)?;
    let session = open_session(config, args.lake.folder()).await?;
    let before = run_rules(&session, config, args, range).await?;
    let after = match &args.with {
        Some(path) => {
            let other = Config::load(Some(path), Some(TimeOrDay::Time(config.now())))?;
            let session =
                open_session_with(config, args.lake.folder(), Arc::clone(&other.parameters))
                    .await?;
            Some(run_rules(&session, config, args, range).await?)
        }
        None => None,
    };
    let events = count_events(&session, range).await?;
    let days = count_days(range, config, &before);
    match format {
        OutputFormat::Json => print_json(&before, after.as_ref(), events, days)?,
        OutputFormat::Csv | OutputFormat::Xlsx => {
            let volume = AlertVolume::of(&before.findings, config.time_zone);
            let header = &["day", "findings"];
            args.list.write_sheet(
                &Sheet { name: "findings by day", header, numbers: &["findings"] },
                volume.by_day.into_iter().map(|(day, count)| vec![day, count.to_string()]),
            )?;
        }
        OutputFormat::Table => {
            print_volume(&before, events, days, config.time_zone)?;
            if let Some(after) = &after {
                print_change(&compare(&before.findings, &after.findings), config.time_zone)?;
            }
        }
    }
    let broken = before.failed.iter().chain(after.iter().flat_map(|after| &after.failed));
    let mut exit = Exit::Success;
    for (rule, reason) in broken {
        printer::message(&format!("error: rule {rule} failed. {reason}"));
        exit = Exit::Internal;
    }
    Ok(exit)
}

/// The findings of the rules in the range, with the parameters of `session`.
async fn run_rules(
    session: &Session,
    config: &Config,
    args: &RulesBacktestArgs,
    range: TimeRange,
) -> Result<Detection, Failure> {
    let selection = RuleSelection { rules: args.ids.clone(), require_all: !args.ids.is_empty() };
    detect(session, &config.rule_set, &selection, range).await.map_err(Failure::usage)
}

/// Number of events in the range.
async fn count_events(session: &Session, range: TimeRange) -> Result<usize, Failure> {
    let TimeRange { since, until, .. } = range;
    let condition = trailhound_queries::session::event_time_in(
        since.unwrap_or(i64::MIN),
        until.unwrap_or(i64::MAX),
    );
    let frame = session.sql(&format!("SELECT 1 FROM events WHERE {condition}")).await?;
    frame.count().await.map_err(Failure::internal)
}

/// Number of days in `range`. Without a lower or upper bound, the day of the earliest or latest
/// finding is the first or last one; without findings too, today.
fn count_days(range: TimeRange, config: &Config, detection: &Detection) -> u64 {
    let times = || {
        detection
            .findings
            .iter()
            .filter_map(|finding| DateTime::parse_from_rfc3339(finding.first_seen.as_deref()?).ok())
            .map(|time| time.to_utc())
    };
    let bound = |micros: Option<i64>| micros.and_then(DateTime::from_timestamp_micros);
    let since = bound(range.since).or_else(|| times().min()).unwrap_or_else(|| config.now());
    let until = bound(range.until).or_else(|| times().max()).unwrap_or_else(|| config.now());
    u64::try_from((until - since).num_days()).unwrap_or(0) + 1
}

fn print_volume(detection: &Detection, events: usize, days: u64, zone: Tz) -> Result<(), Failure> {
    let volume = AlertVolume::of(&detection.findings, zone);
    let mut rules = printer::table(&["rule", "findings", "worst"]);
    for (rule, count) in &volume.by_rule {
        let worst = detection
            .findings
            .iter()
            .filter(|f| f.rule_id == *rule && f.status == FindingStatus::Open)
            .map(|f| f.severity)
            .max();
        let mut row = [rule.clone(), count.to_string()].map(printer::cell).to_vec();
        row.extend(worst.map(printer::severity_cell));
        rules.add_row(row);
    }
    printer::line(&rules.to_string())?;
    for (name, counts) in [("day", &volume.by_day), ("who", &volume.by_actor)] {
        let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
        if name == "who" {
            counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        }
        let mut table = printer::table(&[name, "findings"]);
        for (key, count) in counts.iter().take(ROWS_SHOWN) {
            table.add_row([(*key).clone(), count.to_string()].map(printer::cell));
        }
        printer::line(&table.to_string())?;
        if counts.len() > ROWS_SHOWN {
            printer::line(&format!(
                "... and {} more; use --format json for all",
                counts.len() - ROWS_SHOWN
            ))?;
        }
    }
    let (median, most) = volume.median_and_max_per_day(days);
    #[allow(clippy::cast_precision_loss, reason = "the rate is rounded for people")]
    let rate = volume.open as f64 * 100_000.0 / events.max(1) as f64;
    printer::line(&format!(
        "{} open, {} suppressed, in {events} events of {days} day(s): {median} on the median day, {most} on the worst day, {rate:.1} per 100,000 events. Nothing was stored.",
        volume.open, volume.suppressed
    ))?;
    Ok(())
}

/// One line about a finding.
fn summary_line(finding: &Finding, zone: Tz) -> String {
    let who = finding
        .operator
        .name
        .as_deref()
        .or(finding.operator.principal_id.as_deref())
        .unwrap_or("unknown");
    let time = local_text(finding.first_seen.as_deref().unwrap_or("no time"), zone);
    sanitize(&format!(
        "{time} {} {} {who}: {}",
        finding.rule_id,
        finding.severity,
        finding.why.join("; ")
    ))
}

fn print_change(change: &FindingsDiff<'_>, zone: Tz) -> Result<(), Failure> {
    printer::line(&format!(
        "\nWith the other parameters {} would be added and {} removed.",
        change.added.len(),
        change.removed.len()
    ))?;
    for finding in change.added.iter().take(ROWS_SHOWN) {
        printer::line(&format!("+ {}", summary_line(finding, zone)))?;
    }
    for (finding, by) in change.removed.iter().take(ROWS_SHOWN) {
        let by = by.map_or_else(String::new, |by| format!(" (suppressed by {})", sanitize(by)));
        printer::line(&format!("- {}{by}", summary_line(finding, zone)))?;
    }
    let shown = change.added.len().min(ROWS_SHOWN) + change.removed.len().min(ROWS_SHOWN);
    let more = change.added.len() + change.removed.len() - shown;
    if more > 0 {
        printer::line(&format!("... and {more} more; use --format json for all"))?;
    }
    Ok(())
}

fn print_json(
    before: &Detection,
    after: Option<&Detection>,
    events: usize,
    days: u64,
) -> Result<(), Failure> {
    let volume = AlertVolume::of(&before.findings, Tz::UTC);
    let (median, most) = volume.median_and_max_per_day(days);
    let mut line = json!({ "open": volume.open, "suppressed": volume.suppressed, "events": events, "days": days,
        "per_day": { "median": median, "most": most }, "by_rule": volume.by_rule, "by_day": volume.by_day, "by_entity": volume.by_actor });
    if let Some(after) = after {
        let change = compare(&before.findings, &after.findings);
        let brief = |finding: &Finding| json!({ "finding_id": finding.finding_id, "rule_id": finding.rule_id, "event_ids": finding.event_ids });
        line["added"] = change.added.iter().map(|finding| brief(finding)).collect();
        line["removed"] = change
            .removed
            .iter()
            .map(|(finding, by)| {
                let mut brief = brief(finding);
                brief["suppressed_by"] = json!(by);
                brief
            })
            .collect();
    }
    Ok(printer::line(&line.to_string())?)
}
