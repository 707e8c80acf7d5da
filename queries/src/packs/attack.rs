//! Maps MITRE ATT&CK techniques to their tactics (Enterprise matrix, version 17), for the
//! techniques that rules name.

/// Technique id and the short names of its tactics.
const TACTICS: &[(&str, &[&str])] = &[
    ("T1040", &["credential-access", "discovery"]),
    ("T1059", &["execution"]),
    ("T1078", &["defense-evasion", "persistence", "privilege-escalation", "initial-access"]),
    ("T1087", &["discovery"]),
    ("T1098", &["persistence", "privilege-escalation"]),
    ("T1110", &["credential-access"]),
    ("T1133", &["persistence", "initial-access"]),
    ("T1136", &["persistence"]),
    ("T1199", &["initial-access"]),
    ("T1484", &["defense-evasion", "privilege-escalation"]),
    ("T1485", &["impact"]),
    ("T1486", &["impact"]),
    ("T1490", &["impact"]),
    ("T1496", &["impact"]),
    ("T1526", &["discovery"]),
    ("T1529", &["impact"]),
    ("T1530", &["collection"]),
    ("T1535", &["defense-evasion"]),
    ("T1537", &["exfiltration"]),
    ("T1552", &["credential-access"]),
    ("T1555", &["credential-access"]),
    ("T1556", &["credential-access", "defense-evasion", "persistence"]),
    ("T1561", &["impact"]),
    ("T1562", &["defense-evasion"]),
    ("T1578", &["defense-evasion"]),
    ("T1580", &["discovery"]),
    ("T1651", &["execution"]),
];

/// The tactics of a technique or sub-technique, by ATT&CK's short names. Empty for a technique that
/// no built-in rule names.
#[must_use]
pub fn tactics(technique: &str) -> &'static [&'static str] {
    let technique = technique.split('.').next().unwrap_or(technique);
    TACTICS.iter().find(|(known, _)| *known == technique).map_or(&[], |(_, tactics)| tactics)
}
