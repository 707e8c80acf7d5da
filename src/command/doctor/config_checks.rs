//! Checks of the configuration file, the rules and the files that it names.

use super::check::{Check, CheckArea, CheckText};
use crate::config::Config;
use crate::exit::Failure;

const AREA: CheckArea = CheckArea::Configuration;

/// Checks the file, with the `problems` that were found when it was read.
pub(super) fn run(config: &Config, problems: Vec<Failure>) -> Vec<Check> {
    let file = match config.path() {
        Some(path) => path.display().to_string(),
        None => "trailhound.toml".to_owned(),
    };
    let mut checks: Vec<Check> =
        problems.iter().map(|problem| wrong_setting(&file, &problem.to_string())).collect();
    for broken in &config.broken_rules {
        checks.push(Check::wrong(
            AREA,
            "rules",
            CheckText::new(
                format!("{broken}; the rule does not run"),
                format!("{broken}；该规则不会运行"),
            ),
            CheckText::new(
                "mend the rule file; `trailhound rules lint` checks it",
                "修正该规则文件；用 `trailhound rules lint` 检查",
            ),
        ));
    }
    let sections = [
        config.reports().err(),
        config.query_token().err(),
        config.postgres_endpoint().err(),
        config.investigations().err(),
    ];
    for failure in sections.into_iter().flatten() {
        checks.push(wrong_setting(&file, &failure.to_string()));
    }
    for warning in config.warnings.iter().cloned().chain(config.parameters.warnings()) {
        checks.push(Check::found(
            AREA,
            &file,
            super::check::Verdict::Note,
            CheckText::new(&warning, &warning),
            CheckText::new("see whether this is meant", "请确认是否如此"),
        ));
    }
    if checks.is_empty() {
        checks.push(all_right(config, file));
    }
    if config.each_source().is_empty() {
        checks.push(Check::found(
            AREA,
            "source",
            super::check::Verdict::Note,
            CheckText::new(
                "the configuration names no source to follow",
                "配置中没有要跟踪的数据源",
            ),
            CheckText::new(
                "add [[source.kafka]] or [[source.oss]] (docs/live.md), or ingest files: `trailhound ingest PATH...`",
                "添加 [[source.kafka]] 或 [[source.oss]]（见 docs/live.md），或导入文件：`trailhound ingest PATH...`",
            ),
        ));
    }
    checks
}

fn all_right(config: &Config, file: String) -> Check {
    let missing = |rule: &&trailhound_queries::packs::rules::Rule| {
        rule.enabled && rule.missing_parameters(&config.parameters).is_empty()
    };
    let rules = config.rule_set.rules.iter().filter(missing).count();
    let (all, sources) = (config.rule_set.rules.len(), config.each_source().len());
    Check::right(
        AREA,
        file,
        CheckText::new(
            format!(
                "read; {sources} sources; {rules} of {all} rules are on and have their parameters"
            ),
            format!("已读取；{sources} 个数据源；{all} 条规则中有 {rules} 条已启用且参数齐全"),
        ),
    )
}

/// A setting that is wrong. `problem` names it.
pub(super) fn wrong_setting(file: &str, problem: &str) -> Check {
    Check::wrong(AREA, file, CheckText::new(problem, problem), advice(problem))
}

/// A source or sink whose settings are wrong.
pub(super) fn wrong_part(area: CheckArea, name: &str, failure: &Failure) -> Check {
    let problem = failure.to_string();
    Check::wrong(area, name, CheckText::new(&problem, &problem), advice(&problem))
}

fn advice(problem: &str) -> CheckText {
    if problem.contains("geo_") {
        CheckText::new(
            "put the database (MaxMind format, .mmdb) at this path, or correct or remove the key; rules that need it do not run without it",
            "将数据库（MaxMind 格式，.mmdb）放到该路径，或更正、删除该配置项；缺少它时依赖它的规则不会运行",
        )
    } else if problem.contains("environment") {
        CheckText::new(
            "set the variable for the user that runs trailhound, or give the secret as `file:PATH`",
            "为运行 trailhound 的用户设置该环境变量，或用 `file:PATH` 提供密钥",
        )
    } else {
        CheckText::new(
            "correct this setting; docs/live.md, docs/sinks.md and docs/rules.md describe all of them",
            "更正该配置项；说明见 docs/live.md、docs/sinks.md 和 docs/rules.md",
        )
    }
}
