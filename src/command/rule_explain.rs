//! `trailhound rules explain`: prints why a rule matches an event or not.

use super::lake_access::open_session;
use crate::cli::RulesExplainArgs;
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use trailhound_datasets::sanitize::sanitize;
use trailhound_detect::Finding;
use trailhound_detect::authoring::explain::{Explanation, explain};
use trailhound_queries::explain::ConditionResult;
use trailhound_queries::packs::rules::Rule;

/// Explains `rule` for the event that `args` names. Fails the check if the event is not a finding.
pub(super) async fn run(
    config: &Config,
    rule: &Rule,
    args: &RulesExplainArgs,
) -> Result<Exit, Failure> {
    let session = open_session(config, args.lake.folder()).await?;
    let Some(explained) = explain(&session, rule, &args.event).await? else {
        return Err(Failure::Usage(format!(
            "the lake holds no event with the id or key `{}`",
            args.event
        )));
    };
    printer::line(&format!("{} {}: event {}", rule.id, rule.title.en, sanitize(&args.event)))?;
    if explained.events > 1 {
        printer::line(&format!(
            "{} events have this id; the first one is explained. To explain another, give its event_key.",
            explained.events
        ))?;
    }
    let missing = rule.missing_parameters(&config.parameters);
    if !missing.is_empty() {
        printer::line(&format!(
            "The rule is not loaded: it needs {}. Conditions on these parameters are unknown.",
            missing.join(", ")
        ))?;
    }
    print_steps(&explained)?;
    for finding in &explained.findings {
        print_finding(finding)?;
    }
    Ok(if explained.findings.is_empty() { Exit::CheckFailed } else { Exit::Success })
}

fn print_steps(explained: &Explanation) -> Result<(), Failure> {
    for step in &explained.steps {
        let verdict = match (step.conditions.is_empty(), step.passes()) {
            // A part that reads other events has no condition on this one, which is a finding all
            // the same.
            (true, _) if !explained.findings.is_empty() => continue,
            (true, _) => "the event does not reach this part",
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
    printer::line(if explained.findings.is_empty() {
        "\nThe event is not a finding."
    } else {
        ""
    })?;
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
