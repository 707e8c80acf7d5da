//! Printing findings: for people, for programs, for spreadsheets.

use super::{coverage, ingest};
use crate::cli::{DetectionArgs, Format};
use crate::exit::Failure;
use crate::printer;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use std::collections::BTreeMap;
use trailhound_detect::{Detection, Finding, FindingStatus, SkippedRule, StoreSummary};
use trailhound_ingest::IngestReport;
use trailhound_queries::packs::rules::{RuleSet, Severity};
use trailhound_queries::session::Session;

/// Findings the table lists one by one.
const TABLE_FINDINGS_MAX: usize = 200;
/// Reasons and targets shown of one finding.
const PARTS_SHOWN: usize = 6;

/// Prints everything a scan has to say.
pub(crate) async fn print(
    session: &Session,
    catalogue: &RuleSet,
    report: Option<&IngestReport>,
    detection: &Detection,
    kept: StoreSummary,
    args: &DetectionArgs,
) -> Result<(), Failure> {
    match args.format {
        Format::Json => {
            for finding in detection.findings.iter().chain(&kept.withdrawn) {
                printer::line(&serde_json::to_string(finding).map_err(Failure::internal)?)?;
            }
            talk_about(report, detection);
        }
        Format::Csv => {
            printer::csv(
                &CSV_HEADER,
                detection.findings.iter().chain(&kept.withdrawn).map(csv_row),
            )?;
            talk_about(report, detection);
        }
        Format::Table => {
            print_table(detection, args)?;
            print_summary(detection)?;
            printer::line("")?;
            for line in report.map(ingest::summary).unwrap_or_default() {
                printer::line(&line)?;
            }
            let withdrawn = kept.withdrawn.len();
            printer::line(&format!(
                "findings: {} new, {} revised, {} known, {withdrawn} withdrawn",
                kept.new, kept.revised, kept.unchanged
            ))?;
            print_unjudged(session).await?;
            coverage::print_briefly(session, catalogue).await?;
            for line in not_loaded(&detection.skipped) {
                printer::line(&format!("\n{line}"))?;
            }
            tell_failed(detection);
        }
    }
    Ok(())
}

fn talk_about(report: Option<&IngestReport>, detection: &Detection) {
    for line in report.map(ingest::summary).unwrap_or_default() {
        printer::talk(&line);
    }
    for line in not_loaded(&detection.skipped) {
        printer::talk(&line);
    }
    tell_failed(detection);
}

fn tell_failed(detection: &Detection) {
    for (rule, reason) in &detection.failed {
        printer::talk(&format!(
            "error: rule {rule} broke and found nothing; the others ran. {reason}"
        ));
    }
}

/// Which rules did not run, by the parameter they lack, and what to write to give it.
fn not_loaded(skipped: &[SkippedRule]) -> Vec<String> {
    let mut by_parameter: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in skipped {
        for parameter in &rule.missing {
            by_parameter.entry(parameter).or_default().push(&rule.rule_id);
        }
    }
    by_parameter
        .into_iter()
        .map(|(parameter, rules)| {
            format!("NOT LOADED: {}.\n{}", rules.join(", "), how_to_give(parameter))
        })
        .collect()
}

/// What to write, and where, to give a parameter.
pub(crate) fn how_to_give(parameter: &str) -> String {
    let example = match parameter {
        "corporate_cidrs" => {
            r#"corporate_cidrs = [{ cidr = "203.0.113.0/24", label = "office" }]   # your ranges, IPv6 too"#
        }
        "business_hours" => {
            r#"business_hours = { timezone = "Asia/Shanghai", from = "09:00", to = "18:00" }"#
        }
        "geo_city" => {
            r#"geo_city = "GeoLite2-City.mmdb"   # a database in MaxMind's format, counted from this file"#
        }
        "geo_asn" => r#"geo_asn = "GeoLite2-ASN.mmdb""#,
        "approved_images" => r#"approved_images = ["m-bp1golden*"]"#,
        "allowed_regions" => r#"allowed_regions = ["cn-*", "ap-southeast-1"]"#,
        "sso_mode" => r#"sso_mode = "user_sso"   # or role_sso, cloudsso"#,
        other => return format!("  Give `{other}` under [parameters] in trailhound.toml."),
    };
    format!(
        "  For it to run, write under [parameters] in trailhound.toml (here, or named with --config):\n    {example}"
    )
}

fn print_table(detection: &Detection, args: &DetectionArgs) -> Result<(), Failure> {
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
    let mut table = printer::table(&["severity", "time (UTC)", "who", "from", "what", "why"]);
    for finding in shown.iter().take(TABLE_FINDINGS_MAX) {
        let mut row = vec![printer::severity_cell(finding.severity)];
        row.extend(
            [when(finding), who(finding), finding.shown_source(), what(finding), why(finding)]
                .map(printer::cell),
        );
        table.add_row(row);
    }
    printer::line(&table.to_string())?;
    if shown.len() > TABLE_FINDINGS_MAX {
        printer::line(&format!(
            "... and {} more; --format json gives all",
            shown.len() - TABLE_FINDINGS_MAX
        ))?;
    }
    Ok(())
}

fn when(finding: &Finding) -> String {
    let first = finding.first_seen.as_deref().unwrap_or("not recorded");
    match &finding.last_seen {
        Some(last) if finding.count > 1 && last != first => format!("{first} .. {last}"),
        _ => first.to_owned(),
    }
}

fn who(finding: &Finding) -> String {
    let operator = &finding.operator;
    let mut text = operator
        .name
        .clone()
        .or_else(|| operator.principal_id.clone())
        .unwrap_or_else(|| "nobody named".to_owned());
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

fn what(finding: &Finding) -> String {
    let mut text = format!("{} {}: {}", finding.rule_id, finding.title, cut(&finding.actions));
    if finding.count > 1 {
        text.push_str(&format!(" x{}", finding.count));
    }
    if !finding.targets.is_empty() {
        let ids: Vec<String> = finding.targets.iter().map(|target| target.id.clone()).collect();
        text.push_str(&format!(" on {}", cut(&ids)));
    }
    text
}

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

fn cut(parts: &[String]) -> String {
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

/// What no rule could decide.
const UNJUDGED: &str = "\
SELECT count(*) FILTER (WHERE event_action LIKE 'consolesignin%' AND outcome = 'success' AND mfa = 'unknown'), \
count(*) FILTER (WHERE event_action LIKE 'consolesignin%' AND outcome = 'success'), \
count(*) FILTER (WHERE event_action LIKE 'consolesignin%' AND outcome = 'success' AND source_class <> 'ip'), \
count(*) FILTER (WHERE event_action IN ('stopinstance', 'stopinstances', 'deleteinstance', 'deleteinstances') AND outcome = 'dry_run'), \
count(*) FILTER (WHERE event_time IS NULL), \
count(*) FILTER (WHERE cardinality(flags) > 0 AND array_has(flags, 'id_conflict')) FROM events";

async fn print_unjudged(session: &Session) -> Result<(), Failure> {
    let batches = session.sql(UNJUDGED).await?.collect().await.map_err(Failure::internal)?;
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
        lines.push(format!("{unknown_mfa} of {sign_ins} sign-ins do not say whether MFA was used"));
        lines.push(format!(
            "{} of {sign_ins} sign-ins come from something that is no address",
            count(2)
        ));
    }
    for (index, what) in [
        (3, "stops and releases were dry runs: somebody tried what would happen"),
        (4, "events have no readable time and fall into no window"),
        (5, "events share their id with another event that says something else"),
    ] {
        if count(index) > 0 {
            lines.push(format!("{} {what}", count(index)));
        }
    }
    if !lines.is_empty() {
        printer::line("\nCould not be judged:")?;
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

fn csv_row(finding: &Finding) -> Vec<String> {
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
        text(&finding.first_seen),
        text(&finding.last_seen),
        finding.count.to_string(),
        finding.actions.join(" "),
        targets.join(" "),
        finding.why.join("; "),
        finding.unknowns.join("; "),
        text(&finding.suppressed_by),
    ]
}
