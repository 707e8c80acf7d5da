//! `trailhound rules explain` and `rules backtest`: what a rule says of an event, and of the past.

use super::query;
use crate::cli::{self, Format};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use serde_json::json;
use std::sync::Arc;
use trailhound_datasets::sanitize::sanitize;
use trailhound_detect::authoring::backtest::{AlertVolume, FindingsDiff, compare};
use trailhound_detect::authoring::explain::{Explanation, explain};
use trailhound_detect::{Detection, Finding, FindingStatus, RuleSelection, TimeRange, detect};
use trailhound_queries::explain::ConditionResult;
use trailhound_queries::packs::rules::Rule;
use trailhound_queries::session::Session;

/// Findings named one by one.
const SHOWN: usize = 20;

pub(super) async fn run_explain(
    config: &Config,
    rule: &Rule,
    args: &cli::RulesExplain,
) -> Result<Exit, Failure> {
    let session = query::session(config, args.place.lake.as_deref()).await?;
    let Some(explained) = explain(&session, rule, &args.event).await? else {
        return Err(Failure::Usage(format!(
            "the lake holds no event with the id or key `{}`",
            args.event
        )));
    };
    printer::line(&format!("{} {}: event {}", rule.id, rule.title.en, sanitize(&args.event)))?;
    if explained.events > 1 {
        printer::line(&format!(
            "{} events have this id; the first is explained. Name another by its event_key.",
            explained.events
        ))?;
    }
    let missing = rule.missing_parameters(&config.parameters);
    if !missing.is_empty() {
        printer::line(&format!(
            "The rule is not loaded: it needs {}. Where these are asked for, nothing is known.",
            missing.join(", ")
        ))?;
    }
    print_steps(&explained)?;
    for finding in &explained.findings {
        print_finding(finding)?;
    }
    Ok(if explained.findings.is_empty() { Exit::Found } else { Exit::Done })
}

fn print_steps(explained: &Explanation) -> Result<(), Failure> {
    for step in &explained.steps {
        let verdict = match (step.conditions.is_empty(), step.passes()) {
            // A part that looks for other events says nothing of one that is found.
            (true, _) if !explained.findings.is_empty() => continue,
            (true, _) => "the event does not come here",
            (false, true) => "passed",
            (false, false) => "NOT passed",
        };
        let part =
            step.part.as_ref().map_or_else(|| "the result".to_owned(), |part| format!("`{part}`"));
        printer::line(&format!("\n{part}: {verdict}"))?;
        for condition in &step.conditions {
            print_condition(condition)?;
        }
    }
    printer::line(if explained.findings.is_empty() { "\nIt is no finding." } else { "" })?;
    Ok(())
}

fn print_condition(condition: &ConditionResult) -> Result<(), Failure> {
    let holds = match condition.holds {
        Some(true) => "yes    ",
        Some(false) => "NO     ",
        None => "UNKNOWN",
    };
    let sql = condition.sql.split_whitespace().collect::<Vec<_>>().join(" ");
    printer::line(&sanitize(&format!("   {holds} {sql}")))?;
    let seen: Vec<String> =
        condition.seen.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    if !seen.is_empty() {
        printer::line(&sanitize(&format!("           seen: {}", seen.join("; "))))?;
    }
    if let Some(wanted) = &condition.required {
        printer::line(&sanitize(&format!("           {wanted}")))?;
    }
    Ok(())
}

fn print_finding(finding: &Finding) -> Result<(), Failure> {
    let state = match &finding.suppressed_by {
        Some(by) => format!("suppressed by {by}"),
        None => finding.status.name().to_owned(),
    };
    let text = format!(
        "It is part of finding {} ({}, {state}), with {} event(s): {}",
        finding.finding_id,
        finding.severity,
        finding.count,
        finding.why.join("; ")
    );
    Ok(printer::line(&sanitize(&text))?)
}

pub(super) async fn run_backtest(
    config: &Config,
    args: &cli::RulesBacktest,
) -> Result<Exit, Failure> {
    let session = query::session(config, args.place.lake.as_deref()).await?;
    let before = past(&session, config, args).await?;
    let after = match &args.with {
        Some(path) => {
            let other = Config::load(Some(path), Some(config.now()))?;
            let session = query::session_with(
                config,
                args.place.lake.as_deref(),
                Arc::clone(&other.parameters),
            )
            .await?;
            Some(past(&session, config, args).await?)
        }
        None => None,
    };
    let events = events(&session, args).await?;
    let days = days(args, config, &before);
    match args.format {
        Format::Json => print_json(&before, after.as_ref(), events, days)?,
        Format::Csv => {
            let volume = AlertVolume::of(&before.findings);
            printer::csv(
                &["day", "findings"],
                volume.by_day.into_iter().map(|(day, count)| vec![day, count.to_string()]),
            )?;
        }
        Format::Table => {
            print_noise(&before, events, days)?;
            if let Some(after) = &after {
                print_change(&compare(&before.findings, &after.findings))?;
            }
        }
    }
    let broken = before.failed.iter().chain(after.iter().flat_map(|after| &after.failed));
    let mut exit = Exit::Done;
    for (rule, reason) in broken {
        printer::talk(&format!("error: rule {rule} broke. {reason}"));
        exit = Exit::Internal;
    }
    Ok(exit)
}

/// What the rules find in the past with the parameters of `session`; nothing of it is kept.
async fn past(
    session: &Session,
    config: &Config,
    args: &cli::RulesBacktest,
) -> Result<Detection, Failure> {
    let range = range(args);
    let selection = RuleSelection { rules: args.ids.clone(), require_all: !args.ids.is_empty() };
    detect(session, &config.catalogue, &selection, range).await.map_err(Failure::usage)
}

fn range(args: &cli::RulesBacktest) -> TimeRange {
    TimeRange {
        since: args.since.map(|t| t.timestamp_micros()),
        until: args.until.map(|t| t.timestamp_micros()),
        include_untimed: false,
    }
}

async fn events(session: &Session, args: &cli::RulesBacktest) -> Result<usize, Failure> {
    let TimeRange { since, until, .. } = range(args);
    let within = trailhound_queries::session::event_time_in(
        since.unwrap_or(i64::MIN),
        until.unwrap_or(i64::MAX),
    );
    let frame = session.sql(&format!("SELECT 1 FROM events WHERE {within}")).await?;
    frame.count().await.map_err(Failure::internal)
}

/// Days of the range: as asked for, or from the first finding's to the last's.
fn days(args: &cli::RulesBacktest, config: &Config, detection: &Detection) -> u64 {
    let times = || {
        detection
            .findings
            .iter()
            .filter_map(|finding| crate::config::moment(finding.first_seen.as_deref()?).ok())
    };
    let since = args.since.or_else(|| times().min()).unwrap_or_else(|| config.now());
    let until = args.until.or_else(|| times().max()).unwrap_or_else(|| config.now());
    u64::try_from((until - since).num_days()).unwrap_or(0) + 1
}

fn print_noise(detection: &Detection, events: usize, days: u64) -> Result<(), Failure> {
    let volume = AlertVolume::of(&detection.findings);
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
        for (key, count) in counts.iter().take(SHOWN) {
            table.add_row([(*key).clone(), count.to_string()].map(printer::cell));
        }
        printer::line(&table.to_string())?;
        if counts.len() > SHOWN {
            printer::line(&format!(
                "... and {} more; --format json gives all",
                counts.len() - SHOWN
            ))?;
        }
    }
    let (median, most) = volume.median_and_max_per_day(days);
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = volume.open as f64 * 100_000.0 / events.max(1) as f64;
    printer::line(&format!(
        "{} to look at, {} suppressed, in {events} events of {days} day(s): {median} on an ordinary day, {most} on the worst, {rate:.1} in 100,000 events. Nothing was kept.",
        volume.open, volume.suppressed
    ))?;
    Ok(())
}

fn line_of(finding: &Finding) -> String {
    let who = finding
        .operator
        .name
        .as_deref()
        .or(finding.operator.principal_id.as_deref())
        .unwrap_or("nobody named");
    let time = finding.first_seen.as_deref().unwrap_or("no time");
    sanitize(&format!(
        "{time} {} {} {who}: {}",
        finding.rule_id,
        finding.severity,
        finding.why.join("; ")
    ))
}

fn print_change(change: &FindingsDiff<'_>) -> Result<(), Failure> {
    printer::line(&format!(
        "\nWith the other parameters {} would be added and {} removed.",
        change.added.len(),
        change.removed.len()
    ))?;
    for finding in change.added.iter().take(SHOWN) {
        printer::line(&format!("+ {}", line_of(finding)))?;
    }
    for (finding, by) in change.removed.iter().take(SHOWN) {
        let by = by.map_or_else(String::new, |by| format!(" (suppressed by {})", sanitize(by)));
        printer::line(&format!("- {}{by}", line_of(finding)))?;
    }
    let shown = change.added.len().min(SHOWN) + change.removed.len().min(SHOWN);
    let more = change.added.len() + change.removed.len() - shown;
    if more > 0 {
        printer::line(&format!("... and {more} more; --format json gives all"))?;
    }
    Ok(())
}

fn print_json(
    before: &Detection,
    after: Option<&Detection>,
    events: usize,
    days: u64,
) -> Result<(), Failure> {
    let volume = AlertVolume::of(&before.findings);
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
