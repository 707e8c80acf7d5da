//! `trailhound rules noise`: what rules find in weeks of an everyday company, in which nothing is wrong, against a budget.

use super::{generate, ingest};
use crate::cli::RulesNoiseArgs;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::lake;
use crate::list_output::{OutputFormat, Sheet};
use crate::printer;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use trailhound_datasets::generate::Traffic;
use trailhound_datasets::sanitize::sanitize;
use trailhound_detect::authoring::noise::{NoiseReport, RuleNoise};
use trailhound_detect::{RuleSelection, TimeRange, detect};
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::local_time::TimeOrDay;
use trailhound_queries::packs::rules::Severity;
use trailhound_queries::session::Session;

/// Measures the noise of the rules that `args` select. The rules are those of `config`, the user's own among them; the
/// parameters are those of the everyday company.
pub(super) async fn run(config: &Config, args: &RulesNoiseArgs) -> Result<Exit, Failure> {
    let format = args.list.checked_format()?;
    let mut report = NoiseReport::default();
    let mut failed = Vec::new();
    for seed in 1..=args.seeds {
        failed.extend(add_company(config, args, seed, &mut report).await?);
    }
    match format {
        OutputFormat::Json => printer::line(&json_report(&report, args).to_string())?,
        OutputFormat::Csv | OutputFormat::Xlsx => {
            let sheet = Sheet { name: "noise", header: &HEADER, numbers: &HEADER[1..9] };
            args.list.write_sheet(
                &sheet,
                by_noise(&report).into_iter().map(|(id, rule)| row(&report, id, rule)),
            )?;
        }
        OutputFormat::Table => print_table(&report, args)?,
    }
    for (rule, reason) in &failed {
        printer::message(&format!("error: rule {rule} failed. {reason}"));
    }
    Ok(match (failed.is_empty(), report.excesses().is_empty()) {
        (false, _) => Exit::Internal,
        (true, false) => Exit::CheckFailed,
        (true, true) => Exit::Success,
    })
}

/// Adds what the rules find in the company with the seed `seed`. Returns the rules that failed, with the reason.
async fn add_company(
    config: &Config,
    args: &RulesNoiseArgs,
    seed: u64,
    report: &mut NoiseReport,
) -> Result<Vec<(String, String)>, Failure> {
    let folder = tempfile::tempdir()?;
    let now = config.now();
    let traffic = Traffic::everyday(seed, args.days, now.timestamp_micros());
    let written = generate::write_files(traffic, folder.path())?;
    let company =
        Config::load(Some(&folder.path().join("trailhound.toml")), Some(TimeOrDay::Time(now)))?;
    let events = folder.path().join("events").display().to_string();
    let lake_folder = folder.path().join("lake");
    ingest::ingest_files(&company, &[events], &lake_folder).await?;
    let lake = lake::open(&lake_folder, &company).await?;
    let session = Session::over_lake(
        lake.location(),
        Arc::clone(&company.parameters),
        &QueryLimits::default(),
    )
    .await?
    .holding(lake);
    let selection = RuleSelection { rules: args.ids.clone(), require_all: false };
    let detection = detect(&session, &config.rule_set, &selection, TimeRange::default())
        .await
        .map_err(Failure::usage)?;
    report.add(&detection.findings, written.events);
    Ok(detection.failed)
}

/// The columns of the list.
const HEADER: [&str; 11] = [
    "rule",
    "open",
    "per 100,000",
    "critical",
    "high",
    "medium",
    "low",
    "info",
    "suppressed",
    "most by",
    "example",
];

/// The rules, the loudest first.
fn by_noise(report: &NoiseReport) -> Vec<(&str, &RuleNoise)> {
    let mut rules: Vec<(&str, &RuleNoise)> =
        report.rules.iter().map(|(id, rule)| (id.as_str(), rule)).collect();
    let worst = |rule: &RuleNoise| rule.by_severity.keys().next_back().copied();
    rules.sort_by(|(_, a), (_, b)| {
        (b.open(), worst(b), b.suppressed).cmp(&(a.open(), worst(a), a.suppressed))
    });
    rules
}

fn row(report: &NoiseReport, id: &str, rule: &RuleNoise) -> Vec<String> {
    let mut row =
        vec![id.to_owned(), rule.open().to_string(), format!("{:.1}", report.rate(rule.open()))];
    let count = |severity: &Severity| rule.by_severity.get(severity).copied().unwrap_or(0);
    row.extend(Severity::ALL.iter().rev().map(|severity| count(severity).to_string()));
    row.push(rule.suppressed.to_string());
    let actor = rule.loudest_actor().map(|(actor, count)| format!("{actor} ({count})"));
    row.push(sanitize(&actor.unwrap_or_default()));
    row.push(sanitize(&rule.example.join("; ")));
    row
}

fn print_table(report: &NoiseReport, args: &RulesNoiseArgs) -> Result<(), Failure> {
    let mut table = printer::table(&HEADER[..10]);
    for (id, rule) in by_noise(report) {
        table.add_row(row(report, id, rule).into_iter().take(10).map(printer::cell));
    }
    printer::line(&table.to_string())?;
    let high = report.open_at_least(Severity::High);
    let open = report.open_at_least(Severity::Info);
    printer::line(&format!(
        "{open} open findings, {high} of them high or above, {} critical, in {} events of {} everyday companies over {} days: {:.1} and {:.1} high or above for 100,000 events.",
        report.open_at_least(Severity::Critical),
        report.events,
        args.seeds,
        args.days,
        report.rate(open),
        report.rate(high),
    ))?;
    let excesses = report.excesses();
    if excesses.is_empty() {
        printer::line("That is within the budget.")?;
    }
    for excess in excesses {
        printer::line(&format!("Over the budget: {excess}."))?;
    }
    Ok(())
}

fn json_report(report: &NoiseReport, args: &RulesNoiseArgs) -> Value {
    let rules: Vec<Value> = by_noise(report)
        .into_iter()
        .map(|(id, rule)| {
            let by_severity: Map<String, Value> = rule
                .by_severity
                .iter()
                .map(|(severity, count)| (severity.to_string(), Value::from(*count)))
                .collect();
            json!({
                "rule_id": id, "open": rule.open(), "per_100000": report.rate(rule.open()), "by_severity": by_severity,
                "suppressed": rule.suppressed, "most_by": rule.loudest_actor().map(|(actor, _)| actor),
                "by_entity": rule.by_actor, "example": rule.example,
            })
        })
        .collect();
    let open = report.open_at_least(Severity::Info);
    let excesses = report.excesses();
    json!({
        "events": report.events, "seeds": args.seeds, "days": args.days, "open": open, "per_100000": report.rate(open),
        "high": report.open_at_least(Severity::High), "critical": report.open_at_least(Severity::Critical),
        "within_budget": excesses.is_empty(), "excesses": excesses, "rules": rules,
    })
}
