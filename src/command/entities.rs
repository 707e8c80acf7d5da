//! `trailhound entities` and `trailhound incidents`: findings by whom and what they concern.

use super::kept;
use crate::cli::{self, Format};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use std::collections::BTreeMap;
use std::net::IpAddr;
use trailhound_detect::Finding;
use trailhound_detect::finding::risk::{
    Entity, EntityKind, EntityRisk, Incident, entities, entity_risks, incidents,
};

/// Rules named beside an entity, those that add most first.
const RULES_SHOWN: usize = 6;

pub(crate) async fn run(config: &Config, args: cli::Entities) -> Result<Exit, Failure> {
    let findings = kept(config, args.place.lake.as_deref()).await?;
    let mut risks = entity_risks(&findings, config.now().timestamp_micros());
    match &args.id {
        Some(id) => {
            risks.retain(|risk| risk.entity.id == *id || risk.name.as_ref() == Some(id));
            if risks.is_empty() {
                return Err(Failure::Usage(format!(
                    "no open finding concerns `{id}`; `trailhound entities` lists whom and what they concern"
                )));
            }
            for risk in &risks {
                show(risk, &findings, args.format)?;
            }
        }
        None => {
            risks.retain(|risk| args.kind.is_none_or(|kind| kind == risk.entity.kind));
            list(&risks, args.limit, args.format)?;
        }
    }
    Ok(Exit::Done)
}

fn cells(risk: &EntityRisk) -> Vec<String> {
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
        risk.last_seen.clone().unwrap_or_default(),
        format!("{}{more}", rules.join(" ")),
    ]
}

fn list(risks: &[EntityRisk], limit: usize, format: Format) -> Result<(), Failure> {
    let header = ["risk", "kind", "id", "name", "account", "findings", "last seen", "rules"];
    match format {
        Format::Json => {
            for risk in risks {
                printer::line(&serde_json::to_string(risk).map_err(Failure::internal)?)?;
            }
        }
        Format::Csv => printer::csv(&header, risks.iter().map(cells))?,
        Format::Table => {
            let mut table = printer::table(&header);
            for risk in risks.iter().take(limit) {
                table.add_row(cells(risk).into_iter().map(printer::cell));
            }
            printer::line(&table.to_string())?;
            printer::talk(&match risks.len().checked_sub(limit).filter(|more| *more > 0) {
                Some(more) => format!(
                    "{more} more: --limit, --format json; how a risk comes about: trailhound entities ID"
                ),
                None => "How a risk comes about: trailhound entities ID".to_owned(),
            });
        }
    }
    Ok(())
}

/// One entity: the sum, term by term, and its findings in order of time.
fn show(risk: &EntityRisk, findings: &[Finding], format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return Ok(printer::line(&serde_json::to_string(risk).map_err(Failure::internal)?)?);
    }
    let Entity { kind, account_id, id } = &risk.entity;
    let account =
        account_id.as_ref().map_or_else(String::new, |account| format!(" of account {account}"));
    let name = risk.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let title = format!("{} {id}{name}{account}: risk {:.1}", kind.name(), risk.score);
    printer::line(&trailhound_datasets::sanitize::sanitize(&title))?;
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
    printer::line("Each adds weight * 0.5 ^ (age / 7 days) / n.\n")?;
    let concerned: Vec<&Finding> =
        findings.iter().filter(|finding| entities(finding).contains(&risk.entity)).collect();
    print_timeline(&concerned)
}

fn print_timeline(findings: &[&Finding]) -> Result<(), Failure> {
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
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut row = vec![
            printer::cell(text(&finding.first_seen)),
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

pub(crate) async fn run_incidents(config: &Config, args: cli::Incidents) -> Result<Exit, Failure> {
    let findings = kept(config, args.place.lake.as_deref()).await?;
    let window = i64::from(args.window_minutes) * 60_000_000;
    // People of one office share its address.
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
    match args.format {
        Format::Json => {
            for incident in &found {
                printer::line(&serde_json::to_string(incident).map_err(Failure::internal)?)?;
            }
        }
        Format::Csv => {
            let header = ["incident_id", "severity", "first_seen", "findings", "rules", "entities"];
            printer::csv(&header, found.iter().map(incident_cells))?;
        }
        Format::Table => {
            for incident in &found {
                let cells = incident_cells(incident);
                let title = format!("incident {} ({}): {}", cells[0], cells[1], cells[5]);
                printer::line(&trailhound_datasets::sanitize::sanitize(&title))?;
                print_timeline(&incident.findings)?;
            }
            printer::talk(&format!("{} incidents", found.len()));
        }
    }
    Ok(Exit::Done)
}

fn incident_cells(incident: &Incident<'_>) -> Vec<String> {
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
            .and_then(|finding| finding.first_seen.clone())
            .unwrap_or_default(),
        incident.findings.len().to_string(),
        rules.into_keys().collect::<Vec<_>>().join(" "),
        entities.join(", "),
    ]
}
