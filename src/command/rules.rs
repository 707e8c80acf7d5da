//! `trailhound rules`: lists, shows, checks and tests detection rules.

use super::{rule_backtest, rule_explain, rule_skeleton, sigma};
use crate::cli::{RulesCommand, RulesListArgs};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::list_output::{OutputFormat, Sheet};
use crate::printer;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use trailhound_detect::authoring::cases::CaseRunner;
use trailhound_detect::authoring::lint;
use trailhound_queries::packs::attack::tactics;
use trailhound_queries::packs::rules::Rule;

/// The current time while test cases run, so that their fixed dates stay in range.
const CASES_NOW_MICROS: i64 = 1_790_812_800_000_000; // 2026-10-01T00:00:00Z

/// Runs one of the commands on rules.
pub(super) async fn run(config: &Config, command: RulesCommand) -> Result<Exit, Failure> {
    match command {
        RulesCommand::List(args) => list(config, &args),
        RulesCommand::Explain(args) => {
            rule_explain::run(config, find(config, &args.id)?, &args).await
        }
        RulesCommand::Backtest(args) => rule_backtest::run(config, &args).await,
        RulesCommand::Show { id } => show(config, &id),
        RulesCommand::Test { ids, junit } => test(config, &ids, junit.as_deref()).await,
        RulesCommand::Lint { ids } => lint(config, &ids).await,
        RulesCommand::Import(args) => sigma::run_import(config, &args).await,
        RulesCommand::Export(args) => sigma::run_export(&selected(config, &args.ids)?, &args),
        RulesCommand::New { id, group, title } => rule_skeleton::write(config, &id, &group, &title),
    }
}

/// Finds the rule `id`.
fn find<'c>(config: &'c Config, id: &str) -> Result<&'c Rule, Failure> {
    config.rule_set.get(id).map_err(Failure::usage)
}

/// The rules that pass the filters of `args`.
fn filtered<'c>(config: &'c Config, args: &RulesListArgs) -> Result<Vec<&'c Rule>, Failure> {
    let profile = args.profile.as_deref().map(|name| config.profile(name)).transpose()?;
    let tactic = args.tactic.as_ref().map(|tactic| tactic.to_lowercase().replace([' ', '_'], "-"));
    let has_tactic = |rule: &Rule, tactic: &String| {
        rule.attack.iter().flat_map(|technique| tactics(technique)).any(|known| known == tactic)
    };
    let filtered = config.rule_set.rules.iter().filter(|rule| {
        args.group.as_ref().is_none_or(|group| *group == rule.group)
            && args.severity.is_none_or(|severity| rule.severity >= severity)
            && tactic.as_ref().is_none_or(|tactic| has_tactic(rule, tactic))
            && profile.as_ref().is_none_or(|profile| profile.rules().contains(rule.id.as_str()))
    });
    let filtered: Vec<&Rule> = filtered.collect();
    if filtered.is_empty() {
        let groups: BTreeSet<&str> =
            config.rule_set.rules.iter().map(|rule| rule.group.as_str()).collect();
        let known: BTreeSet<&str> = config
            .rule_set
            .rules
            .iter()
            .flat_map(|rule| &rule.attack)
            .flat_map(|technique| tactics(technique))
            .copied()
            .collect();
        let list = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!(
            "no rule passes these filters. Groups: {}. Tactics: {}",
            list(groups),
            list(known)
        )));
    }
    Ok(filtered)
}

fn list(config: &Config, args: &RulesListArgs) -> Result<Exit, Failure> {
    let rules = filtered(config, args)?;
    let state = |rule: &Rule| {
        let missing = rule.missing_parameters(&config.parameters);
        if !missing.is_empty() {
            format!("not loaded: needs {}", missing.join(", "))
        } else if rule.enabled {
            "on".to_owned()
        } else {
            "off by default".to_owned()
        }
    };
    let header = ["id", "group", "severity", "title", "title_zh", "attack", "state"];
    let row = |rule: &Rule| {
        vec![
            rule.id.clone(),
            rule.group.clone(),
            rule.severity.name().to_owned(),
            rule.title.en.clone(),
            rule.title.zh.clone(),
            rule.attack.join(" "),
            state(rule),
        ]
    };
    match args.list.checked_format()? {
        OutputFormat::Json => {
            for rule in rules {
                let line = json!({ "id": rule.id, "version": rule.version, "group": rule.group, "severity": rule.severity.name(), "title": rule.title.en,
                    "title_zh": rule.title.zh, "status": rule.status, "attack": rule.attack,
                    "tactics": rule.attack.iter().flat_map(|technique| tactics(technique)).collect::<BTreeSet<_>>(), "enabled": rule.enabled, "parameters": rule.parameters,
                    "missing_parameters": rule.missing_parameters(&config.parameters), "cases": rule.cases.len() });
                printer::line(&line.to_string())?;
            }
        }
        OutputFormat::Csv | OutputFormat::Xlsx => {
            let sheet = Sheet { name: "rules", header: &header, numbers: &[] };
            args.list.write_sheet(&sheet, rules.into_iter().map(row))?;
        }
        OutputFormat::Table => {
            let mut table = printer::table(&header);
            for rule in rules {
                table.add_row(row(rule).into_iter().map(printer::cell));
            }
            printer::line(&table.to_string())?;
        }
    }
    Ok(Exit::Success)
}

fn show(config: &Config, id: &str) -> Result<Exit, Failure> {
    let rule = find(config, id)?;
    let mut lines = vec![
        format!("{}  {}  ({})", rule.id, rule.title.en, rule.title.zh),
        format!(
            "version {}, {}, severity {}, ATT&CK {}",
            rule.version,
            rule.status,
            rule.severity,
            rule.attack.join(", ")
        ),
    ];
    if !rule.parameters.is_empty() {
        lines.push(format!("requires parameters: {}", rule.parameters.join(", ")));
    }
    if !rule.optional_parameters.is_empty() {
        lines.push(format!("uses if given: {}", rule.optional_parameters.join(", ")));
    }
    lines.extend(rule.needs.iter().map(|need| format!("needs {}", need.label())));
    lines.extend(rule.gaps.iter().map(|need| format!("sees more with {}", need.label())));
    lines.push("\nFalse positives:".to_owned());
    lines.extend(rule.false_positives.iter().map(|text| format!("  - {text}")));
    lines.push(format!("\nRunbook:\n  {}\n  {}", rule.runbook.en, rule.runbook.zh));
    lines.push("\nReferences:".to_owned());
    lines.extend(rule.references.iter().map(|text| format!("  - {text}")));
    lines.push(format!(
        "\nQuery (runs as it is in `trailhound query -c`), {} test cases:\n\n{}",
        rule.cases.len(),
        rule.sql.trim_end()
    ));
    for line in lines {
        printer::line(&line)?;
    }
    Ok(Exit::Success)
}

/// The rules with these ids; all rules if there are none.
fn selected<'c>(config: &'c Config, ids: &[String]) -> Result<Vec<&'c Rule>, Failure> {
    if ids.is_empty() {
        Ok(config.rule_set.rules.iter().collect())
    } else {
        ids.iter().map(|id| find(config, id)).collect()
    }
}

async fn lint(config: &Config, ids: &[String]) -> Result<Exit, Failure> {
    let rules = selected(config, ids)?;
    let problems = lint::lint(&config.rule_set, &rules).await.map_err(Failure::internal)?;
    for problem in &problems {
        printer::line(&problem.to_string())?;
    }
    for rule in &rules {
        for key in &rule.deprecated_keys {
            let path = rule.path.display();
            printer::line(&format!("{} deprecated-key: {key} (`{path}`)", rule.id))?;
        }
    }
    printer::line(&format!(
        "{} rules, {} checks each: {} problems",
        rules.len(),
        lint::CHECKS,
        problems.len()
    ))?;
    Ok(if problems.is_empty() && config.broken_rules.is_empty() {
        Exit::Success
    } else {
        Exit::CheckFailed
    })
}

async fn test(config: &Config, ids: &[String], junit: Option<&Path>) -> Result<Exit, Failure> {
    let rules = selected(config, ids)?;
    let decode = |content: &[u8]| trailhound_ingest::decode_to_batch(content, CASES_NOW_MICROS);
    let (mut passed, mut failed) = (0, 0);
    let mut runner = CaseRunner::new(&decode);
    let mut report = Report::new("trailhound rules test");
    for rule in rules {
        let mut suite = TestSuite::new(&rule.id);
        for result in runner.run(rule).await {
            let status = match &result.failure {
                None => {
                    passed += 1;
                    TestCaseStatus::success()
                }
                Some(failure) => {
                    failed += 1;
                    printer::line(&format!(
                        "FAILED {} \"{}\": {failure}",
                        result.rule_id, result.case
                    ))?;
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_message(failure);
                    status
                }
            };
            let mut case = TestCase::new(&result.case, status);
            case.set_classname(&rule.id);
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    if let Some(path) = junit {
        let file = std::fs::File::create(path)
            .map_err(|e| Failure::Usage(format!("`{}`: {e}", path.display())))?;
        report.serialize(file).map_err(Failure::internal)?;
    }
    printer::line(&format!("{passed} cases passed, {failed} failed"))?;
    Ok(if failed == 0 { Exit::Success } else { Exit::CheckFailed })
}
