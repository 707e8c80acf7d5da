//! A report as Markdown, for a ticket or a wiki.

use super::Report;
use super::view::{Part, Said, page};
use crate::finding::defang::defang;
use crate::finding::language::Language;
use trailhound_queries::packs::reports::Show;

/// Rows a table shows.
const ROWS_SHOWN: usize = 50;

/// The text of `report`.
///
/// # Errors
/// What of the product's own material does not read; a test makes sure that all does.
pub fn markdown(report: &Report, language: Language) -> Result<String, String> {
    let said = Said::new(language)?;
    let page = page(report, &said, ROWS_SHOWN);
    let mut out = format!(
        "# {}\n\n{}: **{}**\n\n{}: {}\n",
        page.title,
        said.page("period"),
        page.period,
        said.page("made_at"),
        page.made_at
    );
    if page.nothing_before {
        out.push_str(&format!("\n{}\n", said.page("no_period_before")));
    }
    for part in &page.sections {
        out.push_str(&format!("\n## {}\n\n{}\n\n", part.title, part.about));
        if part.rows.is_empty() {
            out.push_str(&format!("{}\n", part.empty));
            continue;
        }
        table(&mut out, part);
        for (more, words) in [(part.more as u64, "more"), (part.left, "left")] {
            if more > 0 {
                out.push_str(&format!("\n\\+ {more} {}\n", said.page(words)));
            }
        }
    }
    out.push_str(&format!(
        "\n## {}\n\n{} `trailhound report --verify FILE`\n\n",
        said.page("proof"),
        said.page("proof_text")
    ));
    for (label, value) in &page.proof {
        out.push_str(&format!("- {label}: {}\n", escaped(value)));
    }
    Ok(out)
}

fn table(out: &mut String, part: &Part) {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    out.push_str(&line(part.columns.iter().map(|column| escaped(&column.label)).collect()));
    let rule = |number: bool| if number { "---:".to_owned() } else { "---".to_owned() };
    out.push_str(&line(part.columns.iter().map(|column| rule(column.number)).collect()));
    for row in &part.rows {
        // Quiet times make no rows of their own.
        if part.show == Show::Bars
            && row.iter().skip(1).all(|cell| cell.sort.as_deref() == Some("0"))
        {
            continue;
        }
        out.push_str(&line(row.iter().map(|cell| escaped(&cell.text)).collect()));
    }
}

/// `text` as it stands, whatever Markdown would make of it: no link, no mention, no mark-up.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in defang(text).chars() {
        if c.is_ascii_punctuation()
            && !matches!(c, ',' | ':' | ';' | '.' | '/' | '?' | '%' | '"' | '\'' | '=')
        {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_marked_up() {
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
