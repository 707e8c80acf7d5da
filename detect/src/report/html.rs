//! A report as one HTML file: nothing is fetched, nothing but its own script runs.

use super::view::{Page, Part, Said, page};
use super::{Report, chart};
use crate::finding::language::Language;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use trailhound_queries::packs::reports::Show;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Rows a table shows; the others stand in the other forms.
const ROWS_SHOWN: usize = 300;

#[derive(Serialize)]
struct Chart {
    svg: String,
    legend: Vec<(String, String)>,
}

/// The page of `report`.
///
/// # Errors
/// What of the product's own material does not read; a test makes sure that all does.
pub fn html(report: &Report, language: Language) -> Result<String, String> {
    let said = Said::new(language)?;
    let page = page(report, &said, ROWS_SHOWN);
    let charts = page.sections.iter().map(drawn).collect::<Result<Vec<_>, _>>()?;
    // What the page shows is what it can be proved by: a file that is forwarded must stay small.
    let shown = Report {
        sections: report.sections.iter().map(|section| section.cut(ROWS_SHOWN)).collect(),
        ..report.clone()
    };
    // A text that ends the element would end the page's order.
    let data = serde_json::to_string(&shown).map_err(|e| e.to_string())?.replace('<', "\\u003c");
    written(&page, &said, &charts, &data).map_err(|e| format!("{e:#}"))
}

fn drawn(part: &Part) -> Result<Option<Chart>, String> {
    match part.show {
        Show::Bars if !part.rows.is_empty() => {
            Ok(Some(Chart { svg: chart::bars(part)?, legend: chart::legend(part) }))
        }
        _ => Ok(None),
    }
}

fn written(
    page: &Page,
    said: &Said,
    charts: &[Option<Chart>],
    data: &str,
) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    // Lines of the template that say nothing leave none behind.
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("page.html", PAGE)?;
    let word = |name: &str| said.page(name);
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
    let words: std::collections::BTreeMap<&str, String> =
        words.into_iter().map(|name| (name, word(name))).collect();
    environment.get_template("page.html")?.render(context! {
        page => Value::from(Serde(page)), charts => Value::from(Serde(charts)), words, data, style => STYLE, script => SCRIPT, style_hash => hash(STYLE), script_hash => hash(SCRIPT),
    })
}

/// As a content security policy names what it lets through.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64.encode(digest(&SHA256, text.as_bytes())))
}
