//! Story: AccessKeys of the root account are used for reads, writes and a refused call from several addresses. Near
//! misses: an allowed key in its own address range, temporary keys, values that are not keys, and a console session.

use super::super::event::{EventBuilder, hex24, uuid};
use super::context::{StoryContext, in_console, with_key};
use serde_json::{Value, json};

const RULE: &str = "AT-ROOT-001";
const ALLOWED_KEY: &str = "LTAI5tLegacyBackupKey001";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    let root = story.root();
    let key = format!("LTAI5t{}", story.token(18));
    let old_key = story.token(16);
    for (offset, name, rw, from, key) in [
        (0, "ListBuckets", "Read", "198.51.100.60", &key),
        (5, "GetBucketAcl", "Read", "198.51.100.60", &key),
        (9, "CreateUser", "Write", "198.51.100.60", &key),
        (4_000, "CreateAccessKey", "Write", "2001:db8:bad::60", &key),
        (4_100, "DescribeInstances", "Read", "198.51.100.61", &old_key),
    ] {
        let event = call(story, name, rw, from, offset, &with_key(&root, key)).expect_finding(RULE);
        story.add(if name == "CreateAccessKey" {
            event.expect_finding("AT-CRED-001")
        } else {
            event
        });
    }
    let event =
        call(story, "AttachPolicyToUser", "Write", "198.51.100.60", 20, &with_key(&root, &key))
            .with("errorCode", "NoPermission")
            .with("errorMessage", "You are not authorized to do this action.")
            .expect_finding(RULE);
    story.add(event);
    // Calls with the allowed key are suppressed if they come from its own range. Only the first story uses this key: a
    // key that is used again months later is a finding of another rule.
    if story.is_first {
        let event =
            call(story, "ListObjects", "Read", "192.0.2.7", 30, &with_key(&root, ALLOWED_KEY));
        story.add(event);
        let event =
            call(story, "ListObjects", "Read", "198.51.100.62", 31, &with_key(&root, ALLOWED_KEY))
                .expect_finding(RULE);
        story.add(event);
    }
    // Near misses: the console's own keys, a token, the word NULL, and no key at all.
    for key in ["TMP.3KexampleConsoleKey", "STS.NTexampleToken", "NULL", ""] {
        let event =
            call(story, "DescribeRegions", "Read", "203.0.113.3", 40, &with_key(&root, key));
        story.add(event);
    }
    let in_session = in_console(&root, "false", story.start);
    let event = call(story, "DescribeRegions", "Read", "203.0.113.3", 50, &in_session);
    story.add(event);
}

fn call(
    story: &mut StoryContext<'_>,
    name: &str,
    rw: &str,
    from: &str,
    offset: i64,
    who: &Value,
) -> EventBuilder {
    let (service, id) = match name {
        "ListBuckets" | "GetBucketAcl" | "ListObjects" => ("Oss", hex24(story.rng)),
        "DescribeInstances" | "DescribeRegions" => ("Ecs", uuid(story.rng)),
        _ => ("Ram", uuid(story.rng)),
    };
    EventBuilder::new(id, service, name, "cn-hangzhou", story.at(offset))
        .with("eventSource", format!("{}.aliyuncs.com", service.to_lowercase()))
        .with("eventRW", rw)
        .with("sourceIpAddress", from)
        .with("userAgent", "aliyun-cli/3.0.210 (linux; amd64)")
        .with("userIdentity", who.clone())
        .with("requestParameters", json!({ "RegionId": "cn-hangzhou", "AcceptLanguage": "en-US" }))
}
