//! The view of a report that HTML, Markdown and notices show: labels in one language, formatted
//! numbers and times, sanitized text.

use crate::finding::language::{Language, cut};
use crate::report::model::{Report, SectionData};
use chrono::DateTime;
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::Value;
use trailhound_datasets::sanitize::sanitize;
use trailhound_queries::local_time::{local_text, local_time};
use trailhound_queries::packs::reports::{ReportLabels, SectionLayout, report_labels};
use trailhound_queries::packs::rules::BilingualText;

/// The longest value of a cell, in bytes.
const VALUE_BYTES_MAX: usize = 2048;

/// The whole report.
#[derive(Debug, Serialize)]
pub(super) struct PageView {
    /// `en` or `zh`.
    pub(super) language: &'static str,
    pub(super) title: String,
    /// Label of the period's length, such as `week`.
    pub(super) length: String,
    /// Label of the period: its first and last day.
    pub(super) period: String,
    pub(super) made_at: String,
    /// True if the lake has no events of the period before.
    pub(super) is_first_period: bool,
    /// Label and value of each fact by which the report can be computed again.
    pub(super) provenance: Vec<(String, String)>,
    pub(super) sections: Vec<SectionView>,
}

/// A section.
#[derive(Debug, Serialize)]
pub(super) struct SectionView {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) about: String,
    pub(super) empty: String,
    pub(super) show: SectionLayout,
    pub(super) columns: Vec<ColumnView>,
    pub(super) rows: Vec<Vec<CellView>>,
    /// Number of rows that the report holds and this view does not show.
    pub(super) hidden_rows: usize,
    /// Number of rows that the report does not hold.
    pub(super) omitted_rows: u64,
}

/// A column of a section.
#[derive(Debug, Serialize)]
pub(super) struct ColumnView {
    pub(super) name: String,
    pub(super) label: String,
    /// True if all values are numbers.
    pub(super) is_number: bool,
}

/// A value of a section.
#[derive(Debug, Serialize)]
pub(super) struct CellView {
    pub(super) text: String,
    /// The sort key where it is not the text.
    pub(super) sort: Option<String>,
    /// The untranslated value, where values of this column have colours: `critical`, `yes`,
    /// `blind`.
    pub(super) tone: Option<String>,
}

/// The labels of reports in one language.
pub(super) struct Labels {
    words: ReportLabels,
    language: Language,
    /// The time zone of times.
    time_zone: Tz,
}

impl Labels {
    /// Reads the labels.
    ///
    /// # Errors
    /// A sentence where the labels that come with the product cannot be read.
    pub(super) fn new(language: Language) -> Result<Self, String> {
        Ok(Self { words: report_labels()?, language, time_zone: Tz::UTC })
    }

    /// The labels, with times in `time_zone`.
    pub(super) fn with_time_zone(self, time_zone: Tz) -> Self {
        Self { time_zone, ..self }
    }

    /// The text in the language of the labels.
    pub(super) fn pick<'t>(&self, text: &'t BilingualText) -> &'t str {
        self.language.pick(text)
    }

    /// The indices of the columns of `section` that this language shows, and their labels.
    pub(super) fn columns(&self, section: &SectionData) -> (Vec<usize>, Vec<String>) {
        let other_language = if self.language == Language::Zh { "_en" } else { "_zh" };
        let indices: Vec<usize> = (0..section.columns.len())
            .filter(|&at| !section.columns[at].ends_with(other_language))
            .collect();
        let labels = indices.iter().map(|&at| self.column_label(&section.columns[at])).collect();
        (indices, labels)
    }

    /// The label of a value; `None` for columns without a list of values.
    pub(super) fn value_text(&self, column: &str, value: &str) -> Option<String> {
        self.value_label(column, value).map(|(_, text)| text)
    }

    /// The label `name` of the page outside of the sections; `name` itself where there is none.
    pub(super) fn page_label(&self, name: &str) -> String {
        self.words
            .page
            .get(name)
            .map_or_else(|| name.to_owned(), |text| self.language.pick(text).to_owned())
    }

    /// The label of a column, without the language suffix of its name.
    fn column_label(&self, name: &str) -> String {
        let plain = name.strip_suffix("_en").or_else(|| name.strip_suffix("_zh")).unwrap_or(name);
        let label = self.words.columns.get(plain).map(|text| self.language.pick(text));
        // Columns of a chart are named by data: a severity, or the name of a source, which has no
        // label.
        label.map_or_else(
            || self.series_label(plain).unwrap_or_else(|| display_text(plain)),
            str::to_owned,
        )
    }

    /// The label of a series that is named by a severity or a state of MFA.
    fn series_label(&self, value: &str) -> Option<String> {
        ["severity", "mfa"]
            .iter()
            .find_map(|column| self.value_label(column, value))
            .map(|(_, text)| text)
    }

    /// The label of a value, and its index in the list of the column's values; `None` for columns
    /// without such a list.
    fn value_label(&self, column: &str, value: &str) -> Option<(usize, String)> {
        let list = self.words.values.get(column)?;
        let at = list.iter().position(|[name, ..]| name == value)?;
        let [_, en, zh] = &list[at];
        Some((at, if self.language == Language::Zh { zh.clone() } else { en.clone() }))
    }

    /// Formats a value.
    fn cell_view(&self, column: &str, value: &Value) -> CellView {
        match value {
            Value::Null => CellView { text: String::new(), sort: None, tone: None },
            Value::Number(number) => {
                let text = number.to_string();
                CellView { text: group_digits(&text), sort: Some(text), tone: None }
            }
            Value::String(text) => match self.value_label(column, text) {
                Some((at, word)) => {
                    CellView { text: word, sort: Some(at.to_string()), tone: Some(text.clone()) }
                }
                None if is_time(column) => {
                    // Texts with different offsets do not sort by time.
                    let sort = Some(text.clone());
                    CellView { text: display_time(text, self.time_zone), sort, tone: None }
                }
                None => CellView { text: display_text(text), sort: None, tone: None },
            },
            other => CellView { text: display_text(&other.to_string()), sort: None, tone: None },
        }
    }

    /// Formats a section, with at most `rows_max` rows.
    pub(super) fn section_view(&self, section: &SectionData, rows_max: usize) -> SectionView {
        let (indices, _) = self.columns(section);
        let is_number = |at: usize| {
            section
                .rows
                .iter()
                .all(|row| matches!(row.get(at), Some(Value::Number(_) | Value::Null)))
        };
        let column = |&at: &usize| {
            let name = section.columns[at].clone();
            ColumnView {
                label: self.column_label(&name),
                is_number: is_number(at) && !section.rows.is_empty(),
                name,
            }
        };
        let row = |row: &Vec<Value>| {
            indices
                .iter()
                .map(|&at| {
                    self.cell_view(&section.columns[at], row.get(at).unwrap_or(&Value::Null))
                })
                .collect()
        };
        let text = |text| self.language.pick(text).to_owned();
        SectionView {
            name: section.name.clone(),
            title: text(&section.title),
            about: text(&section.about),
            empty: text(&section.empty),
            show: section.show,
            columns: indices.iter().map(column).collect(),
            rows: section.rows.iter().take(rows_max).map(row).collect(),
            hidden_rows: section.rows.len().saturating_sub(rows_max),
            omitted_rows: section.omitted_rows,
        }
    }
}

/// Formats `report` in the language of `labels`, with at most `rows_max` rows per section.
pub(super) fn page_view(report: &Report, labels: &Labels, rows_max: usize) -> PageView {
    let provenance = &report.provenance;
    let or_none = |text: String| if text.is_empty() { labels.page_label("none") } else { text };
    let lagging = provenance.lagging_rules.iter().cloned().collect::<Vec<_>>().join(" ");
    let facts = [
        ("version", format!("trailhound {}", provenance.version)),
        ("snapshot", provenance.snapshot.to_string()),
        ("stored_until", local_time(provenance.stored_until, report.period.time_zone)),
        ("parameters", provenance.parameters_hash.clone()),
        ("rules", provenance.rule_versions.len().to_string()),
        ("behind", or_none(lagging)),
    ];
    // The section `figures` has a row `events`: name, count of this period, count of the period
    // before.
    let has_no_events_before = |section: &SectionData| {
        let events =
            section.rows.iter().find(|row| row.first().and_then(Value::as_str) == Some("events"));
        section.name == "figures"
            && events.and_then(|row| row.get(2)).and_then(Value::as_i64) == Some(0)
    };
    PageView {
        language: if labels.language == Language::Zh { "zh" } else { "en" },
        title: labels.language.pick(&report.title).to_owned(),
        length: labels.page_label(report.period.length.name()),
        period: report.period.label(),
        made_at: report
            .made_at
            .with_timezone(&report.period.time_zone)
            .format("%Y-%m-%d %H:%M %:z")
            .to_string(),
        is_first_period: report.sections.iter().any(has_no_events_before),
        provenance: facts
            .into_iter()
            .map(|(name, value)| (labels.page_label(name), value))
            .collect(),
        sections: report
            .sections
            .iter()
            .map(|section| labels.section_view(section, rows_max))
            .collect(),
    }
}

/// Sanitizes `text` and cuts it to [`VALUE_BYTES_MAX`] bytes.
fn display_text(text: &str) -> String {
    cut(&sanitize(text), VALUE_BYTES_MAX)
}

/// True if the texts of `column` are times.
fn is_time(column: &str) -> bool {
    column.ends_with("_time") || column.ends_with("_seen")
}

/// A text of `column` for people who read in `zone`: times are in this zone, with their offset.
pub(super) fn local_value(column: &str, text: &str, zone: Tz) -> String {
    if is_time(column) { local_text(text, zone) } else { text.to_owned() }
}

/// Writes an RFC 3339 time in `zone` without fractions of a second, with its offset:
/// `2026-09-28 10:00:00 +08:00`.
fn display_time(text: &str, zone: Tz) -> String {
    match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %:z").to_string(),
        Err(_) => display_text(text),
    }
}

/// Writes a number with its digits in groups of three, and a minus sign instead of a hyphen.
fn group_digits(number: &str) -> String {
    let (sign, rest) = number.strip_prefix('-').map_or(("", number), |rest| ("\u{2212}", rest));
    let (whole, fraction) =
        rest.split_once('.').map_or((rest, ""), |(whole, _)| (whole, &rest[whole.len()..]));
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.to_owned();
    }
    let mut text = String::from(sign);
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
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
            assert_eq!(group_digits(number), shown);
        }
        let shanghai = |text: &str| display_time(text, Tz::Asia__Shanghai);
        assert_eq!(shanghai("2026-09-28T02:00:00Z"), "2026-09-28 10:00:00 +08:00");
        assert_eq!(shanghai("2026-09-28T02:00:00.123456Z"), "2026-09-28 10:00:00 +08:00");
        assert_eq!(shanghai("not a time"), "not a time");
        let utc = display_time("2026-09-28T02:00:00Z", Tz::UTC);
        assert_eq!(utc, "2026-09-28 02:00:00 +00:00");
    }

    #[test]
    fn only_values_of_closed_lists_are_translated() {
        let labels = Labels::new(Language::Zh).expect("words");
        let cell = |column: &str, value: &str| labels.cell_view(column, &json!(value)).text;
        assert_eq!(cell("mfa", "no"), "否");
        assert_eq!(cell("severity", "critical"), "危急");
        // A user name that equals such a value is not translated.
        assert_eq!(cell("user_name", "critical"), "critical");
        assert_eq!(cell("user_name", "a\u{202e}b\u{1b}[1m"), "a\\u{202e}b\\u{1b}[1m");
        assert!(cell("user_name", &"数".repeat(2000)).len() <= VALUE_BYTES_MAX);
        assert_eq!(labels.column_label("title_zh"), "名称");
        assert_eq!(labels.column_label("unknown"), "未知");
    }
}
