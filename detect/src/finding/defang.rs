//! Text of events, defanged for people: programs make no link, mention or markup of it.

use crate::finding::language::cut;
use trailhound_datasets::sanitize::sanitize;

/// What one value of an event may take, in bytes.
const VALUE_BYTES_MAX: usize = 300;

/// `text` without anything that a chat, a mail program or a terminal acts upon, and no longer than a value may be.
#[must_use]
pub fn defang(text: &str) -> String {
    let text = sanitize(cut(text, VALUE_BYTES_MAX).as_str());
    let mut out = String::with_capacity(text.len());
    let characters: Vec<char> = text.chars().collect();
    for (at, &c) in characters.iter().enumerate() {
        let is_letter = |at: usize| characters.get(at).is_some_and(|c| c.is_alphabetic());
        match c {
            '@' => out.push('＠'),
            '<' => out.push('＜'),
            '>' => out.push('＞'),
            // Programs make links of `scheme://` and of `name.tld`.
            ':' if characters.get(at + 1) == Some(&'/') => out.push_str("[:]"),
            '.' if at > 0 && is_letter(at + 1) => out.push_str("[.]"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_an_event_says_can_be_acted_upon() {
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
