//! What can be done with an operation, guessed from the words of its name, to sort operations that no rule looks at.

use serde::Serialize;

/// The risk that the words of an operation's name tell, the greatest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationRisk {
    /// It changes who may do what.
    Permission,
    /// It changes, copies or hands out data or secrets.
    Data,
    /// It changes what can be reached.
    Network,
    /// It changes something else.
    Write,
    /// It reads.
    Read,
}

/// First words of operations that read.
const READ: &str = " describe get list query check search show count preview validate verify lookup head test estimate inquiry is has \
     find fetch read view calculate poll ";
/// Words of what lets somebody in.
const PERMISSION: &str = " policy; role; permission; access key; password; mfa; login; token; credential; grant; authorize; authorization; \
     user; principal; trust; saml; oidc; sso; scim; identity; account; privilege; member; owner; key pair; acl; revoke; assume ";
/// Words of what holds data.
const DATA: &str = " export; download; dump; backup; snapshot; copy; share; image; data; object; bucket; log; database; table; sql; secret; \
     key; disk; file; replication; replicate; sync; migration; migrate; restore; dts; db; script ";
/// Words of what is read with data or secrets in the answer.
const READ_DATA: &str = " secret value; secret parameter; password; credential; token; private key; kubeconfig; download; export; data key; \
     plaintext; vnc; certificate detail ";
/// Words of what can be reached.
const NETWORK: &str = " security group; network; public; eip; internet; whitelist; white; ip; vpn; nat; forward; route; router; peer; peering; \
     endpoint; firewall; domain; dns; listener; vpc; v switch; cen; gateway; connection; traffic; mirror; cidr; port; record; net ";

impl OperationRisk {
    /// All of them, the greatest first.
    pub const ALL: [Self; 5] =
        [Self::Permission, Self::Data, Self::Network, Self::Write, Self::Read];

    /// `permission`, `data`, `network`, `write` or `read`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Data => "data",
            Self::Network => "network",
            Self::Write => "write",
            Self::Read => "read",
        }
    }

    /// The risk of the operation with this name, as it is spelled in the metadata or in an event.
    ///
    /// ```
    /// use trailhound_queries::packs::operation_risk::OperationRisk;
    ///
    /// assert_eq!(OperationRisk::of("AttachPolicyToUser"), OperationRisk::Permission);
    /// assert_eq!(OperationRisk::of("DescribeDBInstanceIPArrayList"), OperationRisk::Read);
    /// assert_eq!(OperationRisk::of("GetSecretValue"), OperationRisk::Data);
    /// ```
    #[must_use]
    pub fn of(name: &str) -> Self {
        let words = words(name);
        let first = words.iter().find(|word| *word != "batch").cloned().unwrap_or_default();
        let text = format!(" {} ", words.join(" "));
        let names = |terms: &str| {
            let mut terms = terms.split(';');
            terms.any(|term| text.contains(&format!(" {} ", term.trim())))
        };
        let reads = READ.contains(&format!(" {first} "));
        if reads {
            return if names(READ_DATA) { Self::Data } else { Self::Read };
        }
        let of_terms =
            [(PERMISSION, Self::Permission), (DATA, Self::Data), (NETWORK, Self::Network)];
        let found = of_terms.into_iter().find(|(terms, _)| names(terms));
        found.map_or(Self::Write, |(_, risk)| risk)
    }
}

/// The words of a name in lower case and in the singular: `ModifyDBInstanceIPs` is `modify`, `db`, `instance`, `ip`.
fn words(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = Vec::new();
    for (at, &c) in characters.iter().enumerate().filter(|(_, c)| c.is_alphanumeric()) {
        let before = at.checked_sub(1).map(|before| characters[before]);
        let after = characters.get(at + 1);
        let begins = before.is_none_or(|before| {
            !before.is_alphanumeric()
                || c.is_uppercase()
                    && (!before.is_uppercase() || after.is_some_and(|after| after.is_lowercase()))
        });
        match words.last_mut() {
            Some(word) if !begins => word.extend(c.to_lowercase()),
            _ => words.push(c.to_lowercase().collect()),
        }
    }
    words.iter().map(|word| singular(word)).collect()
}

fn singular(word: &str) -> String {
    match word.strip_suffix("ies") {
        Some(stem) if !stem.is_empty() => format!("{stem}y"),
        _ if word.len() < 3 || word.ends_with("ss") || word == "dns" || word == "dts" => {
            word.to_owned()
        }
        _ => word.strip_suffix('s').unwrap_or(word).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_into_words() {
        for (name, expected) in [
            ("DescribeDBInstanceIPArrayList", "describe db instance ip array list"),
            ("ListPolicies", "list policy"),
            ("putBucketAcl", "put bucket acl"),
            ("DeleteAccessKey", "delete access key"),
            ("stopinstances", "stopinstance"),
            ("UpdateMFAAuthenticationSettings", "update mfa authentication setting"),
        ] {
            assert_eq!(words(name).join(" "), expected);
        }
    }

    #[test]
    fn words_tell_the_risk() {
        for (name, expected) in [
            ("CreateAccessKey", OperationRisk::Permission),
            ("BatchGetUsers", OperationRisk::Read),
            ("ExportImage", OperationRisk::Data),
            ("AuthorizeSecurityGroup", OperationRisk::Permission),
            ("CreateForwardEntry", OperationRisk::Network),
            ("RebootInstance", OperationRisk::Write),
            ("DescribeInstanceVncUrl", OperationRisk::Data),
            ("DescribeInstances", OperationRisk::Read),
        ] {
            assert_eq!(OperationRisk::of(name), expected, "{name}");
        }
    }
}
