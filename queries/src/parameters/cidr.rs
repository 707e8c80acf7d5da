//! IP ranges of the company, with labels and validity dates.

use super::toml_time::deserialize_day;
use chrono::{DateTime, NaiveDate};
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::Error as _;
use std::net::IpAddr;

/// One IP range.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CidrEntry {
    /// The range; host bits must be zero.
    #[serde(deserialize_with = "deserialize_range")]
    pub cidr: IpNet,
    /// Free text that says what the range is, such as `office`, `vpn` or `bastion`.
    #[serde(default)]
    pub label: String,
    /// First day on which it is valid (UTC).
    #[serde(default, deserialize_with = "deserialize_day")]
    pub valid_from: Option<NaiveDate>,
    /// Last day on which it is valid (UTC), inclusive.
    #[serde(default, deserialize_with = "deserialize_day")]
    pub valid_to: Option<NaiveDate>,
}

impl CidrEntry {
    /// Whether the entry is valid at `time` (microseconds since 1970 UTC). `None` where the entry
    /// has a validity date and the time is unknown.
    fn is_valid_at(&self, time: Option<i64>) -> Option<bool> {
        if self.valid_from.is_none() && self.valid_to.is_none() {
            return Some(true);
        }
        let day = DateTime::from_timestamp_micros(time?)?.date_naive();
        Some(
            self.valid_from.is_none_or(|from| from <= day)
                && self.valid_to.is_none_or(|to| day <= to),
        )
    }
}

/// IP ranges; the longest matching prefix wins.
#[derive(Debug, Clone, Default)]
pub struct CidrList(Vec<CidrEntry>);

impl CidrList {
    /// True where the list has no range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True where at least one range is IPv6.
    #[must_use]
    pub fn contains_ipv6(&self) -> bool {
        self.0.iter().any(|entry| matches!(entry.cidr, IpNet::V6(_)))
    }

    /// The label of the range with the longest prefix among the ranges that contain `ip` and are
    /// valid at `time` (microseconds since 1970 UTC):
    ///
    /// - `Some(Some(label))`: inside of a range;
    /// - `Some(None)`: outside of all ranges;
    /// - `None`: unknown, because only ranges with validity dates contain `ip` and the time is
    ///   unknown.
    #[must_use]
    pub fn label(&self, ip: IpAddr, time: Option<i64>) -> Option<Option<&str>> {
        let mut best: Option<&CidrEntry> = None;
        let mut unsure = false;
        for entry in self.0.iter().filter(|entry| entry.cidr.contains(&ip)) {
            match entry.is_valid_at(time) {
                Some(true)
                    if best.is_none_or(|best| best.cidr.prefix_len() < entry.cidr.prefix_len()) =>
                {
                    best = Some(entry)
                }
                Some(_) => {}
                None => unsure = true,
            }
        }
        match best {
            Some(entry) => Some(Some(&entry.label)),
            None if unsure => None,
            None => Some(None),
        }
    }
}

impl<'de> Deserialize<'de> for CidrList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries: Vec<CidrEntry> = Vec::deserialize(deserializer)?;
        for entry in &entries {
            if let (Some(from), Some(to)) = (entry.valid_from, entry.valid_to)
                && from > to
            {
                return Err(D::Error::custom(format!(
                    "`{}` is valid from {from} to {to}, which is an empty range",
                    entry.cidr
                )));
            }
        }
        Ok(Self(entries))
    }
}

/// Parses a range and rejects host bits.
///
/// # Errors
/// A sentence that says what is wrong with `text` and how to write a range. For host bits it has the
/// range that was probably meant, such as ``did you mean `10.0.0.0/8`?``.
pub(crate) fn parse_range(text: &str) -> Result<IpNet, String> {
    let range: IpNet = match text.parse() {
        Ok(range) => range,
        Err(_) => match text.parse::<IpAddr>() {
            Ok(ip) => {
                return Err(format!(
                    "`{text}` is one address; write `{ip}/{}` if that is meant",
                    if ip.is_ipv4() { 32 } else { 128 }
                ));
            }
            Err(_) => {
                return Err(format!(
                    "`{text}` is not an IP range; write it as `203.0.113.0/24` or `2001:db8::/32`"
                ));
            }
        },
    };
    if range.addr() != range.network() {
        return Err(format!("`{text}` has host bits set; did you mean `{}`?", range.trunc()));
    }
    Ok(range)
}

pub(crate) fn deserialize_range<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<IpNet, D::Error> {
    parse_range(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<CidrList, String> {
        #[derive(Deserialize)]
        struct Wrapped {
            cidrs: CidrList,
        }
        toml::from_str::<Wrapped>(&format!("cidrs = {text}"))
            .map(|w| w.cidrs)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn longest_prefix_labels_and_dates_are_judged_at_event_time() {
        let list = list(
            r#"[{ cidr = "203.0.113.0/24", label = "office" }, { cidr = "203.0.113.128/25", label = "vpn", valid_from = "2026-01-01", valid_to = 2026-06-30 },
                { cidr = "2001:db8:10::/48", label = "v6" }]"#,
        )
        .expect("valid");
        let day = |text: &str| {
            Some(trailhound_datasets::derive::time::parse(&format!("{text}Z")).expect("a time"))
        };
        let ip = |text: &str| text.parse().expect("an address");
        assert_eq!(list.label(ip("203.0.113.200"), day("2026-03-01T00:00:00")), Some(Some("vpn")));
        assert_eq!(list.label(ip("203.0.113.200"), day("2026-06-30T23:59:59")), Some(Some("vpn")));
        assert_eq!(
            list.label(ip("203.0.113.200"), day("2026-07-01T00:00:00")),
            Some(Some("office"))
        );
        assert_eq!(list.label(ip("2001:db8:10::9"), None), Some(Some("v6")));
        assert_eq!(list.label(ip("198.51.100.1"), None), Some(None));
    }

    #[test]
    fn a_dated_range_without_a_time_is_unknown() {
        let list =
            list(r#"[{ cidr = "203.0.113.0/24", valid_from = "2026-01-01" }]"#).expect("valid");
        assert_eq!(list.label("203.0.113.1".parse().expect("an address"), None), None);
    }

    #[test]
    fn mistakes_are_refused_with_a_hint() {
        for (text, hint) in [
            (r#"[{ cidr = "10.1.2.3/8" }]"#, "did you mean `10.0.0.0/8`"),
            (r#"[{ cidr = "203.0.113.7" }]"#, "`203.0.113.7/32`"),
            (r#"[{ cidr = "office" }]"#, "is not an IP range"),
            (r#"[{ cidr = "192.168.XX.XX/24" }]"#, "is not an IP range"),
            (r#"[{ cidr = "10.0.0.0/8", valid_from = "soon" }]"#, "is not a date"),
            (
                r#"[{ cidr = "10.0.0.0/8", valid_from = "2026-02-01", valid_to = "2026-01-01" }]"#,
                "an empty range",
            ),
            (r#"[{ cidr = "10.0.0.0/8", lable = "x" }]"#, "lable"),
        ] {
            let error = list(text).expect_err(text);
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
