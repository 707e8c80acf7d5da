//! A root AccessKey in use: reads, writes and refusals, over two addresses; beside an allowed key, temporary keys and
//! what only looks like one.

use super::super::event::{Builder, hex24, uuid};
use super::{Scene, in_console, with_key};
use serde_json::{Value, json};

const RULE: &str = "AT-ROOT-001";
const ALLOWED_KEY: &str = "LTAI5tLegacyBackupKey001";

pub(super) fn tell(scene: &mut Scene<'_>) {
    let root = scene.root();
    let key = format!("LTAI5t{}", scene.token(18));
    let old_key = scene.token(16);
    for (offset, name, rw, from, key) in [
        (0, "ListBuckets", "Read", "198.51.100.60", &key),
        (5, "GetBucketAcl", "Read", "198.51.100.60", &key),
        (9, "CreateUser", "Write", "198.51.100.60", &key),
        (4_000, "CreateAccessKey", "Write", "2001:db8:bad::60", &key),
        (4_100, "DescribeInstances", "Read", "198.51.100.61", &old_key),
    ] {
        let event = call(scene, name, rw, from, offset, &with_key(&root, key)).expect(RULE);
        scene.add(if name == "CreateAccessKey" { event.expect("AT-CRED-001") } else { event });
    }
    let event =
        call(scene, "AttachPolicyToUser", "Write", "198.51.100.60", 20, &with_key(&root, &key))
            .with("errorCode", "NoPermission")
            .with("errorMessage", "You are not authorized to do this action.")
            .expect(RULE);
    scene.add(event);
    // The allowed key from its own range is suppressed; from elsewhere it is not. It is the same at every telling, so it is used at the first
    // alone: months later it would be a key that wakes.
    if scene.is_first {
        let event =
            call(scene, "ListObjects", "Read", "192.0.2.7", 30, &with_key(&root, ALLOWED_KEY));
        scene.add(event);
        let event =
            call(scene, "ListObjects", "Read", "198.51.100.62", 31, &with_key(&root, ALLOWED_KEY))
                .expect(RULE);
        scene.add(event);
    }
    // Near misses: the console's own keys, a token, the word NULL, and no key at all.
    for key in ["TMP.3KexampleConsoleKey", "STS.NTexampleToken", "NULL", ""] {
        let event =
            call(scene, "DescribeRegions", "Read", "203.0.113.3", 40, &with_key(&root, key));
        scene.add(event);
    }
    let in_session = in_console(&root, "false", scene.start);
    let event = call(scene, "DescribeRegions", "Read", "203.0.113.3", 50, &in_session);
    scene.add(event);
}

fn call(
    scene: &mut Scene<'_>,
    name: &str,
    rw: &str,
    from: &str,
    offset: i64,
    who: &Value,
) -> Builder {
    let (service, id) = match name {
        "ListBuckets" | "GetBucketAcl" | "ListObjects" => ("Oss", hex24(scene.rng)),
        "DescribeInstances" | "DescribeRegions" => ("Ecs", uuid(scene.rng)),
        _ => ("Ram", uuid(scene.rng)),
    };
    Builder::new(id, service, name, "cn-hangzhou", scene.at(offset))
        .with("eventSource", format!("{}.aliyuncs.com", service.to_lowercase()))
        .with("eventRW", rw)
        .with("sourceIpAddress", from)
        .with("userAgent", "aliyun-cli/3.0.210 (linux; amd64)")
        .with("userIdentity", who.clone())
        .with("requestParameters", json!({ "RegionId": "cn-hangzhou", "AcceptLanguage": "en-US" }))
}
