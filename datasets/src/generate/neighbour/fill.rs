//! Fills the placeholders of a routine's texts: `<i>` is an instance of the company, `<new-i>` one that did not exist before.

use super::routine::Account;
use crate::generate::event::{time_text, token, uuid};
use crate::generate::names::zone_prefix;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use std::collections::BTreeMap;

/// Kinds of resources: placeholder, prefix of the ids, how many an account has.
const KINDS: [(&str, &str, u64); 34] = [
    ("i", "i-", 60),
    ("node", "i-", 24),
    ("devbox", "i-", 20),
    ("sg", "sg-", 30),
    ("eni", "eni-", 300),
    ("d", "d-", 120),
    ("snap", "s-", 400),
    ("img", "m-", 12),
    ("vpc", "vpc-", 3),
    ("vsw", "vsw-", 9),
    ("vtb", "vtb-", 4),
    ("ngw", "ngw-", 2),
    ("stb", "stb-", 2),
    ("eip", "eip-", 14),
    ("lb", "lb-", 10),
    ("alb", "alb-", 4),
    ("lsn", "lsn-", 12),
    ("sgp", "sgp-", 16),
    ("rsp", "rsp-", 16),
    ("acl", "acl-", 6),
    ("asg", "asg-", 5),
    ("asc", "asc-", 5),
    ("asr", "asr-", 8),
    ("lt", "lt-", 5),
    ("rm", "rm-", 10),
    ("r", "r-", 8),
    ("pc", "pc-", 3),
    ("dds", "dds-", 3),
    ("c", "c", 3),
    ("np", "np", 6),
    ("eci", "eci-", 60),
    ("v", "v-", 3),
    ("key", "key-", 6),
    ("sp", "sp-", 5),
];

/// Names of which an account has a few each.
const NAMES: [(&str, &[&str]); 13] = [
    ("app", &["orders", "payments", "catalog", "search", "web", "mail", "reports", "accounts"]),
    ("bucket", &["assets", "uploads", "exports", "reports", "invoices", "lake-raw", "lake-clean"]),
    ("project", &["app-logs", "access-logs", "k8s-logs"]),
    ("logstore", &["nginx", "orders", "payments", "audit-copy", "ingress", "events"]),
    ("secret", &["orders/db", "payments/db", "search/token", "mail/smtp", "web/session"]),
    ("domain", &["example.com", "example.net", "example.org"]),
    ("rr", &["www", "api", "img", "shop", "status", "m"]),
    ("function", &["thumbnail", "invoice-pdf", "webhook", "cleanup"]),
    ("group", &["project-orders", "project-search", "project-web", "readers"]),
    ("db", &["orders", "payments", "catalog"]),
    ("repo", &["orders", "payments", "web", "search"]),
    ("dashboard", &["overview", "latency", "errors"]),
    ("rule", &["cpu-high", "disk-full", "latency-p99", "errors-5xx"]),
];

/// The values of one run's placeholders.
pub(super) struct Fill<'r> {
    company: u64,
    account: Account,
    region: &'static str,
    time: i64,
    rng: &'r mut Pcg64,
    values: BTreeMap<String, String>,
}

impl<'r> Fill<'r> {
    pub(super) fn new(
        company: u64,
        account: Account,
        region: &'static str,
        time: i64,
        rng: &'r mut Pcg64,
    ) -> Self {
        Self { company, account, region, time, rng, values: BTreeMap::new() }
    }

    /// Replaces the placeholders of `text`.
    pub(super) fn text(&mut self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len() + 64);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            filled.push_str(before);
            let Some((name, after)) = after.split_once('>') else {
                rest = after;
                break;
            };
            if !self.values.contains_key(name) {
                let value = self.value(name);
                self.values.insert(name.to_owned(), value);
            }
            filled.push_str(&self.values[name]);
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    /// The next call of a repetition takes other values for `each-...`.
    pub(super) fn next_repetition(&mut self) {
        self.values.retain(|name, _| !name.starts_with("each-"));
    }

    /// A value for the placeholder `name`.
    fn value(&mut self, name: &str) -> String {
        let rng = &mut *self.rng;
        match name {
            "uuid" | "each-uuid" => return uuid(rng).to_lowercase(),
            "n" => return rng.random_range(1..90).to_string(),
            "random" | "each-random" => return token(rng, 8),
            "number" | "each-number" => {
                return rng.random_range(100_000_000..999_999_999u64).to_string();
            }
            "private-ip" => {
                return format!(
                    "10.{}.{}.{}",
                    rng.random_range(1..9),
                    rng.random_range(0..250),
                    rng.random_range(2..250)
                );
            }
            "bad-ip" => return format!("198.51.100.{}", rng.random_range(2..250)),
            "account" => return self.account.id().to_owned(),
            "account-name" => return self.account.name().to_owned(),
            "dev-account" => return Account::Dev.id().to_owned(),
            "hub-account" => return Account::Hub.id().to_owned(),
            "prod-account" => return Account::Prod.id().to_owned(),
            "region" => return self.region.to_owned(),
            "month" => return time_text(self.time - 5 * 86_400_000_000)[..7].to_owned(),
            "in-6-hours" => return time_text(self.time + 6 * 3_600_000_000),
            _ => {}
        }
        let name = name.strip_prefix("each-").unwrap_or(name);
        let (is_new, name) = name.strip_prefix("new-").map_or((false, name), |name| (true, name));
        // `i2` is another one of the kind `i`.
        let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
        if let Some((_, names)) = NAMES.iter().find(|(known, _)| *known == kind) {
            let picked = names[self.rng.random_range(0..names.len())];
            return if is_new {
                format!("{picked}-{}", token(self.rng, 6))
            } else {
                picked.to_owned()
            };
        }
        let (prefix, count) = KINDS
            .iter()
            .find(|(known, ..)| *known == kind)
            .map_or(("x-", 10), |(_, prefix, count)| (*prefix, *count));
        if is_new {
            return self.id(prefix, None);
        }
        let index = self.rng.random_range(0..count);
        self.id(prefix, Some((kind, index)))
    }

    /// A resource id: that of the `index`th resource of a kind, or one that nothing has yet.
    fn id(&mut self, prefix: &str, known: Option<(&str, u64)>) -> String {
        let zone = if prefix.ends_with('-') { zone_prefix(self.region) } else { "" };
        let length = if prefix.ends_with('-') { 17 } else { 32 };
        let tail = match known {
            None => token(self.rng, length),
            Some((kind, index)) => {
                let text = format!("{kind}/{}/{}", self.account.id(), self.region);
                let hash = text
                    .bytes()
                    .fold(index, |h, b| h.wrapping_mul(1_099_511_628_211) ^ u64::from(b));
                token(&mut Pcg64::seed_from_u64(self.company ^ hash), length)
            }
        };
        format!("{prefix}{zone}{tail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_keeps_its_value_within_a_run_and_known_resources_stay() {
        let fill = |seed: u64| {
            let mut rng = Pcg64::seed_from_u64(seed);
            let mut fill = Fill::new(1, Account::Prod, "cn-hangzhou", 0, &mut rng);
            let both = fill.text("<sg> <sg> <new-sg>");
            let parts: Vec<String> = both.split(' ').map(str::to_owned).collect();
            assert_eq!(parts[0], parts[1]);
            assert_ne!(parts[0], parts[2]);
            parts[0].clone()
        };
        let known: std::collections::BTreeSet<String> = (0..2_000).map(fill).collect();
        assert_eq!(known.len(), 30);
    }
}
