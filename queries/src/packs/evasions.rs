//! Changes of an attacker's that a rule cannot see through, because the trail does not have the fact that it would need. The
//! list comes with the product; each entry names its source.

use serde::Deserialize;
use std::sync::OnceLock;

/// The list as a file.
const FILE: &str = include_str!("../../evasions.toml");

/// The changes that rules of the product cannot see through.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnseenEvasions {
    /// The entries, by rule and change.
    #[serde(default)]
    pub not_visible: Vec<UnseenEvasion>,
}

/// A change that one rule cannot see through.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnseenEvasion {
    /// Id of the rule.
    pub rule: String,
    /// Name of the change, such as `address-internal`.
    pub change: String,
    /// Which fact the trail does not have, and what the rule would need it for.
    pub reason: String,
    /// Where the vendor documents that the fact is not delivered, or which real samples lack it.
    pub source: String,
}

impl UnseenEvasions {
    /// The list that comes with the product.
    ///
    /// # Panics
    /// Where the file of the product is invalid, which a test excludes.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static EVASIONS: OnceLock<UnseenEvasions> = OnceLock::new();
        EVASIONS.get_or_init(|| toml::from_str(FILE).expect("the list of the product is valid"))
    }

    /// The entry about `change` for the rule `rule`.
    #[must_use]
    pub fn find(&self, rule: &str, change: &str) -> Option<&UnseenEvasion> {
        self.not_visible.iter().find(|entry| entry.rule == rule && entry.change == change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_has_its_reason_and_source_and_stands_once_in_order() {
        let list = UnseenEvasions::built_in();
        let keys: Vec<_> =
            list.not_visible.iter().map(|entry| (&entry.rule, &entry.change)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        for entry in &list.not_visible {
            assert!(entry.reason.len() > 40 && entry.source.len() > 10, "{entry:?}");
            assert!(!entry.reason.contains('|') && !entry.source.contains('|'), "{entry:?}");
        }
    }
}
