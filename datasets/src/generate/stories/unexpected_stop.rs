//! Instances that stop: by a person, by a key in a batch, by root; beside planned stops, dry runs, refusals and the
//! platform's own doings.

use super::super::event::{Builder, time_text, uuid};
use super::{Scene, in_console, with_key};
use serde_json::json;

const RULE: &str = "AT-ECS-001";

pub(super) fn tell(scene: &mut Scene<'_>) {
    let person = scene.person(0);
    let session = in_console(&person, "true", scene.start);
    for (offset, name) in [(0, "StopInstance"), (900, "RebootInstance")] {
        let instance = scene.instance("cn-hangzhou");
        let event = scene
            .ecs(
                name,
                &session,
                scene.at(offset),
                "cn-hangzhou",
                "203.0.113.51",
                json!({ "InstanceId": instance, "ForceStop": false }),
            )
            .with("referencedResources", json!({ "ACS::ECS::Instance": [instance] }))
            .expect(RULE);
        scene.add(event);
    }
    // A batch by key, ids flattened; and one with the ids as JSON in text.
    let other = scene.person(1);
    let key = format!("LTAI5t{}", scene.token(18));
    let ids: Vec<String> = (0..3).map(|_| scene.instance("cn-shanghai")).collect();
    let batch = json!({ "InstanceId.1": ids[0], "InstanceId.2": ids[1], "InstanceId.3": ids[2], "ForceStop": "true" });
    let event = scene
        .ecs(
            "StopInstances",
            &with_key(&other, &key),
            scene.at(1_800),
            "cn-shanghai",
            "192.0.2.90",
            batch,
        )
        .expect(RULE);
    scene.add(event);
    let ids: Vec<String> = (0..2).map(|_| scene.instance("cn-shanghai")).collect();
    let batch = json!({ "InstanceIds": json!(ids).to_string() });
    let event = scene
        .ecs(
            "RebootInstances",
            &with_key(&other, &key),
            scene.at(9_000),
            "cn-shanghai",
            "192.0.2.90",
            batch,
        )
        .expect(RULE);
    scene.add(event);
    let root = in_console(&scene.root(), "false", scene.start);
    let instance = scene.instance("cn-beijing");
    let event = scene
        .ecs(
            "StopInstance",
            &root,
            scene.at(2_000),
            "cn-beijing",
            "198.51.100.9",
            json!({ "InstanceId": instance }),
        )
        .expect(RULE);
    scene.add(event.expect("AT-ROOT-003"));
    near_misses(scene);
    planned(scene);
}

/// Asked whether it could be done, refused (twice is no run), done already, cancelled.
fn near_misses(scene: &mut Scene<'_>) {
    let person = scene.person(2);
    let session = in_console(&person, "true", scene.start);
    let call = |scene: &mut Scene<'_>, name: &str, offset: i64, parameters| {
        scene.ecs(name, &session, scene.at(offset), "cn-hangzhou", "203.0.113.52", parameters)
    };
    let event = call(
        scene,
        "StopInstance",
        0,
        json!({ "InstanceId": "i-bp1neverstopped1", "DryRun": true }),
    )
    .with("errorCode", "DryRunOperation");
    scene.add(event);
    for offset in [10, 70] {
        let event =
            call(scene, "StopInstance", offset, json!({ "InstanceId": "i-bp1neverstopped2" }))
                .with("errorCode", "IncorrectInstanceStatus");
        scene.add(event);
    }
    let event = call(
        scene,
        "ModifyInstanceAutoReleaseTime",
        80,
        json!({ "InstanceId": "i-bp1neverstopped3", "AutoReleaseTime": "" }),
    );
    scene.add(event);
}

/// In the change window to its last second, by Auto Scaling with its own event, and one second too late.
fn planned(scene: &mut Scene<'_>) {
    let person = scene.person(3);
    if let Some(saturday) = scene.saturday {
        // 22:00 to 02:00 in Shanghai is 14:00 to 18:00 UTC.
        for (second, late) in [(14 * 3_600, false), (18 * 3_600, false), (18 * 3_600 + 1, true)] {
            let time = saturday + second * 1_000_000;
            let instance = scene.instance("cn-hangzhou");
            let session = in_console(&person, "true", time);
            let event = scene.ecs(
                "StopInstance",
                &session,
                time,
                "cn-hangzhou",
                "203.0.113.53",
                json!({ "InstanceId": instance }),
            );
            scene.add(if late { event.expect(RULE) } else { event });
        }
    }
    let role = json!({ "type": "assumed-role", "accountId": scene.account, "principalId": "300000000000000555:auto-scaling",
        "userName": "aliyunessdefaultrole:auto-scaling", "accessKeyId": "STS.NTexampleScaling",
        "sessionContext": { "attributes": { "mfaAuthenticated": "false", "creationDate": time_text(scene.start) } } });
    let instance = scene.instance("cn-hangzhou");
    let activity =
        Builder::new(uuid(scene.rng), "Ess", "RemoveInstances", "cn-hangzhou", scene.at(100))
            .with("eventRW", "Write")
            .with("sourceIpAddress", "ess.aliyuncs.com")
            .with("userIdentity", role.clone())
            .with("referencedResources", json!({ "ACS::ECS::Instance": [instance] }));
    scene.add(activity);
    let event = scene.ecs(
        "StopInstance",
        &role,
        scene.at(130),
        "cn-hangzhou",
        "ess.aliyuncs.com",
        json!({ "InstanceId": instance }),
    );
    scene.add(event);
}
