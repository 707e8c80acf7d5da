//! Makes untrusted text safe to show: in a terminal, and in a spreadsheet.

/// `text` with control, bidirectional and zero-width characters escaped. A terminal then shows every character and obeys
/// none.
#[must_use]
pub fn sanitize(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        if c.is_control() || hidden {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// `text` as a CSV field that no spreadsheet evaluates as a formula: text that starts like a formula gets a leading
/// quote.
#[must_use]
pub fn csv_field(text: &str) -> String {
    let risky = matches!(
        text.chars().next(),
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠')
    );
    if risky { format!("'{text}") } else { text.to_owned() }
}
