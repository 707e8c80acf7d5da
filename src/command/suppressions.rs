//! `trailhound suppressions`: what keeps findings from being looked at, and what each has hidden.

use super::kept;
use crate::cli::{self, Format};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use chrono::{DateTime, Days, NaiveDate};
use serde_json::json;
use std::collections::BTreeMap;
use trailhound_detect::{Finding, FindingStatus};

/// How far back hidden findings are counted, in days.
const LOOK_BACK_DAYS: u64 = 90;
/// An entry that ends within so many days is warned of.
const EXPIRES_SOON_DAYS: u64 = 14;

/// What suppresses, and what it has hidden.
#[derive(Default)]
struct Entry {
    rules: Vec<String>,
    expires: Option<NaiveDate>,
    findings: u64,
    events: u64,
    last: Option<String>,
    configured: bool,
}

pub(crate) async fn run(config: &Config, args: cli::Suppressions) -> Result<Exit, Failure> {
    let today = config.now().date_naive();
    let since = today.checked_sub_days(Days::new(LOOK_BACK_DAYS)).unwrap_or(today);
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    for allowed in &config.parameters.allowed_principals {
        let entry = entries.entry(allowed.label()).or_default();
        entry.rules.push(allowed.rule.clone());
        entry.expires = entry.expires.max(Some(allowed.expires));
        entry.configured = true;
    }
    for window in &config.parameters.change_windows {
        entries.entry(format!("change_windows: {}", window.reason)).or_default().configured = true;
    }
    for finding in kept(config, args.place.lake.as_deref())
        .await?
        .iter()
        .filter(|finding| finding.status == FindingStatus::Suppressed)
    {
        if let Some(label) = &finding.suppressed_by {
            entries.entry(label.clone()).or_default().add(finding, since);
        }
    }
    print(&entries, today, args.format)
}

impl Entry {
    fn add(&mut self, finding: &Finding, since: NaiveDate) {
        let day = finding
            .last_seen
            .as_deref()
            .and_then(|time| DateTime::parse_from_rfc3339(time).ok())
            .map(|time| time.date_naive());
        // What has no time may be of today.
        if day.is_none_or(|day| day >= since) {
            self.findings += 1;
            self.events += finding.count;
        }
        self.last = self.last.take().max(finding.last_seen.clone());
        if !self.rules.contains(&finding.rule_id) {
            self.rules.push(finding.rule_id.clone());
        }
    }

    /// What to do about it, if anything.
    fn advice(&self, today: NaiveDate) -> &'static str {
        let soon = today.checked_add_days(Days::new(EXPIRES_SOON_DAYS)).unwrap_or(today);
        match self.expires {
            Some(day) if day < today => "expired: findings come again; renew or remove it",
            Some(day) if day <= soon => "expires soon: renew it or let it end",
            _ if self.configured && self.findings == 0 => "has hidden nothing: is it still needed?",
            _ => "",
        }
    }
}

fn print(
    entries: &BTreeMap<String, Entry>,
    today: NaiveDate,
    format: Format,
) -> Result<Exit, Failure> {
    let header =
        ["suppressed by", "rules", "expires", "findings in 90 days", "events", "last", "to do"];
    let row = |(label, entry): (&String, &Entry)| {
        vec![
            label.clone(),
            entry.rules.join(" "),
            entry.expires.map_or_else(String::new, |day| day.to_string()),
            entry.findings.to_string(),
            entry.events.to_string(),
            entry.last.clone().unwrap_or_default(),
            entry.advice(today).to_owned(),
        ]
    };
    match format {
        Format::Json => {
            for (label, entry) in entries {
                let line = json!({ "suppressed_by": label, "rules": entry.rules, "expires": entry.expires.map(|day| day.to_string()),
                    "findings": entry.findings, "events": entry.events, "last_seen": entry.last, "to_do": entry.advice(today) });
                printer::line(&line.to_string())?;
            }
        }
        Format::Csv => printer::csv(&header, entries.iter().map(row))?,
        Format::Table if entries.is_empty() => {
            printer::line("Nothing is suppressed, and nothing would be.")?
        }
        Format::Table => {
            let mut table = printer::table(&header);
            for entry in entries {
                table.add_row(row(entry).into_iter().map(printer::cell));
            }
            printer::line(&table.to_string())?;
            printer::talk(
                "What is hidden: trailhound query -c \"SELECT * FROM findings WHERE status = 'suppressed'\"",
            );
        }
    }
    Ok(Exit::Done)
}
