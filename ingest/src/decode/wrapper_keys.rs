//! JSON keys of the rows, documents and API responses that contain events.

use super::member_names::{
    MemberName, PREFIXES, fold, is_of_caller, row_member_name, separators, without_type,
};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Keys whose value is an event or a list of events. Each key stands with the kind of record that
/// contains it, for messages.
pub(super) const WRAPPERS: [(&str, &str); 35] = [
    ("Detail", "an AccessKey audit answer"),
    ("event", "a log service row"),
    ("contents", "a log service row"),
    ("Contents", "a log service row"),
    ("mContents", "a log service row"),
    ("contents.event", "a log service row"),
    ("contents_event_s", "a log service row"),
    ("logs", "a log group"),
    ("Logs", "a log group"),
    ("logGroupList", "a PullLogs answer"),
    ("LogGroups", "a PullLogs answer"),
    ("LogGroupList", "a PullLogs answer"),
    ("_source", "an Elasticsearch document"),
    ("hits", "an Elasticsearch answer"),
    ("_raw", "a Splunk event"),
    ("result", "a Splunk result"),
    ("results", "a Splunk answer"),
    ("event.original", "a shipper's event"),
    ("original", "a shipper's event"),
    ("full_message", "a GELF message"),
    ("short_message", "a GELF message"),
    ("message", "a shipper's message"),
    ("Message", "a shipper's message"),
    ("log", "a container's log line"),
    ("data", "a CloudEvent"),
    ("content", "a log service row"),
    ("body", "an SDK's answer"),
    ("Events", "a LookupEvents answer"),
    ("events", "a list of events"),
    ("Records", "a list of records"),
    ("records", "a list of records"),
    ("value", "a topic's record"),
    ("payload", "a topic's record"),
    ("msg", "a shipper's message"),
    ("record", "a record"),
];

/// Keys of a row whose value is the account id of the row's event.
pub(super) const OWNERS: [&str; 4] =
    ["owner_id", "contents_owner_id_s", "aliyunaccountid", "aliyunAccountId"];

/// The numbers of [`WRAPPERS`] by folded key.
static NUMBERS: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
    let numbered = WRAPPERS.iter().enumerate().rev();
    numbered.map(|(number, (key, _))| (fold(key), number)).collect()
});

/// Longest end of a key that may be a wrapper's name, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The number in [`WRAPPERS`] of the wrapper that `key` names, in any spelling: in other case, with the prefix of a row
/// (`own_prefix` or a known one), at the end of a path (`result._raw`). `None` for a member of an event, such as a request
/// parameter `message`: its text is the caller's.
pub(super) fn wrapper_number(key: &str, own_prefix: Option<&str>) -> Option<usize> {
    let of_name = |key: &str| NUMBERS.get(fold(key).as_str()).copied();
    let number = |key: &str| of_name(key).or_else(|| of_name(without_type(key)));
    let found = number(key).or_else(|| {
        let prefixes = own_prefix.into_iter().chain(PREFIXES);
        let rests = prefixes.filter_map(|prefix| {
            key.get(..prefix.len()).filter(|head| head.eq_ignore_ascii_case(prefix))?;
            Some(&key[prefix.len()..])
        });
        // The names of wrappers are short.
        let ends = separators(key).rev().take_while(|at| key.len() - at <= NAME_BYTES_MAX);
        rests.chain(ends.map(|at| &key[at + 1..])).find_map(number)
    })?;
    let is_other = row_member_name(key, own_prefix).0 == MemberName::Other;
    (is_other && !is_of_caller(key)).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrapper_is_documented() {
        let page = include_str!("../../../docs/events.md");
        for (key, _) in WRAPPERS {
            assert!(page.contains(&format!("`{key}`")), "{key}");
        }
    }

    #[test]
    fn a_wrapper_is_known_in_every_spelling_of_its_key() {
        for (key, wrapper) in [
            ("Detail", Some("Detail")),
            ("DETAIL", Some("Detail")),
            ("log_group_list", Some("logGroupList")),
            ("event.original", Some("event.original")),
            ("event_original", Some("event.original")),
            ("event.message", Some("message")),
            ("result._raw", Some("_raw")),
            ("hits.hits", Some("hits")),
            ("event_hits_hits", Some("hits")),
            ("event._source", Some("_source")),
            ("Events_s", Some("events")),
            ("x_requestParameters_message", None),
            ("requestParameters.message", None),
            ("event.requestParameters.message", None),
            ("userIdentity.data", None),
            ("messages", None),
        ] {
            let found = wrapper_number(key, None).map(|number| fold(WRAPPERS[number].0));
            assert_eq!(found, wrapper.map(fold), "{key}");
        }
        assert_eq!(wrapper_number("trail.requestParameters.message", Some("trail.")), None);
    }
}
