//! Writes a report as one HTML file. The page loads nothing, and its content security policy allows
//! no script but its own.

use crate::finding::language::Language;
use crate::report::chart;
use crate::report::model::Report;
use crate::report::view::{Labels, PageView, SectionView, page_view};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use std::collections::BTreeMap;
use trailhound_queries::packs::reports::SectionLayout;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// The most rows of a table; the forms JSON and CSV have more.
const ROWS_MAX: usize = 300;

/// A drawn chart, with label and colour of each series.
#[derive(Serialize)]
struct Chart {
    svg: String,
    legend: Vec<(String, String)>,
}

/// Writes `report` as an HTML page in `language`.
///
/// # Errors
/// A sentence where a template or label that comes with the product cannot be read; tests rule that
/// out.
pub fn html(report: &Report, language: Language) -> Result<String, String> {
    let labels = Labels::new(language)?.with_time_zone(report.period.time_zone);
    let page = page_view(report, &labels, ROWS_MAX);
    let charts = page.sections.iter().map(draw_chart).collect::<Result<Vec<_>, _>>()?;
    // The page embeds the rows that it shows, for `report --verify`. All rows would make the file
    // too large to forward.
    let embedded = Report {
        sections: report.sections.iter().map(|section| section.truncated(ROWS_MAX)).collect(),
        ..report.clone()
    };
    // `</script>` in a text would end the element that holds the data.
    let data = serde_json::to_string(&embedded).map_err(|e| e.to_string())?.replace('<', "\\u003c");
    render(&page, &labels, &charts, &data).map_err(|e| format!("{e:#}"))
}

/// Draws the chart of a section; `None` for a section that is not shown as bars or has no rows.
fn draw_chart(section: &SectionView) -> Result<Option<Chart>, String> {
    match section.show {
        SectionLayout::Bars if !section.rows.is_empty() => {
            Ok(Some(Chart { svg: chart::bar_chart(section)?, legend: chart::legend(section) }))
        }
        _ => Ok(None),
    }
}

/// Renders the template of the page.
fn render(
    page: &PageView,
    labels: &Labels,
    charts: &[Option<Chart>],
    data: &str,
) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    // Lines with nothing but a template tag leave no empty line.
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("page.html", PAGE)?;
    let words = [
        "contents",
        "period",
        "made_at",
        "more",
        "left",
        "figures",
        "proof",
        "proof_text",
        "no_period_before",
        "before",
    ];
    let words: BTreeMap<&str, String> =
        words.into_iter().map(|name| (name, labels.page_label(name))).collect();
    environment.get_template("page.html")?.render(context! {
        page => Value::from(Serde(page)), charts => Value::from(Serde(charts)), words, data, style => STYLE, script => SCRIPT, style_hash => csp_hash(STYLE), script_hash => csp_hash(SCRIPT),
    })
}

/// Returns the hash of an inline style or script as a content security policy writes it.
fn csp_hash(text: &str) -> String {
    format!("sha256-{}", BASE64.encode(digest(&SHA256, text.as_bytes())))
}
