//! What a look at a source saw: which places are read, how much lies there, what of it was read, and what is passed over and
//! why. It tells a source that reads nothing from one that has nothing to read.

use serde::{Deserialize, Serialize};

/// The most places that a description names.
const PLACES_NAMED: usize = 5;

/// What the last look at a source saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceSurvey {
    /// The places that are read: folders with day folders, whole folders, or topic partitions.
    pub roots: Vec<String>,
    /// First and last day that was listed, `YYYY-MM-DD`; `None` where the source has no days.
    pub days: Option<(String, String)>,
    /// Objects listed below the roots, or messages that the broker holds.
    pub listed: u64,
    /// Those of them that the lake holds.
    pub read: u64,
    /// Those of them that are to be read now.
    pub unread: u64,
    /// What is not read.
    pub passed_over: Vec<PassedOver>,
    /// What an operator should know, a sentence each.
    pub remarks: Vec<String>,
    /// The source has content, whether it is read or not; `None` where that could not be found out.
    pub has_content: Option<bool>,
    /// Events of this source's present places are in the lake, and reading goes on.
    pub is_read: bool,
}

/// Content of one kind that is not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Why it is not read.
    pub why: String,
    /// Number of objects, folders or messages.
    pub count: u64,
    /// The name of one of them.
    pub example: String,
}

impl SourceSurvey {
    /// Adds content that is passed over. Does nothing where `count` is 0.
    pub fn pass_over(&mut self, why: &str, count: u64, example: Option<&str>) {
        if count > 0 {
            let example = example.unwrap_or_default().to_owned();
            self.passed_over.push(PassedOver { why: why.to_owned(), count, example });
        }
    }

    /// True where the source has content of which nothing is read.
    #[must_use]
    pub fn reads_nothing(&self) -> bool {
        self.has_content == Some(true) && !self.is_read
    }

    /// What was seen, in one line.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut parts = vec![match self.roots.as_slice() {
            [] => "no place to read was found".to_owned(),
            roots => format!("reads {}", named(roots)),
        }];
        parts.extend(self.days.iter().map(|(first, last)| format!("days {first} to {last}")));
        parts.push(format!(
            "{} listed, {} of them read before, {} unread",
            self.listed, self.read, self.unread
        ));
        parts.extend(self.passed_over.iter().map(|passed| {
            let example = match passed.example.as_str() {
                "" => String::new(),
                example => format!(" (such as `{example}`)"),
            };
            format!("passed over: {} {}{example}", passed.count, passed.why)
        }));
        parts.extend(self.remarks.iter().cloned());
        parts.join("; ")
    }

    /// What changes seldom: a look that differs in nothing else needs no line in the log.
    #[must_use]
    pub fn lasting(&self) -> Self {
        Self { listed: 0, read: 0, unread: 0, days: None, ..self.clone() }
    }
}

/// The first of `places`, and how many more there are.
fn named(places: &[String]) -> String {
    let shown: Vec<String> =
        places.iter().take(PLACES_NAMED).map(|place| format!("`{place}`")).collect();
    match places.len().saturating_sub(PLACES_NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_described_with_what_is_passed_over_and_why() {
        let mut survey = SourceSurvey {
            roots: (0..7).map(|n| format!("root{n}")).collect(),
            listed: 3,
            unread: 3,
            has_content: Some(true),
            ..SourceSurvey::default()
        };
        survey.pass_over("objects outside of day folders", 2, Some("a/b"));
        survey.pass_over("empty objects", 0, Some("c"));
        let text = survey.describe();
        assert!(survey.reads_nothing());
        assert!(text.contains("`root4` and 2 more") && text.contains("3 listed"), "{text}");
        assert!(text.contains("passed over: 2 objects outside of day folders (such as `a/b`)"));
        assert!(!text.contains("empty objects"), "{text}");
        survey.has_content = None;
        assert!(!survey.reads_nothing(), "unknown is not no");
    }
}
