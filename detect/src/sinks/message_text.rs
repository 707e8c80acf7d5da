//! Messages about findings for people: a subject line and a text, in English or Chinese. Text from
//! events is defanged, so that it becomes no link, mention, markup or control character.

use crate::finding::defang::defang;
use crate::finding::language::{Language, cut};
use crate::finding::{Finding, FindingStatus};
use chrono_tz::Tz;
use trailhound_queries::local_time::local_text;

/// The most findings that a digest lists.
const LISTED_MAX: usize = 20;

/// How messages are written for the people who read them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessageStyle {
    /// The language.
    pub language: Language,
    /// The time zone of times, which are shown with their offset.
    pub time_zone: Tz,
}

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
/// The text for several findings is a digest: a line for each of the most severe findings, as many
/// as fit, and the number of the omitted findings. The last line, with the finding's id or that
/// number, always stays.
#[must_use]
pub(super) fn message_text(findings: &[&Finding], style: MessageStyle, bytes_max: usize) -> String {
    match findings {
        [one] => details(one, style, bytes_max),
        many => digest(many, style, bytes_max),
    }
}

/// Joins `lines` and the `last` line to a text of at most `bytes_max` bytes. The last line always
/// stays; of the others the first that does not fit is cut, with a mark, and those after it are left
/// out.
fn fitted(lines: &[String], last: &str, bytes_max: usize) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text.push_str(last);
    if text.len() <= bytes_max {
        return text;
    }
    let left = bytes_max.saturating_sub(last.len() + 1);
    cut(&format!("{}\n{}", cut(&lines.join("\n"), left), last), bytes_max)
}

/// Writes the facts of one finding, a line each.
fn details(finding: &Finding, style: MessageStyle, bytes_max: usize) -> String {
    let language = style.language;
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
    let shown =
        |time: &Option<String>| local_text(time.as_deref().unwrap_or_default(), style.time_zone);
    let (first, last) = (shown(&finding.first_seen), shown(&finding.last_seen));
    fact(label("when", "时间"), if first == last { first } else { format!("{first} – {last}") });
    fact(label("events", "事件数"), finding.count.to_string());
    fact(label("what", "操作"), first_values(&finding.actions));
    fact(
        label("on", "对象"),
        first_values(&finding.targets.iter().map(|target| target.id.clone()).collect::<Vec<_>>()),
    );
    fact(label("why", "依据"), first_values(&finding.why));
    fact(label("unknown", "未知"), first_values(&finding.unknowns));
    let id = format!("{}: {}", label("id", "编号"), finding.finding_id);
    fitted(&lines, &id, bytes_max)
}

/// Writes a line for each of the most severe findings, as many as fit, and the number of omitted
/// findings.
fn digest(findings: &[&Finding], style: MessageStyle, bytes_max: usize) -> String {
    let mut most_severe: Vec<&&Finding> = findings.iter().collect();
    most_severe
        .sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.first_seen.cmp(&b.first_seen)));
    let mut lines = vec![subject(findings, style.language)];
    for finding in most_severe.iter().take(LISTED_MAX) {
        let when = local_text(finding.first_seen.as_deref().unwrap_or_default(), style.time_zone);
        lines.push(format!(
            "{} | {} | {when} | {}",
            headline(finding, style.language),
            cut(&actor(finding), 80),
            finding.finding_id
        ));
    }
    if lines.len() > findings.len() && lines.join("\n").len() <= bytes_max {
        return lines.join("\n");
    }
    // Few lines that are whole say more than many that end in the middle.
    loop {
        let last = omitted_line(findings.len() + 1 - lines.len(), style.language);
        let bytes = lines.iter().map(|line| line.len() + 1).sum::<usize>() + last.len();
        if bytes <= bytes_max || lines.len() == 1 {
            return fitted(&lines, &last, bytes_max);
        }
        lines.pop();
    }
}

/// Says how many findings a digest does not list, and where all are.
fn omitted_line(omitted: usize, language: Language) -> String {
    match language {
        Language::En => format!("and {omitted} more; all of them: SELECT * FROM findings"),
        Language::Zh => format!("另有 {omitted} 条；全部见 SELECT * FROM findings"),
    }
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
        let (english, chinese) = (
            MessageStyle::default(),
            MessageStyle { language: Language::Zh, time_zone: Tz::Asia__Shanghai },
        );
        let text = message_text(&[&finding], english, 2000);
        assert!(text.starts_with("[INFO] A test of this sink (AT-HEALTH-000)\n"), "{text}");
        assert!(
            text.contains("who: mallory ＜＠here＞ http[:]//evil[.]example\n")
                && text.contains("on: i-0; i-1; i-2 (+2)\n"),
            "{text}"
        );
        assert!(text.ends_with(&format!("id: {}", finding.finding_id)));
        assert!(message_text(&[&finding], chinese, 2000).contains("操作者: mallory"));
        let many = vec![&finding; 1000];
        let text = message_text(&many, english, 10_000);
        assert!(
            text.starts_with("[INFO] 1000 findings\n")
                && text.ends_with("and 980 more; all of them: SELECT * FROM findings"),
            "{text}"
        );
        assert!(message_text(&many, english, 2000).len() <= 2000);
        let ended = Finding { status: FindingStatus::Withdrawn, ..finding };
        assert!(message_text(&[&ended], english, 2000).contains("no longer holds: A test"));
    }
    #[test]
    fn a_text_that_does_not_fit_keeps_its_last_line() {
        let mut finding = sample_finding(1_790_000_000_000_000);
        finding.why = (0..3).map(|_| "数".repeat(100)).collect();
        finding.title_zh = "一".repeat(60);
        finding.operator.name = Some("张".repeat(90));
        let many = vec![&finding; 500];
        for language in [Language::En, Language::Zh] {
            let style = MessageStyle { language, time_zone: Tz::Asia__Shanghai };
            for bytes_max in [300, 700, 1999, 2000, 8000] {
                let text = message_text(&[&finding], style, bytes_max);
                assert!(text.len() <= bytes_max, "{} bytes", text.len());
                assert!(text.ends_with(&finding.finding_id), "{bytes_max}: {text}");
                assert!(bytes_max > 700 || text.contains("…[cut]\n"), "{bytes_max}: {text}");
                let text = message_text(&many, style, bytes_max);
                assert!(text.len() <= bytes_max, "{} bytes", text.len());
                let listed = text.lines().count() - 2;
                let last = omitted_line(500 - listed, language);
                assert!(listed <= LISTED_MAX && text.ends_with(&last), "{bytes_max}: {text}");
            }
            let text = message_text(&[&finding], style, 8000);
            assert!(text.contains("+08:00\n"), "{text}");
            // Nothing is omitted, so nothing says so.
            let text = message_text(&[&finding, &finding], style, 8000);
            assert_eq!(text.lines().count(), 3, "{text}");
        }
    }
}
