//! Writes a report as Markdown, for a ticket or a wiki.

use crate::finding::defang::defang;
use crate::finding::language::Language;
use crate::report::model::Report;
use crate::report::view::{Labels, SectionView, page_view};
use trailhound_queries::packs::reports::SectionLayout;

/// The most rows of a table.
const ROWS_MAX: usize = 50;

/// Writes `report` as Markdown in `language`.
///
/// # Errors
/// A sentence where a label that comes with the product cannot be read; tests rule that out.
pub fn markdown(report: &Report, language: Language) -> Result<String, String> {
    let labels = Labels::new(language)?.with_time_zone(report.period.time_zone);
    let page = page_view(report, &labels, ROWS_MAX);
    let mut markdown = format!(
        "# {}\n\n{}: **{}**\n\n{}: {}\n",
        page.title,
        labels.page_label("period"),
        page.period,
        labels.page_label("made_at"),
        page.made_at
    );
    if page.is_first_period {
        markdown.push_str(&format!("\n{}\n", labels.page_label("no_period_before")));
    }
    for section in &page.sections {
        markdown.push_str(&format!("\n## {}\n\n{}\n\n", section.title, section.about));
        if section.rows.is_empty() {
            markdown.push_str(&format!("{}\n", section.empty));
            continue;
        }
        table(&mut markdown, section);
        for (more, words) in [(section.hidden_rows as u64, "more"), (section.omitted_rows, "left")]
        {
            if more > 0 {
                markdown.push_str(&format!("\n\\+ {more} {}\n", labels.page_label(words)));
            }
        }
    }
    markdown.push_str(&format!(
        "\n## {}\n\n{} `trailhound report --verify FILE`\n\n",
        labels.page_label("proof"),
        labels.page_label("proof_text")
    ));
    for (label, value) in &page.provenance {
        markdown.push_str(&format!("- {label}: {}\n", escaped(value)));
    }
    Ok(markdown)
}

/// Appends the table of a section.
fn table(markdown: &mut String, section: &SectionView) {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    markdown.push_str(&line(section.columns.iter().map(|column| escaped(&column.label)).collect()));
    let alignment = |number: bool| if number { "---:".to_owned() } else { "---".to_owned() };
    markdown.push_str(&line(
        section.columns.iter().map(|column| alignment(column.is_number)).collect(),
    ));
    for row in &section.rows {
        // A chart's table leaves out hours or days without events.
        if section.show == SectionLayout::Bars
            && row.iter().skip(1).all(|cell| cell.sort.as_deref() == Some("0"))
        {
            continue;
        }
        markdown.push_str(&line(row.iter().map(|cell| escaped(&cell.text)).collect()));
    }
}

/// Defangs and escapes `text`, so that Markdown shows it literally.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in defang(text).chars() {
        if c.is_ascii_punctuation()
            && !matches!(c, ',' | ':' | ';' | '.' | '/' | '?' | '%' | '"' | '\'' | '=')
        {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_literally() {
        for (text, shown) in [
            ("alice", "alice"),
            ("a|b", "a\\|b"),
            ("[x](http://evil.example)", "\\[x\\]\\(http\\[:\\]//evil\\[.\\]example\\)"),
            ("<img src=x>", "＜img src=x＞"),
            ("**@all** `x` #1 ~~y~~", "\\*\\*＠all\\*\\* \\`x\\` \\#1 \\~\\~y\\~\\~"),
            ("two\nlines", "two\\\\nlines"),
        ] {
            assert_eq!(escaped(text), shown);
        }
    }
}
