//! Messages about findings for people: a subject line and a text, in English or Chinese. Text from
//! events is defanged, so that it becomes no link, mention, markup or control character.

use crate::finding::defang::defang;
use crate::finding::language::{Language, cut};
use crate::finding::{Finding, FindingStatus};

/// The most findings that a digest lists.
const LISTED_MAX: usize = 20;

/// Writes the subject line: severity, title and rule of one finding; highest severity and number of
/// several.
#[must_use]
pub(super) fn subject(findings: &[&Finding], language: Language) -> String {
    match findings {
        [one] => headline(one, language),
        many => {
            let highest = many.iter().map(|finding| finding.severity).max();
            let severity = highest.map_or("", |severity| severity.name()).to_uppercase();
            match language {
                Language::En => format!("[{severity}] {} findings", many.len()),
                Language::Zh => format!("[{severity}] {} 条检测结果", many.len()),
            }
        }
    }
}

/// Writes severity, title and rule of a finding, and whether it was withdrawn.
fn headline(finding: &Finding, language: Language) -> String {
    let (title, ended) = match language {
        Language::En => (&finding.title, "no longer holds: "),
        Language::Zh => (&finding.title_zh, "已撤销："),
    };
    let ended = if finding.status == FindingStatus::Withdrawn { ended } else { "" };
    format!("[{}] {ended}{} ({})", finding.severity.name().to_uppercase(), title, finding.rule_id)
}

/// Writes the message text, at most `bytes_max` bytes. The text for one finding contains its facts.
/// The text for several findings is a digest: a line for each of the most severe findings, and the
/// number of the omitted findings.
#[must_use]
pub(super) fn message_text(findings: &[&Finding], language: Language, bytes_max: usize) -> String {
    let text = match findings {
        [one] => details(one, language),
        many => digest(many, language),
    };
    cut(&text, bytes_max)
}

/// Writes the facts of one finding, a line each.
fn details(finding: &Finding, language: Language) -> String {
    let label = |en: &'static str, zh: &'static str| if language == Language::Zh { zh } else { en };
    let mut lines = vec![headline(finding, language)];
    let mut fact = |label: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("{label}: {value}"));
        }
    };
    fact(label("account", "账号"), account(finding));
    fact(label("who", "操作者"), actor(finding));
    fact(label("from", "来源"), defang(&finding.shown_source()));
    let (first, last) = (
        finding.first_seen.as_deref().unwrap_or_default(),
        finding.last_seen.as_deref().unwrap_or_default(),
    );
    fact(
        label("when", "时间"),
        if first == last { first.to_owned() } else { format!("{first} – {last}") },
    );
    fact(label("events", "事件数"), finding.count.to_string());
    fact(label("what", "操作"), first_values(&finding.actions));
    fact(
        label("on", "对象"),
        first_values(&finding.targets.iter().map(|target| target.id.clone()).collect::<Vec<_>>()),
    );
    fact(label("why", "依据"), first_values(&finding.why));
    fact(label("unknown", "未知"), first_values(&finding.unknowns));
    fact(label("id", "编号"), finding.finding_id.clone());
    lines.join("\n")
}

/// Writes a line for each of the most severe findings, and the number of omitted findings.
fn digest(findings: &[&Finding], language: Language) -> String {
    let mut most_severe: Vec<&&Finding> = findings.iter().collect();
    most_severe
        .sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.first_seen.cmp(&b.first_seen)));
    let mut lines = vec![subject(findings, language)];
    for finding in most_severe.iter().take(LISTED_MAX) {
        let when = finding.first_seen.as_deref().unwrap_or_default();
        lines.push(format!(
            "{} | {} | {when} | {}",
            headline(finding, language),
            cut(&actor(finding), 80),
            finding.finding_id
        ));
    }
    let others = findings.len().saturating_sub(LISTED_MAX);
    if others > 0 {
        lines.push(match language {
            Language::En => format!("and {others} more; all of them: SELECT * FROM findings"),
            Language::Zh => format!("另有 {others} 条；全部见 SELECT * FROM findings"),
        });
    }
    lines.join("\n")
}

/// Writes the account's id and name.
fn account(finding: &Finding) -> String {
    let id = finding.account_id.as_deref().map(defang).unwrap_or_default();
    finding
        .account_name
        .as_deref()
        .map_or_else(|| id.clone(), |name| format!("{id} {}", defang(name)))
}

/// Writes kind, name and masked AccessKey of the actor.
fn actor(finding: &Finding) -> String {
    let operator = &finding.operator;
    let name = operator.name.as_deref().or(operator.principal_id.as_deref()).map(defang);
    let parts =
        [operator.kind.as_deref().map(defang), name, operator.access_key_id.as_deref().map(defang)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Writes up to three values, and the number of omitted values.
fn first_values(values: &[String]) -> String {
    let mut shown = values.iter().take(3).map(|value| defang(value)).collect::<Vec<_>>().join("; ");
    if values.len() > 3 {
        shown.push_str(&format!(" (+{})", values.len() - 3));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::TargetResource;
    use crate::finding::health::sample_finding;

    #[test]
    fn a_message_has_the_facts_and_keeps_its_length() {
        let mut finding = sample_finding(0);
        finding.operator.name = Some("mallory <@here> http://evil.example".to_owned());
        finding.targets =
            (0..5).map(|number| TargetResource { kind: None, id: format!("i-{number}") }).collect();
        let text = message_text(&[&finding], Language::En, 2000);
        assert!(text.starts_with("[INFO] A test of this sink (AT-HEALTH-000)\n"), "{text}");
        assert!(
            text.contains("who: mallory ＜＠here＞ http[:]//evil[.]example\n")
                && text.contains("on: i-0; i-1; i-2 (+2)\n"),
            "{text}"
        );
        assert!(text.ends_with(&format!("id: {}", finding.finding_id)));
        assert!(message_text(&[&finding], Language::Zh, 2000).contains("操作者: mallory"));
        let many = vec![&finding; 1000];
        let text = message_text(&many, Language::En, 10_000);
        assert!(
            text.starts_with("[INFO] 1000 findings\n")
                && text.ends_with("and 980 more; all of them: SELECT * FROM findings"),
            "{text}"
        );
        assert!(message_text(&many, Language::En, 2000).len() <= 2000);
        let ended = Finding { status: FindingStatus::Withdrawn, ..finding };
        assert!(message_text(&[&ended], Language::En, 2000).contains("no longer holds: A test"));
    }
}
