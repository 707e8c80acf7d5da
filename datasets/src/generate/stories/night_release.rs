//! Story: a stolen role releases many instances within minutes, and an instance is released without a schedule. Near miss: a
//! release that was scheduled before.

use super::super::event::{EventBuilder, time_text, uuid};
use super::context::{StoryContext, in_console};
use serde_json::json;

const RULE: &str = "AT-ECS-001";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    let session = story.token(10);
    let role = json!({ "type": "assumed-role", "accountId": story.account, "principalId": format!("300000000000000666:{session}"),
        "userName": format!("ci-admin:{session}"), "accessKeyId": format!("STS.NT{}", story.token(24)),
        "sessionContext": { "attributes": { "mfaAuthenticated": "false", "creationDate": time_text(story.start) } } });
    for step in 0..6 {
        let instance = story.instance("ap-southeast-1");
        let event = story
            .ecs(
                "DeleteInstance",
                &role,
                story.at(step * 45),
                "ap-southeast-1",
                "198.51.100.140",
                json!({ "InstanceId": instance, "Force": "true" }),
            )
            .with("referencedResources", json!({ "ACS::ECS::Instance": [instance] }))
            .expect_finding(RULE);
        story.add(event);
    }
    let ids: Vec<String> = (0..100).map(|_| story.instance("ap-southeast-1")).collect();
    let event = story
        .ecs(
            "DeleteInstances",
            &role,
            story.at(400),
            "ap-southeast-1",
            "198.51.100.140",
            json!({ "InstanceIds": json!(ids).to_string() }),
        )
        .expect_finding(RULE);
    story.add(event);
    scheduled(story);
}

fn scheduled(story: &mut StoryContext<'_>) {
    let person = in_console(&story.person(0), "true", story.start);
    let instance = story.instance("cn-hangzhou");
    let due = story.at(6 * 3_600);
    let parameters = json!({ "InstanceId": instance, "AutoReleaseTime": time_text(due) });
    let event = story
        .ecs(
            "ModifyInstanceAutoReleaseTime",
            &person,
            story.at(0),
            "cn-hangzhou",
            "203.0.113.60",
            parameters,
        )
        .expect_finding(RULE);
    story.add(event);
    let event = platform_release(story, 6 * 3_600 + 40, &instance);
    story.add(event);
    let unannounced = story.instance("cn-hangzhou");
    let event = platform_release(story, 6 * 3_600 + 50, &unannounced).expect_finding(RULE);
    story.add(event);
}

fn platform_release(story: &mut StoryContext<'_>, offset: i64, instance: &str) -> EventBuilder {
    EventBuilder::new(
        uuid(story.rng).to_lowercase(),
        "Ecs",
        "Release",
        "cn-hangzhou",
        story.at(offset),
    )
    .with("eventType", "AliyunServiceEvent")
    .with("eventSource", "ecs.aliyuncs.com")
    .with("userAgent", "ecs.aliyuncs.com")
    .with("recipientAccountId", story.account)
    .with("userIdentity", json!({ "type": "system" }))
    .with("requestParameters", json!({}))
    .with("referencedResources", json!({ "ACS::ECS::Instance": [instance] }))
}
