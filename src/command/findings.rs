//! Prints the findings of a run as a table with summaries, as JSON or as CSV.

use super::{coverage, ingest};
use crate::cli::DetectionArgs;
use crate::config::Config;
use crate::exit::Failure;
use crate::list_output::{OutputFormat, Sheet};
use crate::printer;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use chrono_tz::Tz;
use std::collections::BTreeMap;
use trailhound_detect::{Detection, Finding, FindingStatus, SkippedRule, StoreSummary};
use trailhound_ingest::IngestReport;
use trailhound_queries::local_time::local_text;
use trailhound_queries::packs::rules::Severity;
use trailhound_queries::session::Session;

/// Maximum number of findings in the table.
const TABLE_FINDINGS_MAX: usize = 200;
/// Maximum number of reasons, of actions and of targets of one finding in the table.
const PARTS_SHOWN: usize = 6;

/// Prints the result of a run. In all formats but tables the findings go to standard output, messages to
/// standard error.
pub(super) async fn print(
    session: &Session,
    config: &Config,
    report: Option<&IngestReport>,
    detection: &Detection,
    stored: StoreSummary,
    args: &DetectionArgs,
) -> Result<(), Failure> {
    match args.list.checked_format()? {
        OutputFormat::Json => {
            for finding in detection.findings.iter().chain(&stored.withdrawn) {
                printer::line(&serde_json::to_string(finding).map_err(Failure::internal)?)?;
            }
            print_messages(report, detection);
        }
        OutputFormat::Csv | OutputFormat::Xlsx => {
            let sheet = Sheet { name: "findings", header: &CSV_HEADER, numbers: &["count"] };
            let findings = detection.findings.iter().chain(&stored.withdrawn);
            args.list
                .write_sheet(&sheet, findings.map(|finding| csv_row(finding, config.time_zone)))?;
            print_messages(report, detection);
        }
        OutputFormat::Table => {
            print_table(detection, args, config.time_zone)?;
            print_summary(detection)?;
            printer::line("")?;
            for line in report.map(ingest::summary).unwrap_or_default() {
                printer::line(&line)?;
            }
            let withdrawn = stored.withdrawn.len();
            printer::line(&format!(
                "findings: {} new, {} revised, {} known, {withdrawn} withdrawn",
                stored.new, stored.revised, stored.unchanged
            ))?;
            print_undecided(session).await?;
            coverage::print_summary(session, &config.rule_set).await?;
            for line in skipped_rules(&detection.skipped) {
                printer::line(&format!("\n{line}"))?;
            }
            print_failed_rules(detection);
        }
    }
    Ok(())
}

/// Writes the summary of the ingest, and the rules that did not run, to standard error.
fn print_messages(report: Option<&IngestReport>, detection: &Detection) {
    for line in report.map(ingest::summary).unwrap_or_default() {
        printer::message(&line);
    }
    for line in skipped_rules(&detection.skipped) {
        printer::message(&line);
    }
    print_failed_rules(detection);
}

fn print_failed_rules(detection: &Detection) {
    for (rule, reason) in &detection.failed {
        printer::message(&format!(
            "error: rule {rule} failed and has no findings; the others ran. {reason}"
        ));
    }
}

/// One message per missing parameter: the rules that did not run without it, and how to configure
/// it.
fn skipped_rules(skipped: &[SkippedRule]) -> Vec<String> {
    let mut by_parameter: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in skipped {
        for parameter in &rule.missing {
            by_parameter.entry(parameter).or_default().push(&rule.rule_id);
        }
    }
    by_parameter
        .into_iter()
        .map(|(parameter, rules)| {
            format!("NOT LOADED: {}.\n{}", rules.join(", "), configuration_hint(parameter))
        })
        .collect()
}

/// How to configure a rule parameter, with an example.
pub(super) fn configuration_hint(parameter: &str) -> String {
    let example = match parameter {
        "corporate_cidrs" => {
            r#"corporate_cidrs = [{ cidr = "203.0.113.0/24", label = "office" }]   # your networks, IPv6 too"#
        }
        "business_hours" => {
            r#"business_hours = { timezone = "Asia/Shanghai", from = "09:00", to = "18:00" }"#
        }
        "geo_city" => {
            r#"geo_city = "GeoLite2-City.mmdb"   # a database in MaxMind's format, relative to this file"#
        }
        "geo_asn" => r#"geo_asn = "GeoLite2-ASN.mmdb""#,
        "approved_images" => r#"approved_images = ["m-bp1golden*"]"#,
        "allowed_regions" => r#"allowed_regions = ["cn-*", "ap-southeast-1"]"#,
        "sso_mode" => r#"sso_mode = "user_sso"   # or role_sso, cloudsso"#,
        other => return format!("  Write `{other}` under [parameters] in trailhound.toml."),
    };
    format!(
        "  To load it, write under [parameters] in trailhound.toml (in this folder, or given with --config):\n    {example}"
    )
}

fn print_table(detection: &Detection, args: &DetectionArgs, zone: Tz) -> Result<(), Failure> {
    let mut shown: Vec<&Finding> = detection
        .findings
        .iter()
        .filter(|f| args.show_suppressed || f.status == FindingStatus::Open)
        .collect();
    shown.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.event_time.cmp(&b.event_time)));
    if shown.is_empty() {
        printer::line("No findings.")?;
        return Ok(());
    }
    let time = format!("time ({zone})");
    let mut table = printer::table(&["severity", &time, "who", "from", "what", "why"]);
    for finding in shown.iter().take(TABLE_FINDINGS_MAX) {
        let mut row = vec![printer::severity_cell(finding.severity)];
        row.extend(
            [
                when(finding, zone),
                who(finding),
                finding.shown_source(),
                what(finding),
                why(finding),
            ]
            .map(printer::cell),
        );
        table.add_row(row);
    }
    printer::line(&table.to_string())?;
    if shown.len() > TABLE_FINDINGS_MAX {
        printer::line(&format!(
            "... and {} more; use --format json for all",
            shown.len() - TABLE_FINDINGS_MAX
        ))?;
    }
    Ok(())
}

/// Time of the first event, and of the last one where it differs.
fn when(finding: &Finding, zone: Tz) -> String {
    let Some(first) = &finding.first_seen else { return "not recorded".to_owned() };
    match &finding.last_seen {
        Some(last) if finding.count > 1 && last != first => {
            format!("{} .. {}", local_text(first, zone), local_text(last, zone))
        }
        _ => local_text(first, zone),
    }
}

/// Name, kind, key and account of the operator.
fn who(finding: &Finding) -> String {
    let operator = &finding.operator;
    let mut text = operator
        .name
        .clone()
        .or_else(|| operator.principal_id.clone())
        .unwrap_or_else(|| "unknown".to_owned());
    if let Some(kind) = &operator.kind {
        text.push_str(&format!(" ({kind})"));
    }
    if let Some(key) = &operator.access_key_id {
        text.push_str(&format!(" key {key}"));
    }
    if let Some(account) = finding.account_name.as_ref().or(finding.account_id.as_ref()) {
        text.push_str(&format!(" in {account}"));
    }
    text
}

/// Rule, title, actions, number of events and targets.
fn what(finding: &Finding) -> String {
    let mut text =
        format!("{} {}: {}", finding.rule_id, finding.title, shortened(&finding.actions));
    if finding.count > 1 {
        text.push_str(&format!(" x{}", finding.count));
    }
    if !finding.targets.is_empty() {
        let ids: Vec<String> = finding.targets.iter().map(|target| target.id.clone()).collect();
        text.push_str(&format!(" on {}", shortened(&ids)));
    }
    text
}

/// Reasons, verdict, unknown facts and suppression.
fn why(finding: &Finding) -> String {
    let mut text = finding.why.iter().take(PARTS_SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if finding.why.len() > PARTS_SHOWN {
        text.push_str(&format!("; and {} more", finding.why.len() - PARTS_SHOWN));
    }
    if let Some(verdict) = &finding.verdict {
        text.push_str(&format!(" [{verdict}]"));
    }
    if !finding.unknowns.is_empty() {
        text.push_str(&format!(" (unknown: {})", finding.unknowns.join(", ")));
    }
    if let Some(suppressed_by) = &finding.suppressed_by {
        text.push_str(&format!(" (suppressed by {suppressed_by})"));
    }
    text
}

/// The first parts, and how many more there are.
fn shortened(parts: &[String]) -> String {
    let mut text = parts.iter().take(PARTS_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if parts.len() > PARTS_SHOWN {
        text.push_str(&format!(" and {} more", parts.len() - PARTS_SHOWN));
    }
    text
}

fn print_summary(detection: &Detection) -> Result<(), Failure> {
    let mut rows: BTreeMap<(&str, &str), (u64, u64, u64, Severity)> = BTreeMap::new();
    for finding in &detection.findings {
        let row =
            rows.entry((&finding.rule_id, &finding.title)).or_insert((0, 0, 0, Severity::Info));
        match finding.status {
            FindingStatus::Open => {
                row.0 += 1;
                row.3 = row.3.max(finding.severity);
            }
            FindingStatus::Suppressed => row.1 += 1,
            FindingStatus::Withdrawn => {}
        }
        row.2 += finding.count;
    }
    let mut table = printer::table(&["rule", "title", "open", "suppressed", "events", "worst"]);
    for ((id, title), (open, suppressed, events, worst)) in rows {
        let mut row = [
            id.to_owned(),
            title.to_owned(),
            open.to_string(),
            suppressed.to_string(),
            events.to_string(),
        ]
        .map(printer::cell)
        .to_vec();
        row.push(if open > 0 { printer::severity_cell(worst) } else { printer::cell("") });
        table.add_row(row);
    }
    for id in
        detection.ran.iter().filter(|id| !detection.findings.iter().any(|f| f.rule_id == **id))
    {
        table.add_row([id.as_str(), "", "0", "0", "0", ""].map(printer::cell));
    }
    Ok(printer::line(&table.to_string())?)
}

/// Counts of events that rules cannot decide, and the number of sign-ins, in one row.
const UNDECIDED: &str = "\
SELECT count(*) FILTER (WHERE event_action LIKE 'consolesignin%' AND outcome = 'success' AND mfa = 'unknown'), \
count(*) FILTER (WHERE event_action LIKE 'consolesignin%' AND outcome = 'success'), \
count(*) FILTER (WHERE event_action LIKE 'consolesignin%' AND outcome = 'success' AND source_class <> 'ip'), \
count(*) FILTER (WHERE event_action IN ('stopinstance', 'stopinstances', 'deleteinstance', 'deleteinstances') AND outcome = 'dry_run'), \
count(*) FILTER (WHERE event_time IS NULL), \
count(*) FILTER (WHERE cardinality(flags) > 0 AND array_has(flags, 'id_conflict')) FROM events";

/// Prints how many events lack the facts that rules need.
async fn print_undecided(session: &Session) -> Result<(), Failure> {
    let batches = session.sql(UNDECIDED).await?.collect().await.map_err(Failure::internal)?;
    let count = |index: usize| -> i64 {
        batches
            .iter()
            .filter(|batch| batch.num_rows() > 0)
            .map(|batch| batch.column(index).as_primitive::<Int64Type>().value(0))
            .sum()
    };
    let mut lines = Vec::new();
    let (unknown_mfa, sign_ins) = (count(0), count(1));
    if sign_ins > 0 {
        lines.push(format!(
            "{unknown_mfa} of {sign_ins} sign-ins do not record whether MFA was used"
        ));
        lines.push(format!(
            "{} of {sign_ins} sign-ins have a source that is not an IP address",
            count(2)
        ));
    }
    for (index, what) in [
        (3, "stops and releases were dry runs"),
        (4, "events have no valid time and belong to no window"),
        (5, "events share their id with a different event"),
    ] {
        if count(index) > 0 {
            lines.push(format!("{} {what}", count(index)));
        }
    }
    if !lines.is_empty() {
        printer::line("\nUndecided:")?;
    }
    for line in lines {
        printer::line(&format!("  {line}"))?;
    }
    Ok(())
}

const CSV_HEADER: [&str; 19] = [
    "finding_id",
    "rule_id",
    "title",
    "severity",
    "status",
    "account_id",
    "operator_type",
    "operator_name",
    "principal_id",
    "access_key_id",
    "source_ip",
    "first_seen",
    "last_seen",
    "count",
    "actions",
    "targets",
    "why",
    "unknowns",
    "suppressed_by",
];

fn csv_row(finding: &Finding, zone: Tz) -> Vec<String> {
    let time = |time: &Option<String>| local_text(time.as_deref().unwrap_or_default(), zone);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let targets: Vec<&str> = finding.targets.iter().map(|target| target.id.as_str()).collect();
    vec![
        finding.finding_id.clone(),
        finding.rule_id.clone(),
        finding.title.clone(),
        finding.severity.name().to_owned(),
        finding.status.name().to_owned(),
        text(&finding.account_id),
        text(&finding.operator.kind),
        text(&finding.operator.name),
        text(&finding.operator.principal_id),
        text(&finding.operator.access_key_id),
        text(&finding.source_ip),
        time(&finding.first_seen),
        time(&finding.last_seen),
        finding.count.to_string(),
        finding.actions.join(" "),
        targets.join(" "),
        finding.why.join("; "),
        finding.unknowns.join("; "),
        text(&finding.suppressed_by),
    ]
}
