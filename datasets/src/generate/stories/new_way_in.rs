//! Somebody makes ways in that stay, with a tool that says its name: a user who may sign in, rights and then a key for it, a role taken
//! from another account; what an instance's role can do is done from elsewhere, and machines are made. Beside it a colleague who does
//! what looks like it.

use super::super::event::{Builder, uuid};
use super::{Scene, with_key};
use serde_json::{Value, json};

const OFFICE: &str = "203.0.113.62";
const TOOL: &str = "AT-UA-001";

pub(super) fn tell(scene: &mut Scene<'_>) {
    ways_in(scene);
    machines(scene);
    what_the_platform_says(scene);
    everyday_work(scene);
}

fn ways_in(scene: &mut Scene<'_>) {
    let key = format!("LTAI5t{}", scene.token(18));
    let intruder = with_key(&scene.person(0), &key);
    let user = json!({ "UserName": format!("helper-{}", scene.token(6)) });
    let rights = json!({ "UserName": user["UserName"], "PolicyName": "AdministratorAccess", "PolicyType": "System" });
    let calls: [(&str, Value, &[&'static str]); 4] = [
        ("CreateUser", user.clone(), &[]),
        ("CreateLoginProfile", user.clone(), &["AT-IAM-003"]),
        ("AttachPolicyToUser", rights, &["AT-IAM-001"]),
        ("CreateAccessKey", user, &["AT-CRED-001", "AT-PE-001"]),
    ];
    for (step, (name, parameters, rules)) in (0..).zip(calls) {
        let call = call(scene, &intruder, ("Ram", name), OFFICE, step * 120, parameters)
            .with("userAgent", "Pacu/1.5.3")
            .expect(TOOL);
        scene.add(rules.iter().fold(call, |call, rule| call.expect(rule)));
    }
    let mut stranger = scene.person(1);
    let here = scene.account;
    stranger["accountId"] = Value::from("2000000000000077");
    let role = json!({ "RoleArn": format!("acs:ram::{here}:role/partner") });
    let taken = call(scene, &stranger, ("Sts", "AssumeRole"), "198.51.100.77", 600, role)
        .with("recipientAccountId", here);
    scene.add(taken.expect("AT-IAM-009"));
}

fn machines(scene: &mut Scene<'_>) {
    let instance = scene.instance("cn-hangzhou");
    let role = json!({
        "type": "assumed-role", "accountId": scene.account, "principalId": format!("310000000000000001:{instance}"),
        "userName": format!("web-role:{instance}"), "accessKeyId": format!("STS.NT{}", scene.token(20)),
    });
    for (step, from) in ["192.0.2.61", "198.51.100.61"].into_iter().enumerate() {
        let listed = call(
            scene,
            &role,
            ("Ecs", "DescribeInstances"),
            from,
            1_200 + 600 * step as i64,
            json!({}),
        )
        .with("eventRW", "Read");
        scene.add(listed.expect("AT-CRED-006"));
    }
    let miner =
        json!({ "InstanceType": "ecs.gn7i-c32g1.8xlarge", "Amount": "4", "KeyPairName": "helper" });
    let made = call(scene, &role, ("Ecs", "RunInstances"), "198.51.100.61", 1_860, miner);
    scene.add(made.expect("AT-IMPACT-006").expect("AT-CRED-006"));
}

fn what_the_platform_says(scene: &mut Scene<'_>) {
    let somebody = scene.person(2);
    let bare = call(
        scene,
        &somebody,
        ("Oss", "DeleteBucketEncryption"),
        OFFICE,
        2_460,
        json!({ "bucketName": "story" }),
    );
    scene.add(bare.expect("AT-DATA-006"));
    let strange = call(scene, &somebody, ("Newthing", "DoSomething"), OFFICE, 2_520, json!({}))
        .with("eventType", "NewthingEvent");
    scene.add(strange.expect("AT-META-001"));
    let mut insight = Builder::new(uuid(scene.rng), "", "", "cn-hangzhou", scene.at(2_580))
        .with("eventType", "ActionTrailInsight")
        .with("eventCategory", "Insight")
        .with("recipientAccountId", scene.account)
        .with("insightDetails", json!({ "state": "Open", "insightType": "IpInsight", "insightObject": "198.51.100.61" }))
        .expect("AT-ANY-001");
    // An insight is no call.
    for call in ["serviceName", "eventName", "requestId"] {
        insight.members.remove(call);
    }
    scene.add(insight);
}

/// A user who may not sign in, rights that are no administrator's and then a key, a few ordinary machines.
fn everyday_work(scene: &mut Scene<'_>) {
    let colleague = scene.person(3);
    let user = json!({ "UserName": format!("job-{}", scene.token(6)) });
    let rights = json!({ "UserName": user["UserName"], "PolicyName": "AliyunOSSReadOnlyAccess", "PolicyType": "System" });
    let machines = json!({ "InstanceType": "ecs.c7.large", "Amount": "3", "KeyPairName": "ops" });
    for (step, (service, name, parameters)) in (0..).zip([
        ("Ram", "CreateUser", user),
        ("Ram", "AttachPolicyToUser", rights),
        ("Ecs", "RunInstances", machines),
    ]) {
        let event = call(scene, &colleague, (service, name), OFFICE, 3_000 + step * 60, parameters);
        scene.add(event);
    }
}

fn call(
    scene: &mut Scene<'_>,
    who: &Value,
    (service, name): (&str, &str),
    from: &str,
    offset: i64,
    parameters: Value,
) -> Builder {
    Builder::new(uuid(scene.rng), service, name, "cn-hangzhou", scene.at(offset))
        .with("eventSource", format!("{}.cn-hangzhou.aliyuncs.com", service.to_lowercase()))
        .with("eventRW", "Write")
        .with("eventCategory", "Management")
        .with("sourceIpAddress", from)
        .with("userAgent", "aliyun-cli/3.0.210 (linux; amd64)")
        .with("userIdentity", who.clone())
        .with("requestParameters", parameters)
}
