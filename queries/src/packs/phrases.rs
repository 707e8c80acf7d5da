//! The sentences of findings in both languages. Rules and health checks write English sentences with the values of an event in
//! them; a phrase says how such a sentence reads in Chinese.
//!
//! ```
//! use trailhound_queries::packs::phrases::Phrases;
//!
//! let phrases = Phrases::parse(r#"
//!     [[phrases]]
//!     en = "source address {} is in no corporate range"
//!     zh = "来源地址 {} 不在企业网段内"
//! "#)?;
//! let chinese = phrases.zh("source address 198.51.100.7 is in no corporate range");
//! assert_eq!(chinese.as_deref(), Some("来源地址 198.51.100.7 不在企业网段内"));
//! assert_eq!(phrases.zh("something else"), None);
//! # Ok::<(), String>(())
//! ```

use include_dir::{Dir, include_dir};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::OnceLock;

/// The phrases that come with the product, one file for each group of rules.
static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/phrases");

/// Stands for a value in the text of a phrase.
const PLACEHOLDER: &str = "{}";

/// Phrases in English and Chinese.
#[derive(Debug, Default)]
pub struct Phrases {
    phrases: Vec<Phrase>,
    /// Numbers of the phrases that begin with a letter or sign, by their first characters.
    by_start: HashMap<String, Vec<usize>>,
    /// Numbers of the phrases that begin with a value.
    by_value: Vec<usize>,
    /// Chinese words by the English ones: names of facts and kinds of addresses.
    words: HashMap<String, String>,
}

/// A sentence with placeholders, as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PhraseEntry {
    en: String,
    zh: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PhraseFile {
    #[serde(default)]
    phrases: Vec<PhraseEntry>,
    /// Words of the product that stand as values in sentences.
    #[serde(default)]
    words: HashMap<String, String>,
}

/// A sentence with placeholders, taken apart.
#[derive(Debug)]
struct Phrase {
    /// The text between the values; one part more than there are values.
    english: Vec<String>,
    chinese: Vec<ChinesePart>,
    /// Number of bytes of the English text without its values.
    literal_bytes: usize,
}

#[derive(Debug)]
enum ChinesePart {
    Text(String),
    /// The value with this number, from 0.
    Value(usize),
    /// The same, where the value is a list of words of the product, and not a text of the event.
    Words(usize),
}

impl Phrases {
    /// The phrases that come with the product.
    ///
    /// # Panics
    /// Where a file of the product is invalid, which a test excludes.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static PHRASES: OnceLock<Phrases> = OnceLock::new();
        PHRASES.get_or_init(|| {
            let mut all = Self::default();
            for file in BUILT_IN.files() {
                let name = file.path().display();
                let text = file.contents_utf8().unwrap_or_default();
                all.add(text).unwrap_or_else(|error| panic!("phrases/{name}: {error}"));
            }
            all
        })
    }

    /// Reads phrases in TOML: `[[phrases]]` with `en` and `zh`, and `[words]`. In `zh`, `{}` is the next value, `{2}` the
    /// second, and `{2:words}` the second in the words of `[words]`.
    ///
    /// # Errors
    /// The message of the TOML parser, or a phrase whose languages have different values.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut phrases = Self::default();
        phrases.add(text)?;
        Ok(phrases)
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        let file: PhraseFile = toml::from_str(text).map_err(|error| error.to_string())?;
        for entry in &file.phrases {
            let phrase = Phrase::new(entry)?;
            let (number, start) = (self.phrases.len(), start_of(&phrase.english[0]));
            match start {
                Some(start) => self.by_start.entry(start).or_default().push(number),
                None => self.by_value.push(number),
            }
            self.phrases.push(phrase);
        }
        self.words.extend(file.words);
        Ok(())
    }

    /// The sentence `english` in Chinese; `None` where no phrase fits it wholly. Of several, the one with the most text of its
    /// own is taken.
    #[must_use]
    pub fn zh(&self, english: &str) -> Option<String> {
        let starts = start_of(english).and_then(|start| self.by_start.get(&start));
        let candidates = starts.into_iter().flatten().chain(&self.by_value);
        let fitting = candidates.filter_map(|&number| {
            let phrase = &self.phrases[number];
            Some((phrase, phrase.values(english)?))
        });
        match fitting.max_by_key(|(phrase, _)| phrase.literal_bytes) {
            Some((phrase, values)) => Some(self.chinese(phrase, &values)),
            None => self.words.get(english).cloned(),
        }
    }

    fn chinese(&self, phrase: &Phrase, values: &[&str]) -> String {
        let part = |part: &ChinesePart| match part {
            ChinesePart::Text(text) => text.clone(),
            ChinesePart::Value(number) => values[*number].to_owned(),
            ChinesePart::Words(number) => self.words_zh(values[*number]),
        };
        phrase.chinese.iter().map(part).collect()
    }

    /// The words of a list in Chinese; one that is not known stays as it is.
    fn words_zh(&self, list: &str) -> String {
        let word = |word| self.words.get(word).map_or(word, String::as_str);
        list.split(", ").map(word).collect::<Vec<_>>().join("、")
    }

    /// Each text in Chinese; a text without a phrase, such as one of a user's own rule, stays as it is.
    #[must_use]
    pub fn all_zh(&self, english: &[String]) -> Vec<String> {
        english.iter().map(|text| self.zh(text).unwrap_or_else(|| text.clone())).collect()
    }
}

/// The first characters of a text, by which phrases are found. `None` for a text that is shorter: such a phrase is compared
/// with every text.
fn start_of(text: &str) -> Option<String> {
    const CHARACTERS: usize = 4;
    let start: String = text.chars().take(CHARACTERS).collect();
    (start.chars().count() == CHARACTERS).then_some(start)
}

impl Phrase {
    fn new(entry: &PhraseEntry) -> Result<Self, String> {
        let english: Vec<String> = entry.en.split(PLACEHOLDER).map(str::to_owned).collect();
        let values = english.len() - 1;
        let chinese = chinese_parts(&entry.zh);
        let mut used: Vec<usize> = chinese
            .iter()
            .filter_map(|part| match part {
                ChinesePart::Value(number) | ChinesePart::Words(number) => Some(*number),
                ChinesePart::Text(_) => None,
            })
            .collect();
        used.sort_unstable();
        if !used.iter().copied().eq(0..values) {
            return Err(format!("`{}` and `{}` have different values", entry.en, entry.zh));
        }
        if english[1..].iter().rev().skip(1).any(String::is_empty) {
            return Err(format!("`{}` has two values with nothing between them", entry.en));
        }
        Ok(Self { literal_bytes: english.iter().map(String::len).sum(), english, chinese })
    }

    /// The values of the phrase in `text`; `None` where the text does not fit.
    fn values<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        let (first, rest) = self.english.split_first()?;
        let mut left = text.strip_prefix(first.as_str())?;
        let Some((last, between)) = rest.split_last() else {
            return left.is_empty().then(Vec::new);
        };
        left = left.strip_suffix(last.as_str())?;
        let mut values = Vec::with_capacity(rest.len());
        for part in between {
            let (value, after) = left.split_once(part.as_str())?;
            values.push(value);
            left = after;
        }
        values.push(left);
        Some(values)
    }
}

/// Splits a Chinese text at its values: `{}` is the next, `{2}` the second, `{2:words}` the second in Chinese words.
fn chinese_parts(text: &str) -> Vec<ChinesePart> {
    let (mut parts, mut next, mut rest) = (Vec::new(), 0, text);
    while let Some((before, from)) = rest.split_once('{') {
        let Some((inner, after)) = from.split_once('}') else { break };
        let (number, has_words) = match inner.strip_suffix(":words") {
            Some(number) => (number, true),
            None => (inner, false),
        };
        let number = if number.is_empty() {
            next += 1;
            Some(next)
        } else {
            number.parse::<usize>().ok().filter(|&number| number > 0)
        };
        match number {
            Some(number) => {
                parts.push(ChinesePart::Text(before.to_owned()));
                parts.push(match has_words {
                    true => ChinesePart::Words(number - 1),
                    false => ChinesePart::Value(number - 1),
                });
            }
            None => parts.push(ChinesePart::Text(format!("{before}{{{inner}}}"))),
        }
        rest = after;
    }
    parts.push(ChinesePart::Text(rest.to_owned()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phrases_of_the_product_are_valid() {
        assert!(!Phrases::built_in().phrases.is_empty());
    }

    #[test]
    fn the_most_specific_phrase_is_taken_and_values_can_change_places() {
        let phrases = Phrases::parse(
            "[[phrases]]\nen = \"{} of {}\"\nzh = \"{2} 的 {1}\"\n\
             [[phrases]]\nen = \"release of {}\"\nzh = \"释放 {}\"\n\
             [[phrases]]\nen = \"root\"\nzh = \"主账号\"\n\
             [[phrases]]\nen = \"AccessKey {} was used from {} networks\"\nzh = \"AccessKey {} 从 {} 个网段使用\"\n\
             [[phrases]]\nen = \"{} has no {}\"\nzh = \"{} 没有{:words}\"\n\
             [words]\ntime = \"时间\"\nmfa = \"多因素认证\"\n",
        )
        .expect("valid");
        for (english, chinese) in [
            ("stop of i-1", Some("i-1 的 stop")),
            ("release of i-1", Some("释放 i-1")),
            ("root", Some("主账号")),
            ("roots", None),
            ("time has no mfa, time, x", Some("time 没有多因素认证、时间、x")),
            ("mfa", Some("多因素认证")),
            (
                "AccessKey LT****1 was used from 6 networks",
                Some("AccessKey LT****1 从 6 个网段使用"),
            ),
        ] {
            assert_eq!(phrases.zh(english).as_deref(), chinese, "{english}");
        }
    }

    #[test]
    fn languages_with_different_values_are_refused() {
        for text in [
            "[[phrases]]\nen = \"user {}\"\nzh = \"用户\"\n",
            "[[phrases]]\nen = \"user\"\nzh = \"用户 {}\"\n",
            "[[phrases]]\nen = \"user {}\"\nzh = \"用户 {2}\"\n",
            "[[phrases]]\nen = \"user {}{}\"\nzh = \"用户 {} {}\"\n",
        ] {
            assert!(Phrases::parse(text).is_err(), "{text}");
        }
    }
}
