//! CSV that is safe to open in a spreadsheet: no field becomes a formula, and every field stays
//! one field where a spreadsheet splits at semicolons and tabs besides commas.

use std::borrow::Cow;

/// The byte order mark. At the start of a CSV file it tells Excel that the text is UTF-8.
pub const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The characters that begin a formula, with their full-width and small forms and the minus sign.
const FORMULA_STARTS: [char; 13] =
    ['=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫', '\u{2212}'];

/// True if a spreadsheet may evaluate `text` as a formula: its first character that is shown is one
/// that begins a formula, or it begins with a tab or a line break. Spreadsheets skip white space,
/// quotes, control characters and characters without width.
#[must_use]
pub fn is_formula(text: &str) -> bool {
    text.starts_with(['\t', '\r', '\n'])
        || text.chars().find(|c| !is_skipped(*c)).is_some_and(|c| FORMULA_STARTS.contains(&c))
}

fn is_skipped(c: char) -> bool {
    let has_no_width = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}');
    let is_quote = matches!(c,
        '"' | '\'' | '`' | '\u{b4}' | '\u{ab}' | '\u{bb}' | '\u{2018}'..='\u{201f}' | '\u{2039}'
        | '\u{203a}' | '\u{300c}'..='\u{300f}' | '\u{301d}'..='\u{301f}' | '＂' | '＇');
    c.is_whitespace() || c.is_control() || has_no_width || is_quote
}

/// `text` as a CSV field that no spreadsheet evaluates as a formula: [a formula](is_formula) gets a
/// leading apostrophe. A program gets the text back by removing one leading apostrophe where the
/// rest is a formula.
#[must_use]
pub fn csv_field(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The line of `fields`, which are [safe](csv_field) already, with its line feed (RFC 4180). A field
/// is quoted not only for a comma: a spreadsheet that also splits at semicolons or tabs, as
/// LibreOffice does, would make a formula of its second half.
#[must_use]
pub fn csv_line<'f>(fields: impl IntoIterator<Item = Cow<'f, str>>) -> String {
    let mut line = String::new();
    let mut count = 0;
    for field in fields {
        if count > 0 {
            line.push(',');
        }
        count += 1;
        let is_quoted = field.contains([',', '"', '\r', '\n', ';', '\t', '|', '\'', '\u{feff}'])
            || field.starts_with(char::is_whitespace)
            || field.ends_with(char::is_whitespace);
        if is_quoted {
            line.push('"');
            line.push_str(&field.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(&field);
        }
    }
    // A line that is empty would be skipped by readers, and its row lost.
    if count == 1 && line.is_empty() {
        line.push_str("\"\"");
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_recognized_behind_everything_that_spreadsheets_skip() {
        let skipped = ["", " ", "\t", "\r\n", "\u{a0}", "\u{3000}", "\"", "'", "“", "\u{200b}"];
        let more =
            ["\u{feff}", "\u{0}", "\u{1b}", "\u{7f}", "\u{85}", "\u{ad}", "\u{202e}", "' \""];
        for before in skipped.into_iter().chain(more) {
            for start in FORMULA_STARTS {
                let text = format!("{before}{start}1+1");
                let field = csv_field(&text);
                assert_eq!(field, format!("'{text}"), "{text:?}");
                assert!(field.strip_prefix('\'').is_some_and(is_formula), "{text:?} comes back");
            }
        }
        for text in
            ["", "a", "1", "a=1", "数=", "'", "\"quoted\"", " a-b", "1890000000004243", "/=1"]
        {
            assert_eq!(csv_field(text), text);
        }
    }

    #[test]
    fn a_field_that_another_separator_would_split_is_quoted() {
        let line = |fields: &[&str]| csv_line(fields.iter().map(|field| csv_field(field)));
        assert_eq!(line(&["a", "b c", "", "数"]), "a,b c,,数\n");
        assert_eq!(line(&["a;=1+1", "a\t=1", "a|b"]), "\"a;=1+1\",\"a\t=1\",\"a|b\"\n");
        assert_eq!(line(&["say \"=1\"", "a\n=1"]), "\"say \"\"=1\"\"\",\"a\n=1\"\n");
        assert_eq!(line(&[""]), "\"\"\n");
        assert_eq!(line(&["", ""]), ",\n");
    }
}
