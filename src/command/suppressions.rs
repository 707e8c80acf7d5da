//! `trailhound suppressions`: lists the exceptions and change windows with the findings each has
//! suppressed.

use super::lake_access::stored_findings;
use crate::cli::SuppressionsArgs;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::list_output::{ListOptions, OutputFormat, Sheet};
use crate::printer;
use chrono::{DateTime, Days, NaiveDate};
use chrono_tz::Tz;
use serde_json::json;
use std::collections::BTreeMap;
use trailhound_detect::{Finding, FindingStatus};
use trailhound_queries::local_time::local_text;

/// Suppressed findings of this many days are counted.
const LOOK_BACK_DAYS: u64 = 90;
/// An exception that expires within this many days is marked.
const EXPIRES_SOON_DAYS: u64 = 14;

/// An exception or change window, with counts of the findings that it has suppressed.
#[derive(Default)]
struct SuppressionUsage {
    rules: Vec<String>,
    expires: Option<NaiveDate>,
    /// Findings in the last [`LOOK_BACK_DAYS`] days.
    findings: u64,
    /// Events of these findings.
    events: u64,
    /// Time of the last event of any suppressed finding, RFC 3339.
    last: Option<String>,
    /// The configuration has it. Findings name also those that were removed.
    configured: bool,
}

/// Prints each exception and change window with the findings it has suppressed.
pub(super) async fn run(config: &Config, args: SuppressionsArgs) -> Result<Exit, Failure> {
    args.list.checked_format()?;
    // Exceptions expire by days of UTC.
    let today = config.now().date_naive();
    let since = today.checked_sub_days(Days::new(LOOK_BACK_DAYS)).unwrap_or(today);
    let mut entries: BTreeMap<String, SuppressionUsage> = BTreeMap::new();
    for allowed in &config.parameters.allowed_principals {
        let entry = entries.entry(allowed.label()).or_default();
        entry.rules.push(allowed.rule.clone());
        entry.expires = entry.expires.max(Some(allowed.expires));
        entry.configured = true;
    }
    for window in &config.parameters.change_windows {
        entries.entry(format!("change_windows: {}", window.reason)).or_default().configured = true;
    }
    for finding in stored_findings(config, args.lake.folder())
        .await?
        .iter()
        .filter(|finding| finding.status == FindingStatus::Suppressed)
    {
        if let Some(label) = &finding.suppressed_by {
            entries.entry(label.clone()).or_default().add(finding, since);
        }
    }
    print(&entries, today, args.list, config.time_zone)
}

impl SuppressionUsage {
    fn add(&mut self, finding: &Finding, since: NaiveDate) {
        let day = finding
            .last_seen
            .as_deref()
            .and_then(|time| DateTime::parse_from_rfc3339(time).ok())
            .map(|time| time.date_naive());
        // A finding without a time is counted, because it may be recent.
        if day.is_none_or(|day| day >= since) {
            self.findings += 1;
            self.events += finding.count;
        }
        self.last = self.last.take().max(finding.last_seen.clone());
        if !self.rules.contains(&finding.rule_id) {
            self.rules.push(finding.rule_id.clone());
        }
    }

    /// What the operator should do about it; empty for nothing.
    fn advice(&self, today: NaiveDate) -> &'static str {
        let soon = today.checked_add_days(Days::new(EXPIRES_SOON_DAYS)).unwrap_or(today);
        match self.expires {
            Some(day) if day < today => "expired: its findings are open again; renew or remove it",
            Some(day) if day <= soon => "expires soon: renew it or let it expire",
            _ if self.configured && self.findings == 0 => "has hidden nothing: is it still needed?",
            _ => "",
        }
    }
}

fn print(
    entries: &BTreeMap<String, SuppressionUsage>,
    today: NaiveDate,
    list: ListOptions,
    zone: Tz,
) -> Result<Exit, Failure> {
    let header =
        ["suppressed by", "rules", "expires", "findings in 90 days", "events", "last", "to do"];
    let row = |(label, entry): (&String, &SuppressionUsage)| {
        vec![
            label.clone(),
            entry.rules.join(" "),
            entry.expires.map_or_else(String::new, |day| day.to_string()),
            entry.findings.to_string(),
            entry.events.to_string(),
            local_text(entry.last.as_deref().unwrap_or_default(), zone),
            entry.advice(today).to_owned(),
        ]
    };
    match list.format {
        OutputFormat::Json => {
            for (label, entry) in entries {
                let line = json!({ "suppressed_by": label, "rules": entry.rules, "expires": entry.expires.map(|day| day.to_string()),
                    "findings": entry.findings, "events": entry.events, "last_seen": entry.last, "to_do": entry.advice(today) });
                printer::line(&line.to_string())?;
            }
        }
        OutputFormat::Csv | OutputFormat::Xlsx => {
            let numbers = &["findings in 90 days", "events"];
            let sheet = Sheet { name: "suppressions", header: &header, numbers };
            list.write_sheet(&sheet, entries.iter().map(row))?;
        }
        OutputFormat::Table if entries.is_empty() => {
            printer::line("There are no exceptions, change windows or suppressed findings.")?
        }
        OutputFormat::Table => {
            let mut table = printer::table(&header);
            for entry in entries {
                table.add_row(row(entry).into_iter().map(printer::cell));
            }
            printer::line(&table.to_string())?;
            printer::message(
                "To list the suppressed findings: trailhound query -c \"SELECT * FROM findings WHERE status = 'suppressed'\"",
            );
        }
    }
    Ok(Exit::Success)
}
