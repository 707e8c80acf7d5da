//! `trailhound entities` and `trailhound incidents`: findings grouped by the entities they concern.

use super::lake_access::stored_findings;
use crate::cli::{EntitiesArgs, IncidentsArgs};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::list_output::{ListOptions, OutputFormat, Sheet};
use crate::printer;
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::net::IpAddr;
use trailhound_datasets::sanitize::sanitize;
use trailhound_detect::Finding;
use trailhound_detect::finding::risk::{
    Entity, EntityKind, EntityRisk, Incident, entities, entity_risks, incidents,
};
use trailhound_queries::local_time::local_text;

/// Maximum number of rules in the row of an entity. The rules with the greatest contributions to
/// its risk come first.
const RULES_SHOWN: usize = 6;

/// Prints the entities that findings concern, or the details of one entity.
pub(super) async fn run(config: &Config, args: EntitiesArgs) -> Result<Exit, Failure> {
    args.list.checked_format()?;
    let findings = stored_findings(config, args.lake.folder()).await?;
    let mut risks = entity_risks(&findings, config.now().timestamp_micros());
    match &args.id {
        Some(id) => {
            risks.retain(|risk| risk.entity.id == *id || risk.name.as_ref() == Some(id));
            if risks.is_empty() {
                return Err(Failure::Usage(format!(
                    "no open finding concerns `{id}`; `trailhound entities` lists the entities"
                )));
            }
            for risk in &risks {
                print_entity(risk, &findings, args.list, config.time_zone)?;
            }
        }
        None => {
            risks.retain(|risk| args.kind.is_none_or(|kind| kind == risk.entity.kind));
            print_list(&risks, args.limit, args.list, config.time_zone)?;
        }
    }
    Ok(Exit::Success)
}

/// The row of an entity in the list.
fn row(risk: &EntityRisk, zone: Tz) -> Vec<String> {
    let Entity { kind, account_id, id } = &risk.entity;
    let mut rules: Vec<&str> = Vec::new();
    for term in risk.terms.iter().filter(|term| term.nth == 1) {
        rules.push(&term.rule_id);
    }
    let more = rules.len().saturating_sub(RULES_SHOWN);
    rules.truncate(RULES_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    vec![
        format!("{:.1}", risk.score),
        kind.name().to_owned(),
        id.clone(),
        risk.name.clone().unwrap_or_default(),
        account_id.clone().unwrap_or_default(),
        risk.terms.len().to_string(),
        local_text(risk.last_seen.as_deref().unwrap_or_default(), zone),
        format!("{}{more}", rules.join(" ")),
    ]
}

fn print_list(
    risks: &[EntityRisk],
    limit: usize,
    list: ListOptions,
    zone: Tz,
) -> Result<(), Failure> {
    let header = ["risk", "kind", "id", "name", "account", "findings", "last seen", "rules"];
    match list.format {
        OutputFormat::Json => {
            for risk in risks {
                printer::line(&serde_json::to_string(risk).map_err(Failure::internal)?)?;
            }
        }
        OutputFormat::Csv | OutputFormat::Xlsx => {
            let numbers = &["risk", "findings"];
            let sheet = Sheet { name: "entities", header: &header, numbers };
            list.write_sheet(&sheet, risks.iter().map(|risk| row(risk, zone)))?;
        }
        OutputFormat::Table => {
            let mut table = printer::table(&header);
            for risk in risks.iter().take(limit) {
                table.add_row(row(risk, zone).into_iter().map(printer::cell));
            }
            printer::line(&table.to_string())?;
            printer::message(&match risks.len().checked_sub(limit).filter(|more| *more > 0) {
                Some(more) => format!(
                    "{more} more: use --limit or --format json. The terms of one risk score: trailhound entities ID"
                ),
                None => "The terms of one risk score: trailhound entities ID".to_owned(),
            });
        }
    }
    Ok(())
}

/// Prints one entity: its risk score term by term, and its findings in order of time.
fn print_entity(
    risk: &EntityRisk,
    findings: &[Finding],
    list: ListOptions,
    zone: Tz,
) -> Result<(), Failure> {
    if list.format == OutputFormat::Json {
        return Ok(printer::line(&serde_json::to_string(risk).map_err(Failure::internal)?)?);
    }
    if list.format != OutputFormat::Table {
        return Err(Failure::Usage(
            "one entity is printed as a table or as JSON; CSV and workbooks are for the list"
                .to_owned(),
        ));
    }
    let Entity { kind, account_id, id } = &risk.entity;
    let account =
        account_id.as_ref().map_or_else(String::new, |account| format!(" of account {account}"));
    let name = risk.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let title = format!("{} {id}{name}{account}: risk {:.1}", kind.name(), risk.score);
    printer::line(&sanitize(&title))?;
    let mut sum =
        printer::table(&["adds", "weight", "age in days", "n-th of its rule", "rule", "finding"]);
    for term in &risk.terms {
        let row = [
            format!("{:.1}", term.adds),
            format!("{:.0}", term.weight),
            format!("{:.1}", term.age_days),
            term.nth.to_string(),
            term.rule_id.clone(),
            term.finding_id.clone(),
        ];
        sum.add_row(row.map(printer::cell));
    }
    printer::line(&sum.to_string())?;
    printer::line("Each finding adds weight * 0.5 ^ (age / 7 days) / n.\n")?;
    let concerned: Vec<&Finding> =
        findings.iter().filter(|finding| entities(finding).contains(&risk.entity)).collect();
    print_timeline(&concerned, zone)
}

fn print_timeline(findings: &[&Finding], zone: Tz) -> Result<(), Failure> {
    let mut table = printer::table(&[
        "first seen",
        "severity",
        "rule",
        "title",
        "who",
        "from",
        "why",
        "status",
    ]);
    for finding in findings {
        let first_seen = finding.first_seen.as_deref().unwrap_or_default();
        let mut row = vec![
            printer::cell(local_text(first_seen, zone)),
            printer::severity_cell(finding.severity),
        ];
        let who = finding
            .operator
            .name
            .clone()
            .or_else(|| finding.operator.principal_id.clone())
            .unwrap_or_default();
        let why = finding.why.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
        let rest = [
            &finding.rule_id,
            &finding.title,
            &who,
            &finding.shown_source(),
            &why,
            finding.status.name(),
        ];
        row.extend(rest.map(printer::cell));
        table.add_row(row);
    }
    Ok(printer::line(&table.to_string())?)
}

/// Prints the incidents.
pub(super) async fn run_incidents(config: &Config, args: IncidentsArgs) -> Result<Exit, Failure> {
    let (format, zone) = (args.list.checked_format()?, config.time_zone);
    let findings = stored_findings(config, args.lake.folder()).await?;
    let window = i64::from(args.window_minutes) * 60_000_000;
    // Employees of one office share its address, which therefore does not connect their findings.
    let shared = |entity: &Entity| {
        let corporate = |ip: IpAddr| {
            config
                .parameters
                .corporate_cidrs
                .as_ref()
                .is_some_and(|list| list.label(ip, None).flatten().is_some())
        };
        entity.kind == EntityKind::Address && entity.id.parse().is_ok_and(corporate)
    };
    let found = incidents(&findings, window, &shared);
    match format {
        OutputFormat::Json => {
            for incident in &found {
                printer::line(&serde_json::to_string(incident).map_err(Failure::internal)?)?;
            }
        }
        OutputFormat::Csv | OutputFormat::Xlsx => {
            let header = ["incident_id", "severity", "first_seen", "findings", "rules", "entities"];
            let sheet = Sheet { name: "incidents", header: &header, numbers: &["findings"] };
            args.list
                .write_sheet(&sheet, found.iter().map(|incident| incident_row(incident, zone)))?;
        }
        OutputFormat::Table => {
            for incident in &found {
                let cells = incident_row(incident, zone);
                let title = format!("incident {} ({}): {}", cells[0], cells[1], cells[5]);
                printer::line(&sanitize(&title))?;
                print_timeline(&incident.findings, zone)?;
            }
            printer::message(&format!("{} incidents", found.len()));
        }
    }
    Ok(Exit::Success)
}

/// The row of an incident.
fn incident_row(incident: &Incident<'_>, zone: Tz) -> Vec<String> {
    let mut rules: BTreeMap<&str, u32> = BTreeMap::new();
    for finding in &incident.findings {
        *rules.entry(&finding.rule_id).or_default() += 1;
    }
    let entities: Vec<String> = incident
        .entities
        .iter()
        .map(|entity| format!("{} {}", entity.kind.name(), entity.id))
        .collect();
    vec![
        incident.incident_id.clone(),
        incident.severity.name().to_owned(),
        incident
            .findings
            .first()
            .and_then(|finding| finding.first_seen.as_deref())
            .map(|first_seen| local_text(first_seen, zone))
            .unwrap_or_default(),
        incident.findings.len().to_string(),
        rules.into_keys().collect::<Vec<_>>().join(" "),
        entities.join(", "),
    ]
}
