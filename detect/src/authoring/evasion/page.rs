//! What the product says about an attacker's changes: the page `docs/evasion.md`, and the lines that `rules show` prints.

use super::{EVASIONS, applicable};
use std::fmt::Write as _;
use trailhound_queries::packs::evasions::UnseenEvasions;
use trailhound_queries::packs::rules::{Rule, RuleSet};

/// The lines about `rule`: the changes that it holds against, and those that are not visible in the trail.
#[must_use]
pub fn rule_lines(rule: &Rule) -> Vec<String> {
    let unseen = UnseenEvasions::built_in();
    let all: Vec<&str> = applicable(rule).iter().map(|evasion| evasion.name).collect();
    let held: Vec<&str> =
        all.iter().copied().filter(|name| unseen.find(&rule.id, name).is_none()).collect();
    let mut lines = Vec::new();
    if !held.is_empty() {
        lines.push(format!("held: {}", held.join(", ")));
    }
    let unseen = all.iter().filter_map(|name| unseen.find(&rule.id, name));
    lines.extend(unseen.map(|entry| {
        format!("not visible in the trail: {}: {} ({})", entry.change, entry.reason, entry.source)
    }));
    lines
}

/// The text of `docs/evasion.md`.
#[must_use]
pub fn evasion_page(rule_set: &RuleSet) -> String {
    let mut out = String::from(
        "# Evasion\n\nGenerated; a test compares. An attacker can read the rules. Another test makes each of these changes to each \
         firing case of each rule, and a rule must still give a finding: the same, one that says that a fact is undetermined, \
         or a less severe one. The rest stands in `queries/evasions.toml` as not visible in the trail, with the fact that the \
         trail does not have and the source for that.\n\n| no. | change | the attacker |\n| --- | --- | --- |\n",
    );
    for (number, evasion) in (1..).zip(EVASIONS) {
        let _ = writeln!(out, "| {number} | `{}` | {} |", evasion.name, evasion.does);
    }
    let unseen = UnseenEvasions::built_in();
    let (mut rows, mut pairs, mut unseen_pairs) = (String::new(), 0, 0);
    for rule in &rule_set.rules {
        let applied = applicable(rule);
        let is_applied = |name: &str| applied.iter().any(|evasion| evasion.name == name);
        let is_unseen = |name: &str| unseen.find(&rule.id, name).is_some();
        let held = (1..).zip(EVASIONS).filter(|(_, evasion)| is_applied(evasion.name));
        let held = held.filter(|(_, evasion)| !is_unseen(evasion.name)).map(|(number, _)| number);
        let held = ranges(&held.collect::<Vec<u32>>());
        let entries: Vec<String> = applied
            .iter()
            .filter_map(|evasion| unseen.find(&rule.id, evasion.name))
            .map(|entry| format!("`{}`: {} ({})", entry.change, entry.reason, entry.source))
            .collect();
        pairs += applied.len();
        unseen_pairs += entries.len();
        let _ = writeln!(rows, "| {} | {held} | {} |", rule.id, entries.join("<br>"));
    }
    let _ = writeln!(
        out,
        "\n## The rules\n\n{pairs} changes apply to the firing cases of {} rules; {unseen_pairs} of them are not visible in the \
         trail.\n\n| rule | holds against | not visible in the trail |\n| --- | --- | --- |\n{}",
        rule_set.rules.len(),
        rows.trim_end()
    );
    out
}

/// Numbers in ascending order as text, with ranges: `1-3, 7`.
fn ranges(numbers: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let text = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    parts.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_one_range() {
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), "1-3, 5, 7-8");
        assert_eq!(ranges(&[]), "");
    }
}
