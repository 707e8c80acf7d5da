//! The rule linter: checks a rule's description and that its query and conditions can be planned.
//! It finds mistakes that a rule's own test cases cannot show.

use crate::scan::predicate_set::EventPredicate;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use trailhound_datasets::samples;
use trailhound_queries::limits::{QueryLimits, SessionError};
use trailhound_queries::packs::rules::{FirstLast, Rule, RuleSet, TestCase};
use trailhound_queries::parameters::Parameters;
use trailhound_queries::session::Session;

/// A failed check.
#[derive(Debug)]
pub struct LintProblem {
    /// Id of the rule.
    pub rule_id: String,
    /// The rule's description file.
    pub path: PathBuf,
    /// The name of the check.
    pub check: &'static str,
    /// The requirement that the rule does not meet, or the error.
    pub message: String,
}

impl fmt::Display for LintProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} (`{}`)", self.rule_id, self.check, self.message, self.path.display())
    }
}

type Check = (&'static str, &'static str, fn(&Rule) -> bool);

/// Checks of a rule's files: the name of the check, the requirement in words, and a function that
/// returns true if the rule meets it.
const FILE_CHECKS: [Check; 34] = [
    (
        "id",
        "an id is `AT-`, a group in capitals, `-` and three digits, or a user's own letters, digits and dashes",
        is_valid_id,
    ),
    ("version", "a version is three numbers: `1.0.0`", |rule| {
        rule.version.split('.').filter(|n| n.parse::<u32>().is_ok()).count() == 3
    }),
    ("status", "a status is `stable`, `test` or `experimental`, as in Sigma", |rule| {
        ["stable", "test", "experimental"].contains(&rule.status.as_str())
    }),
    ("attack", "a technique is `T1078` or `T1078.004`", |rule| {
        rule.attack.iter().all(|text| is_technique(text))
    }),
    (
        "attack-there",
        "name the techniques of MITRE ATT&CK; only rules of the group `platform` may have none",
        |rule| rule.group == "platform" || !rule.attack.is_empty(),
    ),
    ("attack-once", "a technique is named once", |rule| {
        rule.attack.iter().collect::<BTreeSet<_>>().len() == rule.attack.len()
    }),
    ("title", "a title has between 5 and 90 characters", |rule| {
        (5..=90).contains(&rule.title.en.chars().count())
    }),
    ("title-end", "a title has no full stop at its end", |rule| {
        !rule.title.en.ends_with('.') && !rule.title.zh.ends_with('。')
    }),
    ("title-zh", "write the Chinese title in Chinese", |rule| is_chinese(&rule.title.zh)),
    ("runbook", "write a runbook of at least 20 characters that says what to do", |rule| {
        rule.runbook.en.chars().count() >= 20
    }),
    ("runbook-zh", "write the Chinese runbook in Chinese", |rule| is_chinese(&rule.runbook.zh)),
    ("false-positives", "name in `false_positives` who does this legitimately", |rule| {
        !rule.false_positives.is_empty()
    }),
    ("references", "name a source in `references`", |rule| !rule.references.is_empty()),
    ("group", "the name of a group's folder has only lower-case letters and `_`", |rule| {
        rule.group.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    }),
    ("file-name", "a file name has only lower-case letters, digits and `_`", |rule| {
        rule.path.file_stem().is_some_and(|name| {
            name.to_string_lossy()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        })
    }),
    ("comment", "begin the query with a comment, `-- `, that says what it finds", |rule| {
        rule.sql.starts_with("-- ")
    }),
    ("one-statement", "the query is one statement without `;`", |rule| {
        !rule.sql.trim_end().trim_end_matches(';').contains(";\n")
    }),
    (
        "no-clock",
        "a query reads no clock and no random values: the same events must always give the same findings",
        |rule| {
            let sql = rule.sql.to_lowercase();
            !["now()", "current_timestamp", "current_date", "random()", "uuid()"]
                .iter()
                .any(|word| sql.contains(word))
        },
    ),
    ("no-limit", "do not use LIMIT: it leaves out matches", |rule| {
        !words(&rule.sql).any(|word| word == "limit")
    }),
    ("event-action", "compare `event_action` with texts in lower case", event_actions_are_lower),
    (
        "no-event-name",
        "compare `event_action`, which is in lower case, and not `event_name`",
        |rule| !rule.sql.contains("event_name =") && !rule.sql.contains("event_name IN"),
    ),
    (
        "prefilter",
        "`prefilter` says which rows the query reads; without it, all rows are read and kept in memory",
        |rule| rule.prefilter.is_some(),
    ),
    (
        "windows",
        "a query with a window over event time excludes rows without a time: `event_time IS NOT NULL`",
        |rule| !rule.sql.contains(" RANGE BETWEEN ") || rule.sql.contains("event_time IS NOT NULL"),
    ),
    (
        "lookback",
        "`lookback` is at least the longest INTERVAL of the query, unless its `baseline` is longer",
        |rule| {
            let remembered =
                rule.baseline.as_ref().map_or(Duration::ZERO, |baseline| baseline.duration);
            intervals(&rule.sql)
                .into_iter()
                .all(|interval| interval <= rule.lookback.max(remembered))
        },
    ),
    (
        "lookback-used",
        "a query with a `lookback` has an INTERVAL; without one, older events are kept in memory without need",
        |rule| rule.lookback.is_zero() || rule.sql.contains("INTERVAL"),
    ),
    (
        "first-last",
        "`first_last` names columns in `by`, and its `per` is between a minute and a day",
        |rule| {
            let is_sound = |first_last: &FirstLast| {
                !first_last.by.is_empty()
                    && (Duration::from_secs(60)..=Duration::from_secs(86_400))
                        .contains(&first_last.per)
            };
            rule.first_last.as_ref().is_none_or(is_sound)
        },
    ),
    (
        "first-last-groups",
        "a query over `first_last` rows has GROUP BY, and excludes rows without a time: `event_time IS NOT NULL`",
        |rule| {
            rule.first_last.is_none()
                || (rule.sql.contains("GROUP BY") && rule.sql.contains("event_time IS NOT NULL"))
        },
    ),
    ("dedup-window", "a dedup window is between a minute and a day", |rule| {
        rule.dedup.as_ref().is_none_or(|dedup| {
            (Duration::from_secs(60)..=Duration::from_secs(86_400)).contains(&dedup.window)
        })
    }),
    ("needs", "`needs` and `gaps` name different kinds of events", |rule| {
        !rule.needs.iter().any(|need| rule.gaps.contains(need))
    }),
    (
        "parameters-said",
        "every parameter that the query reads is among `parameters` or `optional_parameters`",
        parameters_are_declared,
    ),
    ("cases-names", "give each test case a different name", |rule| {
        rule.cases.iter().map(|case| &case.name).collect::<BTreeSet<_>>().len() == rule.cases.len()
    }),
    ("case-fires", "add a test case in which the rule finds something", |rule| {
        rule.cases.iter().any(|case| !case.expect.is_empty())
    }),
    ("case-near-miss", "add a near miss: a test case in which the rule finds nothing", |rule| {
        rule.cases.iter().any(|case| case.expect.is_empty())
    }),
    ("case-samples", "use only samples that exist", |rule| {
        rule.cases
            .iter()
            .flat_map(|case| &case.events)
            .all(|event| samples::event(&event.sample).is_some())
    }),
];

/// Number of the other checks: five that plan the SQL, two for kinds of test cases, and one for
/// duplicate titles.
const OTHER_CHECKS: usize = 8;

/// The number of checks of each rule.
pub const CHECKS: usize = FILE_CHECKS.len() + OTHER_CHECKS;

/// Checks `rules`, which are part of `rule_set`, and returns the checks that failed.
///
/// # Errors
/// [`SessionError`] where the query engine cannot be set up.
pub async fn lint(rule_set: &RuleSet, rules: &[&Rule]) -> Result<Vec<LintProblem>, SessionError> {
    let session = Session::over_input(Arc::new(Parameters::default()), &QueryLimits::default())?;
    let mut problems = Vec::new();
    for &rule in rules {
        let mut found: Vec<(&'static str, String)> = FILE_CHECKS
            .into_iter()
            .filter(|(.., holds)| !holds(rule))
            .map(|(name, wanted, _)| (name, wanted.to_owned()))
            .collect();
        found.extend(case_problems(rule));
        if let Some(other) = rule_set
            .rules
            .iter()
            .find(|other| other.id != rule.id && other.title.en == rule.title.en)
        {
            found.push(("title-once", format!("{} has the same title", other.id)));
        }
        found.extend(query_problems(&session, rule).await);
        let problem = |(check, message)| LintProblem {
            rule_id: rule.id.clone(),
            path: rule.path.clone(),
            check,
            message,
        };
        problems.extend(found.into_iter().map(problem));
    }
    Ok(problems)
}

async fn query_problems(session: &Session, rule: &Rule) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    match session.sql(&rule.sql).await {
        Ok(frame) => {
            let has = |name: &str| frame.schema().has_column_with_unqualified_name(name);
            let missing =
                crate::finding::match_rows::EVENT_COLUMNS.into_iter().find(|name| !has(name));
            found.extend(missing.map(|name| {
                ("columns", format!("the query returns no column `{name}`; select `events.*`"))
            }));
            let grouping =
                rule.dedup.iter().flat_map(|dedup| &dedup.columns).find(|name| !has(name));
            found.extend(grouping.map(|name| {
                (
                    "dedup-columns",
                    format!("the query returns no column `{name}`, by which matches are grouped"),
                )
            }));
        }
        Err(error) => found.push(("query", error.to_string())),
    }
    for (check, predicate) in [
        ("prefilter-plans", rule.prefilter.as_deref()),
        ("baseline-plans", rule.baseline.as_ref().map(|r| r.rows.as_str())),
    ] {
        if let Some(Err(error)) = predicate.map(|sql| EventPredicate::new(session, sql)) {
            found.push((check, error.to_string()));
        }
    }
    found
}

fn case_problems(rule: &Rule) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let any = |holds: fn(&TestCase) -> bool| rule.cases.iter().any(holds);
    // A rule about failed calls has such a case anyway.
    if !any(|case| {
        case.events
            .iter()
            .any(|event| event.set.contains_key("errorCode") || event.sample.ends_with("_failed"))
    }) {
        found.push(("case-failed", "add a test case with a failed call".to_owned()));
    }
    if !any(|case| case.events.iter().any(|event| !event.remove.is_empty())) {
        found.push((
            "case-lacking",
            "add a test case with an event that lacks fields: name them in `remove`".to_owned(),
        ));
    }
    found
}

fn is_valid_id(rule: &Rule) -> bool {
    rule.id.strip_prefix("AT-").is_some_and(|rest| {
        rest.contains('-') && rest.bytes().next().is_some_and(|b| b.is_ascii_uppercase())
    })
}

fn is_technique(text: &str) -> bool {
    let digits =
        |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let Some(rest) = text.strip_prefix('T') else { return false };
    match rest.split_once('.') {
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        None => digits(rest, 4),
    }
}

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

fn words(sql: &str) -> impl Iterator<Item = String> {
    sql.lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .flat_map(str::split_whitespace)
        .map(str::to_lowercase)
}

/// True where every text that `event_action` is compared with is in lower case.
fn event_actions_are_lower(rule: &Rule) -> bool {
    let texts = [Some(rule.sql.as_str()), rule.prefilter.as_deref()].into_iter().flatten();
    texts.flat_map(|sql| sql.split("event_action ").skip(1)).all(|rest| {
        let end = if rest.starts_with("IN (") {
            rest.find(')')
        } else {
            rest.match_indices('\'').nth(1).map(|(at, _)| at)
        };
        let compared = &rest[..end.unwrap_or(0)];
        let quoted: String = compared.split('\'').skip(1).step_by(2).collect();
        !quoted.bytes().any(|b| b.is_ascii_uppercase())
    })
}

fn parameters_are_declared(rule: &Rule) -> bool {
    let is_declared = |name: &&str| {
        rule.parameters.iter().chain(&rule.optional_parameters).any(|declared| declared == name)
    };
    let used = Parameters::NAMES.iter().filter(|name| rule.sql.contains(&format!("'{name}'")));
    let by_function = [
        ("off_hours(", "business_hours"),
        ("change_window(", "change_windows"),
        ("geo_country(", "geo_city"),
        ("geo_km(", "geo_city"),
        ("geo_asn(", "geo_asn"),
    ];
    let by_function =
        by_function.into_iter().filter(|(call, _)| rule.sql.contains(call)).map(|(_, name)| name);
    used.copied().chain(by_function).all(|name| is_declared(&name))
}

/// The lengths of the intervals of a query, which are written as `INTERVAL '10 minutes'`.
fn intervals(sql: &str) -> Vec<Duration> {
    let interval = |rest: &str| {
        let mut parts = rest.split('\'').nth(1)?.split(' ');
        let number: u64 = parts.next()?.parse().ok()?;
        let unit = match parts.next()?.trim_end_matches('s') {
            "second" => 1,
            "minute" => 60,
            "hour" => 3600,
            "day" => 86_400,
            _ => return None,
        };
        Some(Duration::from_secs(number * unit))
    };
    sql.split("INTERVAL").skip(1).filter_map(interval).collect()
}
