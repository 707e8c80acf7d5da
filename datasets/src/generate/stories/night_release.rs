//! A stolen role releases a whole fleet within minutes; beside a release that was scheduled and one that nobody announced.

use super::super::event::{Builder, time_text, uuid};
use super::{Scene, in_console};
use serde_json::json;

const RULE: &str = "AT-ECS-001";

pub(super) fn tell(scene: &mut Scene<'_>) {
    let session = scene.token(10);
    let role = json!({ "type": "assumed-role", "accountId": scene.account, "principalId": format!("300000000000000666:{session}"),
        "userName": format!("ci-admin:{session}"), "accessKeyId": format!("STS.NT{}", scene.token(24)),
        "sessionContext": { "attributes": { "mfaAuthenticated": "false", "creationDate": time_text(scene.start) } } });
    for step in 0..6 {
        let instance = scene.instance("ap-southeast-1");
        let event = scene
            .ecs(
                "DeleteInstance",
                &role,
                scene.at(step * 45),
                "ap-southeast-1",
                "198.51.100.140",
                json!({ "InstanceId": instance, "Force": "true" }),
            )
            .with("referencedResources", json!({ "ACS::ECS::Instance": [instance] }))
            .expect(RULE);
        scene.add(event);
    }
    let ids: Vec<String> = (0..100).map(|_| scene.instance("ap-southeast-1")).collect();
    let event = scene
        .ecs(
            "DeleteInstances",
            &role,
            scene.at(400),
            "ap-southeast-1",
            "198.51.100.140",
            json!({ "InstanceIds": json!(ids).to_string() }),
        )
        .expect(RULE);
    scene.add(event);
    scheduled(scene);
}

fn scheduled(scene: &mut Scene<'_>) {
    let person = in_console(&scene.person(0), "true", scene.start);
    let instance = scene.instance("cn-hangzhou");
    let due = scene.at(6 * 3_600);
    let parameters = json!({ "InstanceId": instance, "AutoReleaseTime": time_text(due) });
    let event = scene
        .ecs(
            "ModifyInstanceAutoReleaseTime",
            &person,
            scene.at(0),
            "cn-hangzhou",
            "203.0.113.60",
            parameters,
        )
        .expect(RULE);
    scene.add(event);
    let event = platform_release(scene, 6 * 3_600 + 40, &instance);
    scene.add(event);
    let unannounced = scene.instance("cn-hangzhou");
    let event = platform_release(scene, 6 * 3_600 + 50, &unannounced).expect(RULE);
    scene.add(event);
}

fn platform_release(scene: &mut Scene<'_>, offset: i64, instance: &str) -> Builder {
    Builder::new(uuid(scene.rng).to_lowercase(), "Ecs", "Release", "cn-hangzhou", scene.at(offset))
        .with("eventType", "AliyunServiceEvent")
        .with("eventSource", "ecs.aliyuncs.com")
        .with("userAgent", "ecs.aliyuncs.com")
        .with("recipientAccountId", scene.account)
        .with("userIdentity", json!({ "type": "system" }))
        .with("requestParameters", json!({}))
        .with("referencedResources", json!({ "ACS::ECS::Instance": [instance] }))
}
