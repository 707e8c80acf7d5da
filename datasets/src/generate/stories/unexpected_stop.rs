//! Story: instances are stopped by a person, by a key in batches, and by the root account. Near misses: planned stops, dry
//! runs, refusals and actions of the platform.

use super::super::event::{EventBuilder, time_text, uuid};
use super::context::{StoryContext, in_console, with_key};
use serde_json::json;

const RULE: &str = "AT-ECS-001";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    let person = story.person(0);
    let session = in_console(&person, "true", story.start);
    for (offset, name) in [(0, "StopInstance"), (900, "RebootInstance")] {
        let instance = story.instance("cn-hangzhou");
        let event = story
            .ecs(
                name,
                &session,
                story.at(offset),
                "cn-hangzhou",
                "203.0.113.51",
                json!({ "InstanceId": instance, "ForceStop": false }),
            )
            .with("referencedResources", json!({ "ACS::ECS::Instance": [instance] }))
            .expect_finding(RULE);
        story.add(event);
    }
    // A batch by key with flattened ids, and one with the ids as JSON inside a string.
    let other = story.person(1);
    let key = format!("LTAI5t{}", story.token(18));
    let ids: Vec<String> = (0..3).map(|_| story.instance("cn-shanghai")).collect();
    let batch = json!({ "InstanceId.1": ids[0], "InstanceId.2": ids[1], "InstanceId.3": ids[2], "ForceStop": "true" });
    let event = story
        .ecs(
            "StopInstances",
            &with_key(&other, &key),
            story.at(1_800),
            "cn-shanghai",
            "192.0.2.90",
            batch,
        )
        .expect_finding(RULE);
    story.add(event);
    let ids: Vec<String> = (0..2).map(|_| story.instance("cn-shanghai")).collect();
    let batch = json!({ "InstanceIds": json!(ids).to_string() });
    let event = story
        .ecs(
            "RebootInstances",
            &with_key(&other, &key),
            story.at(9_000),
            "cn-shanghai",
            "192.0.2.90",
            batch,
        )
        .expect_finding(RULE);
    story.add(event);
    let root = in_console(&story.root(), "false", story.start);
    let instance = story.instance("cn-beijing");
    let event = story
        .ecs(
            "StopInstance",
            &root,
            story.at(2_000),
            "cn-beijing",
            "198.51.100.9",
            json!({ "InstanceId": instance }),
        )
        .expect_finding(RULE);
    story.add(event.expect_finding("AT-ROOT-003"));
    near_misses(story);
    planned(story);
}

/// A dry run, two refusals (too few for the rule about refusals), and a cancelled release.
fn near_misses(story: &mut StoryContext<'_>) {
    let person = story.person(2);
    let session = in_console(&person, "true", story.start);
    let call = |story: &mut StoryContext<'_>, name: &str, offset: i64, parameters| {
        story.ecs(name, &session, story.at(offset), "cn-hangzhou", "203.0.113.52", parameters)
    };
    let event = call(
        story,
        "StopInstance",
        0,
        json!({ "InstanceId": "i-bp1neverstopped1", "DryRun": true }),
    )
    .with("errorCode", "DryRunOperation");
    story.add(event);
    for offset in [10, 70] {
        let event =
            call(story, "StopInstance", offset, json!({ "InstanceId": "i-bp1neverstopped2" }))
                .with("errorCode", "IncorrectInstanceStatus");
        story.add(event);
    }
    let event = call(
        story,
        "ModifyInstanceAutoReleaseTime",
        80,
        json!({ "InstanceId": "i-bp1neverstopped3", "AutoReleaseTime": "" }),
    );
    story.add(event);
}

/// Stops up to the last second of the change window, one a second too late, and one by Auto Scaling with its own event.
fn planned(story: &mut StoryContext<'_>) {
    let person = story.person(3);
    if let Some(saturday) = story.saturday {
        // 22:00 to 02:00 in Shanghai is 14:00 to 18:00 UTC.
        for (second, late) in [(14 * 3_600, false), (18 * 3_600, false), (18 * 3_600 + 1, true)] {
            let time = saturday + second * 1_000_000;
            let instance = story.instance("cn-hangzhou");
            let session = in_console(&person, "true", time);
            let event = story.ecs(
                "StopInstance",
                &session,
                time,
                "cn-hangzhou",
                "203.0.113.53",
                json!({ "InstanceId": instance }),
            );
            story.add(if late { event.expect_finding(RULE) } else { event });
        }
    }
    let role = json!({ "type": "assumed-role", "accountId": story.account, "principalId": "300000000000000555:auto-scaling",
        "userName": "aliyunessdefaultrole:auto-scaling", "accessKeyId": "STS.NTexampleScaling",
        "sessionContext": { "attributes": { "mfaAuthenticated": "false", "creationDate": time_text(story.start) } } });
    let instance = story.instance("cn-hangzhou");
    let activity =
        EventBuilder::new(uuid(story.rng), "Ess", "RemoveInstances", "cn-hangzhou", story.at(100))
            .with("eventRW", "Write")
            .with("sourceIpAddress", "ess.aliyuncs.com")
            .with("userIdentity", role.clone())
            .with("referencedResources", json!({ "ACS::ECS::Instance": [instance] }));
    story.add(activity);
    let event = story.ecs(
        "StopInstance",
        &role,
        story.at(130),
        "cn-hangzhou",
        "ess.aliyuncs.com",
        json!({ "InstanceId": instance }),
    );
    story.add(event);
}
