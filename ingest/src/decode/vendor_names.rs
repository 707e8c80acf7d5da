//! Names that only the vendor gives: kinds of identity, endpoints, actions and services, and how other programs write them.

/// The kinds of identity that ActionTrail documents, in lower case: the values of `userIdentity.type`.
const IDENTITY_TYPES: [&str; 7] = [
    "root-account",
    "ram-user",
    "assumed-role",
    "system",
    "saml-user",
    "oidc-user",
    "cloudsso-user",
];

/// Endings of endpoints of the vendor.
const ENDPOINTS: [&str; 4] = ["aliyuncs.com", "aliyun.com", "alibabacloud.com", "alicloud.com"];

/// True where `kind` is an identity type that the vendor documents.
pub(super) fn is_documented_identity(kind: &str) -> bool {
    let kind = kind.trim();
    IDENTITY_TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind))
        || kind.get(..13).is_some_and(|head| head.eq_ignore_ascii_case("alibaba-cloud"))
}

/// The documented identity type that `kind` names with other separators or none: `RootAccount`, `root_account`. `None` for
/// what the vendor writes itself.
pub(super) fn documented_identity(kind: &str) -> Option<&'static str> {
    let letters = |text: &str| -> String {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|c| c.to_ascii_lowercase()).collect()
    };
    if is_documented_identity(kind) {
        return None;
    }
    let wanted = letters(kind);
    IDENTITY_TYPES.into_iter().find(|known| letters(known) == wanted)
}

/// True for the host name of an endpoint of the vendor, in any case.
pub(super) fn is_endpoint(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    ENDPOINTS.iter().any(|end| {
        host.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// `text` without signs that nobody sees: control characters, byte-order marks, spaces of no width, direction marks.
pub(super) fn visible(text: &str) -> String {
    let is_unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().filter(|c| !is_unseen(*c)).collect::<String>().trim().to_owned()
}

/// The action of `name` without the service that other programs write before it: `StopInstance` of `Ecs:StopInstance`.
pub(super) fn action(name: &str) -> &str {
    let is_name = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    match name.rsplit_once([':', '.', '/']) {
        Some((service, action)) if service.split([':', '.', '/']).chain([action]).all(is_name) => {
            action
        }
        _ => name,
    }
}

/// The service of an endpoint (`ecs.cn-hangzhou.aliyuncs.com`) or of an event source (`acs.ecs`, `acs:ecs`); other names as
/// they are.
pub(super) fn service(name: &str) -> &str {
    let is_source = name
        .get(..4)
        .is_some_and(|head| ["acs.", "acs:"].iter().any(|s| head.eq_ignore_ascii_case(s)));
    if is_source {
        return &name[4..];
    }
    match name.split_once('.') {
        Some((service, _)) if is_endpoint(name) => service,
        _ => name,
    }
}

/// A quick look whether `name` may be an action or a service that is written in another way.
pub(super) fn may_be_other_name(name: &[u8]) -> bool {
    name.iter().any(|b| matches!(b, b':' | b'.' | b'/' | b'\\') || !b.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_the_ways_of_other_programs() {
        for (name, action_is) in [
            ("StopInstance", "StopInstance"),
            ("Ecs:StopInstance", "StopInstance"),
            ("acs:ecs:StopInstance", "StopInstance"),
            ("ecs.StopInstance", "StopInstance"),
            ("Stop Instance: now", "Stop Instance: now"),
            (":x", ":x"),
        ] {
            assert_eq!(action(name), action_is);
        }
        for (name, service_is) in [
            ("Ecs", "Ecs"),
            ("ecs.aliyuncs.com", "ecs"),
            ("ecs.cn-hangzhou.AliyunCS.com", "ecs"),
            ("acs.ecs", "ecs"),
            ("ecs.example.com", "ecs.example.com"),
        ] {
            assert_eq!(service(name), service_is);
        }
        for (kind, documented) in [
            ("root_account", Some("root-account")),
            ("RootAccount", Some("root-account")),
            ("AssumedRole", Some("assumed-role")),
            ("ROOT-ACCOUNT", None),
            ("ram-user", None),
            ("robot", None),
        ] {
            assert_eq!(documented_identity(kind), documented);
        }
        assert_eq!(visible("\u{feff}Stop\u{200b}Instance\0"), "StopInstance");
    }
}
