//! A key has been copied: it is used from everywhere, tries what it may do, reads every secret, and deletes; beside a program that
//! does a little of each.

use super::super::event::{Builder, uuid};
use super::{Scene, with_key};
use serde_json::{Value, json};

const REFUSED: &str = "AT-DISC-002";
const SECRETS: &str = "AT-DATA-005";
const DELETED: &str = "AT-IMPACT-001";

pub(super) fn tell(scene: &mut Scene<'_>) {
    let key = format!("LTAI5t{}", scene.token(18));
    let thief = with_key(&scene.person(0), &key);
    for network in 0..6_i64 {
        let from = format!("2001:db8:{:x}::7", 0xa00 + network);
        let event = call(
            scene,
            &thief,
            ("Ecs", "DescribeInstances", "Read"),
            &from,
            network * 300,
            json!({}),
        );
        scene.add(event);
    }
    for step in 0..7 {
        let event = call(
            scene,
            &thief,
            ("Ram", "ListUsers", "Read"),
            "2001:db8:a00::7",
            9_000 + step * 10,
            json!({}),
        )
        .with("errorCode", "NoPermission")
        .with("errorMessage", "You are not authorized to do this action.")
        .expect(REFUSED);
        scene.add(event);
    }
    for step in 0..11 {
        let secret = json!({ "SecretName": format!("secret-{step}") });
        let event = call(
            scene,
            &thief,
            ("Kms", "GetSecretValue", "Read"),
            "2001:db8:a00::7",
            10_000 + step * 20,
            secret,
        )
        .expect(SECRETS);
        scene.add(event);
    }
    for step in 0..12 {
        let address = json!({ "AllocationId": format!("eip-story{step}") });
        let event = call(
            scene,
            &thief,
            ("Vpc", "ReleaseEipAddress", "Write"),
            "2001:db8:a00::7",
            11_000 + step * 30,
            address,
        )
        .expect(DELETED);
        scene.add(event);
    }
    a_little_of_each(scene);
}

/// Two networks, five refusals, nine secrets, nine deletions.
fn a_little_of_each(scene: &mut Scene<'_>) {
    let key = format!("LTAI5t{}", scene.token(18));
    let program = with_key(&scene.person(1), &key);
    for step in 0..9 {
        let from = if step % 2 == 0 { "192.0.2.30" } else { "198.51.100.30" };
        if step < 5 {
            let event =
                call(scene, &program, ("Ram", "ListUsers", "Read"), from, step * 10, json!({}))
                    .with("errorCode", "NoPermission");
            scene.add(event);
        }
        let secret = json!({ "SecretName": format!("secret-{step}") });
        let event =
            call(scene, &program, ("Kms", "GetSecretValue", "Read"), from, 100 + step * 20, secret);
        scene.add(event);
        let address = json!({ "AllocationId": format!("eip-program{step}") });
        let event = call(
            scene,
            &program,
            ("Vpc", "ReleaseEipAddress", "Write"),
            from,
            200 + step * 20,
            address,
        );
        scene.add(event);
    }
}

fn call(
    scene: &mut Scene<'_>,
    who: &Value,
    (service, name, rw): (&str, &str, &str),
    from: &str,
    offset: i64,
    parameters: Value,
) -> Builder {
    Builder::new(uuid(scene.rng), service, name, "cn-hangzhou", scene.at(offset))
        .with("eventSource", format!("{}.cn-hangzhou.aliyuncs.com", service.to_lowercase()))
        .with("eventRW", rw)
        .with("eventCategory", "Management")
        .with("sourceIpAddress", from)
        .with("userAgent", "aliyun-cli/3.0.210 (linux; amd64)")
        .with("userIdentity", who.clone())
        .with("requestParameters", parameters)
}
