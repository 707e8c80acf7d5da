//! JSON keys of the rows, documents and API responses that contain events.

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
}
