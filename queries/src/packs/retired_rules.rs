//! Ids of rules that are no longer part of the product. An id is never used again, because stored
//! findings refer to it.

use serde::Deserialize;
use std::sync::LazyLock;

/// The rules of `queries/rules/retired.toml`.
static RETIRED: LazyLock<Result<Vec<RetiredRule>, String>> =
    LazyLock::new(|| parse(include_str!("../../rules/retired.toml")));

/// A rule that is no longer part of the product.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetiredRule {
    /// Its id.
    pub id: String,
    /// Version of the product that no longer has the rule.
    pub since: String,
    /// Why it was removed.
    pub reason: String,
    /// Ids of the rules that replace it.
    #[serde(default)]
    pub replaced_by: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetiredRules {
    #[serde(default)]
    rule: Vec<RetiredRule>,
}

impl RetiredRule {
    /// Every retired rule.
    ///
    /// # Errors
    /// The message of the TOML parser. A test makes sure that the file parses.
    pub fn all() -> Result<&'static [Self], String> {
        RETIRED.as_deref().map_err(Clone::clone)
    }

    /// Why a new rule cannot have this id.
    #[must_use]
    pub fn refusal(&self) -> String {
        let replaced = match self.replaced_by.as_slice() {
            [] => String::new(),
            ids => format!("; replaced by {}", ids.join(", ")),
        };
        format!(
            "the id `{}` is retired since {} ({}){replaced}; ids are never used again",
            self.id, self.since, self.reason
        )
    }
}

fn parse(text: &str) -> Result<Vec<RetiredRule>, String> {
    toml::from_str::<RetiredRules>(text)
        .map(|file| file.rule)
        .map_err(|e| format!("rules/retired.toml: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_parses_and_a_refusal_names_the_replacement() {
        RetiredRule::all().expect("the file parses");
        let text = "[[rule]]\nid = \"AT-OLD-001\"\nsince = \"0.2.0\"\nreason = \"the API is gone\"\n\
            replaced_by = [\"AT-NEW-001\"]\n";
        let retired = parse(text).expect("a list");
        assert_eq!(
            retired[0].refusal(),
            "the id `AT-OLD-001` is retired since 0.2.0 (the API is gone); replaced by AT-NEW-001; \
             ids are never used again"
        );
    }
}
