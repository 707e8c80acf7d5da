//! The test cases of a rule. They make up most of a rule file, and only the commands `rules test`
//! and `rules lint` use them. So the test cases of built-in rules are parsed at first use.

use crate::packs::rule_file::TestCase;
use serde::Deserialize;
use std::ops::Deref;
use std::sync::OnceLock;

/// The first line of a test case in a description.
const CASE: &str = "\n[[cases]]";

/// A list of test cases, which dereferences to a slice.
#[derive(Debug, Clone)]
pub struct TestCases {
    /// The text of cases that are not parsed yet.
    text: &'static str,
    parsed: OnceLock<Vec<TestCase>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CasesOnly {
    cases: Vec<TestCase>,
}

impl TestCases {
    /// Splits the description of a built-in rule into the part before its cases and the cases.
    pub(crate) fn split(description: &'static str) -> (&'static str, Self) {
        let start = description.find(CASE).map_or(description.len(), |at| at + 1);
        let (head, text) = description.split_at(start);
        (head, Self { text, parsed: OnceLock::new() })
    }

    /// Parses the cases. A built-in rule whose cases do not parse has none; a test makes sure that
    /// there is no such rule.
    fn parse(&self) -> Vec<TestCase> {
        toml::from_str::<CasesOnly>(self.text).map(|file| file.cases).unwrap_or_default()
    }
}

impl From<Vec<TestCase>> for TestCases {
    fn from(cases: Vec<TestCase>) -> Self {
        Self { text: "", parsed: OnceLock::from(cases) }
    }
}

impl Deref for TestCases {
    type Target = [TestCase];

    fn deref(&self) -> &[TestCase] {
        self.parsed.get_or_init(|| self.parse())
    }
}

impl<'c> IntoIterator for &'c TestCases {
    type Item = &'c TestCase;
    type IntoIter = std::slice::Iter<'c, TestCase>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
