//! Defanging: makes text from events safe to show. Chat, mail and terminal programs turn it into no
//! link, mention or markup.

use crate::finding::language::cut;
use trailhound_datasets::sanitize::sanitize;

/// The longest defanged value, in bytes.
const VALUE_BYTES_MAX: usize = 300;

/// Returns `text` without link, mention, markup and control characters, cut to at most 300 bytes.
///
/// `https://evil.example` becomes `https[:]//evil[.]example`, and `@all` becomes `＠all`.
#[must_use]
pub fn defang(text: &str) -> String {
    let text = sanitize(cut(text, VALUE_BYTES_MAX).as_str());
    let mut defanged = String::with_capacity(text.len());
    let characters: Vec<char> = text.chars().collect();
    for (at, &c) in characters.iter().enumerate() {
        let is_letter = |at: usize| characters.get(at).is_some_and(|c| c.is_alphabetic());
        match c {
            '@' => defanged.push('＠'),
            '<' => defanged.push('＜'),
            '>' => defanged.push('＞'),
            // Programs turn `scheme://` and `name.tld` into links.
            ':' if characters.get(at + 1) == Some(&'/') => defanged.push_str("[:]"),
            '.' if at > 0 && is_letter(at + 1) => defanged.push_str("[.]"),
            c => defanged.push(c),
        }
    }
    defanged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_events_becomes_no_link_mention_or_markup() {
        for (text, shown) in [
            ("alice", "alice"),
            ("203.0.113.9", "203.0.113.9"),
            ("https://evil.example/login", "https[:]//evil[.]example/login"),
            ("evil.example", "evil[.]example"),
            ("@all", "＠all"),
            ("<at user_id=\"all\">", "＜at user_id=\"all\"＞"),
            ("<!channel>", "＜!channel＞"),
            ("<script>alert(1)</script>", "＜script＞alert(1)＜/script＞"),
            ("a\u{202e}gpj.exe", "a\\u{202e}gpj[.]exe"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("two\nlines\tand\ra return", "two\\nlines\\tand\\ra return"),
            ("", ""),
        ] {
            assert_eq!(defang(text), shown);
        }
        let long = defang(&"数".repeat(1000));
        assert!(long.len() <= VALUE_BYTES_MAX && long.ends_with("…[cut]"), "{long}");
    }
}
