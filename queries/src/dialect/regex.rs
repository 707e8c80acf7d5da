//! Regular expressions of PostgreSQL ("advanced regular expressions") over the crate `regex`.
//!
//! An expression is translated where both mean the same, and refused by name where they do not: back references, look-around.
//! PostgreSQL takes the longest match, the crate the first alternative; where a text shows the difference, the statement fails
//! rather than giving another part of the text.

use datafusion::common::{DataFusionError, Result, exec_err};
use regex::{Captures, Regex};
use regex_automata::hybrid::dfa::DFA;
use regex_automata::{Anchored, Input, MatchKind};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// Most expressions that a function keeps compiled.
const CACHED_MAX: usize = 64;
/// Largest compiled expression, in bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A compiled expression.
#[derive(Debug)]
pub(super) struct PgRegex {
    regex: Regex,
    /// Finds how far a match reaches in PostgreSQL; `None` where the expression does not allow to tell.
    reach: Option<DFA>,
    quantifiers: Quantifiers,
}

/// Which quantifiers an expression has: PostgreSQL takes the longest match with greedy ones, the shortest with the others.
#[derive(Debug, Clone, Copy, Default)]
struct Quantifiers {
    greedy: bool,
    lazy: bool,
}

/// What the flags of a function say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    /// `g`: all matches.
    pub(super) all: bool,
}

impl Flags {
    /// Reads flags such as `gi`.
    ///
    /// # Errors
    /// An error for a flag that is not translated.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut flags = Self::default();
        for flag in text.chars() {
            match flag {
                'i' => flags.ignore_case = true,
                'c' => flags.ignore_case = false,
                'g' => flags.all = true,
                's' | 't' => {}
                other => {
                    return exec_err!(
                        "the regular expression flag \"{other}\" is not translated; there are i, c, s and g"
                    );
                }
            }
        }
        Ok(flags)
    }
}

/// Compiled expressions by their text.
#[derive(Debug, Default)]
pub(super) struct RegexCache {
    compiled: HashMap<(String, bool), Arc<PgRegex>>,
}

impl RegexCache {
    /// The expression `pattern`, compiled once.
    ///
    /// # Errors
    /// An error for an expression that is invalid or not translated.
    pub(super) fn get(&mut self, pattern: &str, ignore_case: bool) -> Result<Arc<PgRegex>> {
        let key = (pattern.to_owned(), ignore_case);
        if let Some(found) = self.compiled.get(&key) {
            return Ok(Arc::clone(found));
        }
        if self.compiled.len() >= CACHED_MAX {
            self.compiled.clear();
        }
        let compiled = Arc::new(PgRegex::new(pattern, ignore_case)?);
        self.compiled.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }
}

impl PgRegex {
    fn new(pattern: &str, ignore_case: bool) -> Result<Self> {
        let (translated, quantifiers) = Translation::of(pattern)?;
        let flags = if ignore_case { "(?si)" } else { "(?s)" };
        let text = format!("{flags}{translated}");
        let regex = regex::RegexBuilder::new(&text)
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|_| {
                DataFusionError::Execution(format!(
                    "invalid regular expression, or one that is not translated: \"{pattern}\""
                ))
            })?;
        let config = DFA::config().match_kind(MatchKind::All);
        let reach = DFA::builder().configure(config).build(&text).ok();
        Ok(Self { regex, reach, quantifiers })
    }

    /// True where the text has a match.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Number of groups in parentheses.
    pub(super) fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }

    /// The first match at or after the byte `at`.
    ///
    /// # Errors
    /// An error where PostgreSQL may take another match.
    pub(super) fn find<'t>(&self, text: &'t str, at: usize) -> Result<Option<Captures<'t>>> {
        let Some(found) = self.regex.captures_at(text, at) else { return Ok(None) };
        let whole = found.get_match();
        if self.reach_in_postgresql(text, whole.start()) != Some(whole.end()) {
            return exec_err!(
                "which part of a text this regular expression matches differs between engines; write it without alternatives that begin alike, and with quantifiers that are all greedy or all not"
            );
        }
        Ok(Some(found))
    }

    /// Where the match that begins at `start` ends in PostgreSQL.
    fn reach_in_postgresql(&self, text: &str, start: usize) -> Option<usize> {
        let Quantifiers { greedy, lazy } = self.quantifiers;
        if greedy && lazy {
            return None;
        }
        let dfa = self.reach.as_ref()?;
        let input = Input::new(text).range(start..).anchored(Anchored::Yes).earliest(lazy);
        let found = dfa.try_search_fwd(&mut dfa.create_cache(), &input).ok()??;
        Some(found.offset())
    }

    /// The matches in order: all of them, or the first.
    ///
    /// # Errors
    /// As [`PgRegex::find`].
    pub(super) fn find_all<'t>(&self, text: &'t str, all: bool) -> Result<Vec<Captures<'t>>> {
        let (mut found, mut at) = (Vec::new(), 0);
        while at <= text.len() {
            let Some(captures) = self.find(text, at)? else { break };
            let whole = captures.get_match();
            let (start, end) = (whole.start(), whole.end());
            found.push(captures);
            if !all {
                break;
            }
            at = if end > start {
                end
            } else {
                end + text[end..].chars().next().map_or(1, char::len_utf8)
            };
        }
        Ok(found)
    }
}

/// Translates an expression character by character.
struct Translation<'p> {
    rest: std::iter::Peekable<std::str::Chars<'p>>,
    pattern: &'p str,
    out: String,
    quantifiers: Quantifiers,
    /// True right after a quantifier, where another one has another meaning.
    after_quantifier: bool,
}

impl<'p> Translation<'p> {
    fn of(pattern: &'p str) -> Result<(String, Quantifiers)> {
        if pattern.starts_with("***") {
            return exec_err!("the regular expression prefix *** is not translated: \"{pattern}\"");
        }
        let mut translation = Self {
            rest: pattern.chars().peekable(),
            pattern,
            out: String::new(),
            quantifiers: Quantifiers::default(),
            after_quantifier: false,
        };
        while let Some(c) = translation.rest.next() {
            translation.character(c)?;
        }
        Ok((translation.out, translation.quantifiers))
    }

    fn refuse<T>(&self, what: &str) -> Result<T> {
        exec_err!("{what} in a regular expression is not translated: \"{}\"", self.pattern)
    }

    fn character(&mut self, c: char) -> Result<()> {
        if matches!(c, '*' | '+' | '?')
            || (c == '{' && self.rest.peek().is_some_and(char::is_ascii_digit))
        {
            return self.quantifier(c);
        }
        self.after_quantifier = false;
        match c {
            '\\' => self.escape(),
            '[' => self.bracket(),
            '(' => self.group(),
            '{' | '}' => {
                self.out.push('\\');
                self.out.push(c);
                Ok(())
            }
            c => {
                self.out.push(c);
                Ok(())
            }
        }
    }

    fn quantifier(&mut self, c: char) -> Result<()> {
        if self.after_quantifier {
            return self.refuse("a quantifier after a quantifier");
        }
        self.out.push(c);
        if c == '{' {
            for c in self.rest.by_ref() {
                if !(c.is_ascii_digit() || matches!(c, ',' | '}')) {
                    return exec_err!("invalid regular expression: \"{}\"", self.pattern);
                }
                self.out.push(c);
                if c == '}' {
                    break;
                }
            }
        }
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
            self.quantifiers.lazy = true;
        } else {
            self.quantifiers.greedy = true;
        }
        self.after_quantifier = true;
        Ok(())
    }

    fn group(&mut self) -> Result<()> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        match self.rest.next() {
            Some(':') => {
                self.out.push_str("?:");
                Ok(())
            }
            // Options stand at the beginning only.
            Some('i') if self.out == "(" && self.rest.next_if_eq(&')').is_some() => {
                self.out = "(?i)".to_owned();
                Ok(())
            }
            _ => self.refuse("(? with anything but a group without number"),
        }
    }

    fn escape(&mut self) -> Result<()> {
        let Some(c) = self.rest.next() else {
            return exec_err!("invalid regular expression: \"{}\" ends with \\", self.pattern);
        };
        let translated = match c {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            'w' | 'W' | 's' | 'S' | 'n' | 'r' | 't' | 'f' | 'v' => {
                self.out.push('\\');
                self.out.push(c);
                return Ok(());
            }
            'y' => r"\b",
            'Y' => r"\B",
            'm' => r"\b{start}",
            'M' => r"\b{end}",
            'A' => r"\A",
            'Z' => r"\z",
            'b' => r"\x08",
            'B' => r"\\",
            c if c.is_alphanumeric() => return self.refuse(&format!("\\{c}")),
            c => {
                self.out.push_str(&regex::escape(&c.to_string()));
                return Ok(());
            }
        };
        self.out.push_str(translated);
        Ok(())
    }

    /// A list in brackets, whose opening bracket has been read.
    fn bracket(&mut self) -> Result<()> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.rest.next() else {
                return exec_err!(
                    "invalid regular expression: brackets of \"{}\" are not closed",
                    self.pattern
                );
            };
            match c {
                ']' if !first => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' if self.rest.peek() == Some(&':') => {
                    let name: String = self.rest.by_ref().take_while(|c| *c != ']').collect();
                    let _written = write!(self.out, "[{name}]");
                }
                '[' if matches!(self.rest.peek(), Some('.' | '=')) => {
                    return self.refuse("a collating element");
                }
                '\\' => self.escape_in_bracket()?,
                '-' => self.out.push('-'),
                ']' | '[' | '&' | '~' | '^' => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                c => self.out.push(c),
            }
            first = false;
        }
    }

    fn escape_in_bracket(&mut self) -> Result<()> {
        match self.rest.next() {
            Some('d') => self.out.push_str("0-9"),
            Some(c @ ('w' | 's' | 'n' | 'r' | 't')) => {
                self.out.push('\\');
                self.out.push(c);
            }
            Some(c) if !c.is_alphanumeric() => self.out.push_str(&escaped_in_class(c)),
            _ => return self.refuse("this escape in brackets"),
        }
        Ok(())
    }
}

fn escaped_in_class(c: char) -> String {
    if c.is_ascii_punctuation() { format!("\\{c}") } else { c.to_string() }
}

/// The regular expression that means the same as the pattern of `SIMILAR TO`.
///
/// # Errors
/// An error for a pattern that ends with its escape character.
pub(super) fn similar_pattern(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut out = "^(?:".to_owned();
    let mut in_bracket = false;
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        if Some(c) == escape {
            let Some(next) = characters.next() else {
                return exec_err!(
                    "the pattern of SIMILAR TO must not end with its escape character"
                );
            };
            if next.is_alphanumeric() {
                return exec_err!("an escaped letter in a pattern of SIMILAR TO is not translated");
            }
            out.push('\\');
            out.push(next);
            continue;
        }
        match c {
            '[' => in_bracket = true,
            ']' => in_bracket = false,
            _ => {}
        }
        match c {
            '%' if !in_bracket => out.push_str(".*"),
            '_' if !in_bracket => out.push('.'),
            '.' | '^' | '$' | '\\' if !in_bracket => {
                out.push('\\');
                out.push(c);
            }
            '(' => out.push_str("(?:"),
            c => out.push(c),
        }
    }
    out.push_str(")$");
    Ok(out)
}

/// True where `text` is like `pattern`: `%` stands for any text, `_` for a character.
///
/// # Errors
/// An error for a pattern that ends with its escape character.
pub(super) fn like(
    text: &str,
    pattern: &str,
    escape: Option<char>,
    ignore_case: bool,
) -> Result<bool> {
    #[derive(PartialEq)]
    enum Item {
        Any,
        One,
        Char(char),
    }
    let folded = |text: &str| if ignore_case { text.to_lowercase() } else { text.to_owned() };
    let (text, pattern): (Vec<char>, String) = (folded(text).chars().collect(), folded(pattern));
    let mut items = Vec::new();
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        items.push(match c {
            c if Some(c) == escape => match characters.next() {
                Some(c) => Item::Char(c),
                None => return exec_err!("LIKE pattern must not end with escape character"),
            },
            '%' => Item::Any,
            '_' => Item::One,
            c => Item::Char(c),
        });
    }
    // The last `%` and the text it was tried with: a mismatch goes back there and takes one character more.
    let (mut at, mut item, mut back) = (0, 0, None);
    loop {
        match items.get(item) {
            Some(Item::Any) => {
                back = Some((item + 1, at));
                item += 1;
                continue;
            }
            Some(expected)
                if at < text.len()
                    && (*expected == Item::One || *expected == Item::Char(text[at])) =>
            {
                (at, item) = (at + 1, item + 1);
                continue;
            }
            None if at == text.len() => return Ok(true),
            _ => {}
        }
        match back {
            Some((next, taken)) if taken < text.len() => {
                back = Some((next, taken + 1));
                (at, item) = (taken + 1, next);
            }
            _ => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_mean_what_they_mean_in_postgresql_or_are_refused() {
        let regex = |pattern: &str| PgRegex::new(pattern, false);
        for (pattern, text, expected) in [
            (r"a.c", "a\nc", true),
            (r"^\d+$", "123", true),
            (r"\mfoo\M", "a foo b", true),
            (r"[[:upper:]&&x]", "&", true),
            (r"x{2}", "axxb", true),
            (r"x{", "x{", true),
            (r"[]a]", "]", true),
        ] {
            assert_eq!(regex(pattern).expect(pattern).is_match(text), expected, "{pattern}");
        }
        for pattern in [r"(a)\1", "(?=a)b", "a*+", "[[=a=]]", "***:a", "a(?i)b", r"\q"] {
            assert!(regex(pattern).is_err(), "{pattern}");
        }
        // PostgreSQL takes `ab`, the crate `a`.
        assert!(regex("a|ab").expect("compiled").find("xab", 0).is_err());
        let found = regex("a|b").expect("compiled").find_all("xab", true).expect("found");
        assert_eq!(found.len(), 2);
        assert!(regex("a.*?b").expect("compiled").find("aabab", 0).is_ok());
    }

    #[test]
    fn patterns_of_like_and_similar_to_match_whole_texts() {
        for (text, pattern, expected) in [
            ("abc", "a%", true),
            ("abc", "a_", false),
            ("a%c", "a\\%c", true),
            ("aXbXc", "%X%c", true),
            ("", "%", true),
        ] {
            assert_eq!(
                like(text, pattern, Some('\\'), false).ok(),
                Some(expected),
                "{text} {pattern}"
            );
        }
        assert!(like("a", "a\\", Some('\\'), false).is_err());
        let similar = similar_pattern("(a|b)%_.", Some('\\')).expect("translated");
        assert!(PgRegex::new(&similar, false).expect("compiled").is_match("bxyz."));
    }
}
