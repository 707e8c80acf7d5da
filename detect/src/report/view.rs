//! A report as people see it: in one language, with every text of an event defanged.

use super::{Filled, Report, said};
use crate::finding::language::{Language, cut};
use serde::Serialize;
use serde_json::Value;
use trailhound_datasets::sanitize::sanitize;
use trailhound_queries::packs::reports::{Show, Words, words};
use trailhound_queries::packs::rules::BilingualText;

/// What one value may take, in bytes.
const VALUE_BYTES_MAX: usize = 2048;

/// The whole page.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    /// `en` or `zh`.
    pub(super) language: &'static str,
    pub(super) title: String,
    pub(super) span: String,
    pub(super) period: String,
    pub(super) made_at: String,
    /// The lake has nothing of the period before.
    pub(super) nothing_before: bool,
    /// What it can be proved by: labels and values.
    pub(super) proof: Vec<(String, String)>,
    pub(super) sections: Vec<Part>,
}

/// A section.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) about: String,
    pub(super) empty: String,
    pub(super) show: Show,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// Rows that are not shown.
    pub(super) more: usize,
    /// Rows that the report does not hold.
    pub(super) left: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) label: String,
    /// All its values are numbers.
    pub(super) number: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Cell {
    pub(super) text: String,
    /// By what a table is sorted where that is not the text.
    pub(super) sort: Option<String>,
    /// A word of ours that has a colour: `critical`, `yes`, `blind`.
    pub(super) tone: Option<String>,
}

/// Words in one language.
pub(super) struct Said {
    words: Words,
    language: Language,
}

impl Said {
    pub(super) fn new(language: Language) -> Result<Self, String> {
        Ok(Self { words: words()?, language })
    }

    /// A word around the sections.
    pub(super) fn page(&self, word: &str) -> String {
        self.words
            .page
            .get(word)
            .map_or_else(|| word.to_owned(), |text| said(text, self.language).to_owned())
    }

    fn column(&self, name: &str) -> String {
        let plain = name.strip_suffix("_en").or_else(|| name.strip_suffix("_zh")).unwrap_or(name);
        let label = self.words.columns.get(plain).map(|text| said(text, self.language));
        // The name of a source or of a series is nobody's word.
        label.map_or_else(|| self.series(plain).unwrap_or_else(|| shown(plain)), str::to_owned)
    }

    fn series(&self, value: &str) -> Option<String> {
        ["severity", "mfa"]
            .iter()
            .find_map(|column| self.value(column, value))
            .map(|(_, text)| text)
    }

    /// What a value of a closed list is called, and its place in the list.
    fn value(&self, column: &str, value: &str) -> Option<(usize, String)> {
        let list = self.words.values.get(column)?;
        let at = list.iter().position(|[name, ..]| name == value)?;
        let [_, en, zh] = &list[at];
        Some((at, if self.language == Language::Zh { zh.clone() } else { en.clone() }))
    }

    fn cell(&self, column: &str, value: &Value) -> Cell {
        match value {
            Value::Null => Cell { text: String::new(), sort: None, tone: None },
            Value::Number(number) => {
                let text = number.to_string();
                Cell { text: grouped(&text), sort: Some(text), tone: None }
            }
            Value::String(text) => match self.value(column, text) {
                Some((at, word)) => {
                    Cell { text: word, sort: Some(at.to_string()), tone: Some(text.clone()) }
                }
                None if column.ends_with("_time") || column.ends_with("_seen") => {
                    Cell { text: time(text), sort: None, tone: None }
                }
                None => Cell { text: shown(text), sort: None, tone: None },
            },
            other => Cell { text: shown(&other.to_string()), sort: None, tone: None },
        }
    }

    pub(super) fn part(&self, section: &Filled, rows_max: usize) -> Part {
        let other = if self.language == Language::Zh { "_en" } else { "_zh" };
        let places: Vec<usize> = (0..section.columns.len())
            .filter(|&at| !section.columns[at].ends_with(other))
            .collect();
        let is_number = |at: usize| {
            section
                .rows
                .iter()
                .all(|row| matches!(row.get(at), Some(Value::Number(_) | Value::Null)))
        };
        let column = |&at: &usize| {
            let name = section.columns[at].clone();
            Column {
                label: self.column(&name),
                number: is_number(at) && !section.rows.is_empty(),
                name,
            }
        };
        let row = |row: &Vec<Value>| {
            places
                .iter()
                .map(|&at| self.cell(&section.columns[at], row.get(at).unwrap_or(&Value::Null)))
                .collect()
        };
        let text = |text: &BilingualText| said(text, self.language).to_owned();
        Part {
            name: section.name.clone(),
            title: text(&section.title),
            about: text(&section.about),
            empty: text(&section.empty),
            show: section.show,
            columns: places.iter().map(column).collect(),
            rows: section.rows.iter().take(rows_max).map(row).collect(),
            more: section.rows.len().saturating_sub(rows_max),
            left: section.left,
        }
    }
}

/// `report` in the language of `said`, with at most so many rows a section.
pub(super) fn page(report: &Report, said: &Said, rows_max: usize) -> Page {
    let proof = &report.proof;
    let or_none = |text: String| if text.is_empty() { said.page("none") } else { text };
    let behind = proof.behind.iter().cloned().collect::<Vec<_>>().join(" ");
    let lines = [
        ("version", format!("trailhound {}", proof.version)),
        ("snapshot", proof.snapshot.to_string()),
        ("stored_until", super::rfc3339(proof.stored_until)),
        ("parameters", proof.parameters.clone()),
        ("rules", proof.rules.len().to_string()),
        ("behind", or_none(behind)),
    ];
    let before = |section: &Filled| {
        let events =
            section.rows.iter().find(|row| row.first().and_then(Value::as_str) == Some("events"));
        section.name == "figures"
            && events.and_then(|row| row.get(2)).and_then(Value::as_i64) == Some(0)
    };
    Page {
        language: if said.language == Language::Zh { "zh" } else { "en" },
        title: super::said(&report.title, said.language).to_owned(),
        span: said.page(report.period.span.name()),
        period: report.period.in_words(),
        made_at: report.made_at.format("%Y-%m-%d %H:%M UTC").to_string(),
        nothing_before: report.sections.iter().any(before),
        proof: lines.into_iter().map(|(word, value)| (said.page(word), value)).collect(),
        sections: report.sections.iter().map(|section| said.part(section, rows_max)).collect(),
    }
}

/// `text` as nothing acts upon it, and no longer than a value may be.
fn shown(text: &str) -> String {
    cut(&sanitize(text), VALUE_BYTES_MAX)
}

/// RFC 3339 without what says nothing.
fn time(text: &str) -> String {
    let plain = text.strip_suffix('Z').unwrap_or(text).replacen('T', " ", 1);
    shown(plain.split_once('.').map_or(plain.as_str(), |(whole, _)| whole))
}

/// A number with its digits in threes.
fn grouped(number: &str) -> String {
    let (sign, rest) = number.strip_prefix('-').map_or(("", number), |rest| ("\u{2212}", rest));
    let (whole, part) =
        rest.split_once('.').map_or((rest, ""), |(whole, _)| (whole, &rest[whole.len()..]));
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.to_owned();
    }
    let mut out = String::from(sign);
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + part
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_times_are_easy_to_read() {
        for (number, shown) in [
            ("0", "0"),
            ("999", "999"),
            ("1000", "1,000"),
            ("1234567", "1,234,567"),
            ("-1234", "\u{2212}1,234"),
            ("1234.5", "1,234.5"),
            ("1e30", "1e30"),
        ] {
            assert_eq!(grouped(number), shown);
        }
        assert_eq!(time("2026-09-28T02:00:00Z"), "2026-09-28 02:00:00");
        assert_eq!(time("2026-09-28T02:00:00.123456Z"), "2026-09-28 02:00:00");
        assert_eq!(time("not a time"), "not a time");
    }

    #[test]
    fn only_words_of_ours_are_translated() {
        let said = Said::new(Language::Zh).expect("words");
        let cell = |column: &str, value: &str| said.cell(column, &json!(value)).text;
        assert_eq!(cell("mfa", "no"), "否");
        assert_eq!(cell("severity", "critical"), "危急");
        // A user of that name stays who they are.
        assert_eq!(cell("user_name", "critical"), "critical");
        assert_eq!(cell("user_name", "a\u{202e}b\u{1b}[1m"), "a\\u{202e}b\\u{1b}[1m");
        assert!(cell("user_name", &"数".repeat(2000)).len() <= VALUE_BYTES_MAX);
        assert_eq!(said.column("title_zh"), "名称");
        assert_eq!(said.column("unknown"), "未知");
    }
}
