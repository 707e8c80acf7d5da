//! Story: a stolen key is used from many networks, probes its permissions, reads every secret and deletes resources. Near
//! misses: a program that stays below each threshold.

use super::super::event::{EventBuilder, uuid};
use super::context::{StoryContext, with_key};
use serde_json::{Value, json};

const REFUSED: &str = "AT-DISC-002";
const SECRETS: &str = "AT-DATA-005";
const DELETED: &str = "AT-IMPACT-001";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    let key = format!("LTAI5t{}", story.token(18));
    let thief = with_key(&story.person(0), &key);
    for network in 0..6_i64 {
        let from = format!("2001:db8:{:x}::7", 0xa00 + network);
        let event = call(
            story,
            &thief,
            ("Ecs", "DescribeInstances", "Read"),
            &from,
            network * 300,
            json!({}),
        );
        story.add(event);
    }
    for step in 0..7 {
        let event = call(
            story,
            &thief,
            ("Ram", "ListUsers", "Read"),
            "2001:db8:a00::7",
            9_000 + step * 10,
            json!({}),
        )
        .with("errorCode", "NoPermission")
        .with("errorMessage", "You are not authorized to do this action.")
        .expect_finding(REFUSED);
        story.add(event);
    }
    for step in 0..11 {
        let secret = json!({ "SecretName": format!("secret-{step}") });
        let event = call(
            story,
            &thief,
            ("Kms", "GetSecretValue", "Read"),
            "2001:db8:a00::7",
            10_000 + step * 20,
            secret,
        )
        .expect_finding(SECRETS);
        story.add(event);
    }
    for step in 0..12 {
        let address = json!({ "AllocationId": format!("eip-story{step}") });
        let event = call(
            story,
            &thief,
            ("Vpc", "ReleaseEipAddress", "Write"),
            "2001:db8:a00::7",
            11_000 + step * 30,
            address,
        )
        .expect_finding(DELETED);
        story.add(event);
    }
    below_each_threshold(story);
}

/// Near misses: two networks, five refusals, nine secrets, nine deletions.
fn below_each_threshold(story: &mut StoryContext<'_>) {
    let key = format!("LTAI5t{}", story.token(18));
    let program = with_key(&story.person(1), &key);
    for step in 0..9 {
        let from = if step % 2 == 0 { "192.0.2.30" } else { "198.51.100.30" };
        if step < 5 {
            let event =
                call(story, &program, ("Ram", "ListUsers", "Read"), from, step * 10, json!({}))
                    .with("errorCode", "NoPermission");
            story.add(event);
        }
        let secret = json!({ "SecretName": format!("secret-{step}") });
        let event =
            call(story, &program, ("Kms", "GetSecretValue", "Read"), from, 100 + step * 20, secret);
        story.add(event);
        let address = json!({ "AllocationId": format!("eip-program{step}") });
        let event = call(
            story,
            &program,
            ("Vpc", "ReleaseEipAddress", "Write"),
            from,
            200 + step * 20,
            address,
        );
        story.add(event);
    }
}

fn call(
    story: &mut StoryContext<'_>,
    who: &Value,
    (service, name, rw): (&str, &str, &str),
    from: &str,
    offset: i64,
    parameters: Value,
) -> EventBuilder {
    EventBuilder::new(uuid(story.rng), service, name, "cn-hangzhou", story.at(offset))
        .with("eventSource", format!("{}.cn-hangzhou.aliyuncs.com", service.to_lowercase()))
        .with("eventRW", rw)
        .with("eventCategory", "Management")
        .with("sourceIpAddress", from)
        .with("userAgent", "aliyun-cli/3.0.210 (linux; amd64)")
        .with("userIdentity", who.clone())
        .with("requestParameters", parameters)
}
