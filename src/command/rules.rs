//! `trailhound rules`.

use super::{rule_files, rule_work, sigma};
use crate::cli::{self, Format};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use trailhound_detect::authoring::cases::CaseRunner;
use trailhound_detect::authoring::lint;
use trailhound_queries::packs::attack::tactics;
use trailhound_queries::packs::rules::Rule;

/// Time taken for the present when cases run, so that their fixed dates stay in range.
const CASES_NOW_MICROS: i64 = 1_790_812_800_000_000; // 2026-10-01T00:00:00Z

pub(crate) async fn run(config: &Config, args: cli::Rules) -> Result<Exit, Failure> {
    match args {
        cli::Rules::List(args) => list(config, &args),
        cli::Rules::Explain(args) => {
            rule_work::run_explain(config, find(config, &args.id)?, &args).await
        }
        cli::Rules::Backtest(args) => rule_work::run_backtest(config, &args).await,
        cli::Rules::Show { id } => show(config, &id),
        cli::Rules::Test { ids, junit } => test(config, &ids, junit.as_deref()).await,
        cli::Rules::Lint { ids } => lint(config, &ids).await,
        cli::Rules::Import(args) => sigma::run_import(config, &args).await,
        cli::Rules::Export(args) => sigma::run_export(&selected(config, &args.ids)?, &args),
        cli::Rules::New { id, group, title } => rule_files::write(config, &id, &group, &title),
    }
}

fn find<'c>(config: &'c Config, id: &str) -> Result<&'c Rule, Failure> {
    config.catalogue.get(id).map_err(Failure::usage)
}

/// The rules that `args` ask for.
fn chosen<'c>(config: &'c Config, args: &cli::RulesList) -> Result<Vec<&'c Rule>, Failure> {
    let profile = args.profile.as_deref().map(|name| config.profile(name)).transpose()?;
    let tactic = args.tactic.as_ref().map(|tactic| tactic.to_lowercase().replace([' ', '_'], "-"));
    let has_tactic = |rule: &Rule, tactic: &String| {
        rule.attack.iter().flat_map(|technique| tactics(technique)).any(|known| known == tactic)
    };
    let chosen = config.catalogue.rules.iter().filter(|rule| {
        args.group.as_ref().is_none_or(|group| *group == rule.group)
            && args.severity.is_none_or(|severity| rule.severity >= severity)
            && tactic.as_ref().is_none_or(|tactic| has_tactic(rule, tactic))
            && profile.as_ref().is_none_or(|profile| profile.rules().contains(rule.id.as_str()))
    });
    let chosen: Vec<&Rule> = chosen.collect();
    if chosen.is_empty() {
        let groups: BTreeSet<&str> =
            config.catalogue.rules.iter().map(|rule| rule.group.as_str()).collect();
        let known: BTreeSet<&str> = config
            .catalogue
            .rules
            .iter()
            .flat_map(|rule| &rule.attack)
            .flat_map(|technique| tactics(technique))
            .copied()
            .collect();
        let list = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!(
            "no rule is like that. Groups: {}. Tactics: {}",
            list(groups),
            list(known)
        )));
    }
    Ok(chosen)
}

fn list(config: &Config, args: &cli::RulesList) -> Result<Exit, Failure> {
    let rules = chosen(config, args)?;
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
    match args.format {
        Format::Json => {
            for rule in rules {
                let line = json!({ "id": rule.id, "version": rule.version, "group": rule.group, "severity": rule.severity.name(), "title": rule.title.en,
                    "title_zh": rule.title.zh, "status": rule.status, "attack": rule.attack,
                    "tactics": rule.attack.iter().flat_map(|technique| tactics(technique)).collect::<BTreeSet<_>>(), "enabled": rule.enabled, "parameters": rule.parameters,
                    "missing_parameters": rule.missing_parameters(&config.parameters), "cases": rule.cases.len() });
                printer::line(&line.to_string())?;
            }
        }
        Format::Csv => printer::csv(&header, rules.into_iter().map(row))?,
        Format::Table => {
            let mut table = printer::table(&header);
            for rule in rules {
                table.add_row(row(rule).into_iter().map(printer::cell));
            }
            printer::line(&table.to_string())?;
        }
    }
    Ok(Exit::Done)
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
    Ok(Exit::Done)
}

fn selected<'c>(config: &'c Config, ids: &[String]) -> Result<Vec<&'c Rule>, Failure> {
    if ids.is_empty() {
        Ok(config.catalogue.rules.iter().collect())
    } else {
        ids.iter().map(|id| find(config, id)).collect()
    }
}

async fn lint(config: &Config, ids: &[String]) -> Result<Exit, Failure> {
    let rules = selected(config, ids)?;
    let problems = lint::lint(&config.catalogue, &rules).await.map_err(Failure::internal)?;
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
    Ok(if problems.is_empty() && config.broken_rules.is_empty() { Exit::Done } else { Exit::Found })
}

async fn test(config: &Config, ids: &[String], junit: Option<&Path>) -> Result<Exit, Failure> {
    let rules = selected(config, ids)?;
    let decode = |content: &[u8]| trailhound_ingest::decode_to_batch(content, CASES_NOW_MICROS);
    let mut runner = CaseRunner::new(&decode);
    let (mut passed, mut failed) = (0, 0);
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
    Ok(if failed == 0 { Exit::Done } else { Exit::Found })
}
