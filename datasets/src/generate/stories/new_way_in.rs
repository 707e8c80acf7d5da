//! Story: an intruder with a known attack tool creates a user with a console password, administrator permissions and an
//! AccessKey. Another account assumes a role. The role of an instance is used from two networks and creates instances
//! for mining. Single events follow: a bucket loses its encryption, an event has an unknown type, ActionTrail reports
//! an insight. Near misses: a colleague's similar calls.

use super::super::event::{EventBuilder, uuid};
use super::context::{StoryContext, with_key};
use serde_json::{Value, json};

const OFFICE: &str = "203.0.113.62";
const TOOL: &str = "AT-UA-001";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    persistent_access(story);
    instance_role_abuse(story);
    single_event_findings(story);
    everyday_work(story);
}

fn persistent_access(story: &mut StoryContext<'_>) {
    let key = format!("LTAI5t{}", story.token(18));
    let intruder = with_key(&story.person(0), &key);
    let user = json!({ "UserName": format!("helper-{}", story.token(6)) });
    let rights = json!({ "UserName": user["UserName"], "PolicyName": "AdministratorAccess", "PolicyType": "System" });
    let calls: [(&str, Value, &[&'static str]); 4] = [
        ("CreateUser", user.clone(), &[]),
        ("CreateLoginProfile", user.clone(), &["AT-IAM-003"]),
        ("AttachPolicyToUser", rights, &["AT-IAM-001"]),
        ("CreateAccessKey", user, &["AT-CRED-001", "AT-PE-001"]),
    ];
    for (step, (name, parameters, rules)) in (0..).zip(calls) {
        let call = call(story, &intruder, ("Ram", name), OFFICE, step * 120, parameters)
            .with("userAgent", "Pacu/1.5.3")
            .expect_finding(TOOL);
        story.add(rules.iter().fold(call, |call, rule| call.expect_finding(rule)));
    }
    let mut stranger = story.person(1);
    let here = story.account;
    stranger["accountId"] = Value::from("2000000000000077");
    let role = json!({ "RoleArn": format!("acs:ram::{here}:role/partner") });
    let taken = call(story, &stranger, ("Sts", "AssumeRole"), "198.51.100.77", 600, role)
        .with("recipientAccountId", here);
    story.add(taken.expect_finding("AT-IAM-009"));
}

fn instance_role_abuse(story: &mut StoryContext<'_>) {
    let instance = story.instance("cn-hangzhou");
    let role = json!({
        "type": "assumed-role", "accountId": story.account, "principalId": format!("310000000000000001:{instance}"),
        "userName": format!("web-role:{instance}"), "accessKeyId": format!("STS.NT{}", story.token(20)),
    });
    for (step, from) in ["192.0.2.61", "198.51.100.61"].into_iter().enumerate() {
        let listed = call(
            story,
            &role,
            ("Ecs", "DescribeInstances"),
            from,
            1_200 + 600 * step as i64,
            json!({}),
        )
        .with("eventRW", "Read");
        story.add(listed.expect_finding("AT-CRED-006"));
    }
    let miner =
        json!({ "InstanceType": "ecs.gn7i-c32g1.8xlarge", "Amount": "4", "KeyPairName": "helper" });
    let made = call(story, &role, ("Ecs", "RunInstances"), "198.51.100.61", 1_860, miner);
    story.add(made.expect_finding("AT-IMPACT-006").expect_finding("AT-CRED-006"));
}

fn single_event_findings(story: &mut StoryContext<'_>) {
    let somebody = story.person(2);
    let bare = call(
        story,
        &somebody,
        ("Oss", "DeleteBucketEncryption"),
        OFFICE,
        2_460,
        json!({ "bucketName": "story" }),
    );
    story.add(bare.expect_finding("AT-DATA-006"));
    let strange = call(story, &somebody, ("Newthing", "DoSomething"), OFFICE, 2_520, json!({}))
        .with("eventType", "NewthingEvent");
    story.add(strange.expect_finding("AT-META-001"));
    let mut insight = EventBuilder::new(uuid(story.rng), "", "", "cn-hangzhou", story.at(2_580))
        .with("eventType", "ActionTrailInsight")
        .with("eventCategory", "Insight")
        .with("recipientAccountId", story.account)
        .with("insightDetails", json!({ "state": "Open", "insightType": "IpInsight", "insightObject": "198.51.100.61" }))
        .expect_finding("AT-ANY-001");
    // An insight is not an API call, so it has no service and no event name.
    for call in ["serviceName", "eventName", "requestId"] {
        insight.members.remove(call);
    }
    story.add(insight);
}

/// Near misses: a user without a console password, read-only permissions, and three ordinary instances.
fn everyday_work(story: &mut StoryContext<'_>) {
    let colleague = story.person(3);
    let user = json!({ "UserName": format!("job-{}", story.token(6)) });
    let rights = json!({ "UserName": user["UserName"], "PolicyName": "AliyunOSSReadOnlyAccess", "PolicyType": "System" });
    let machines = json!({ "InstanceType": "ecs.c7.large", "Amount": "3", "KeyPairName": "ops" });
    for (step, (service, name, parameters)) in (0..).zip([
        ("Ram", "CreateUser", user),
        ("Ram", "AttachPolicyToUser", rights),
        ("Ecs", "RunInstances", machines),
    ]) {
        let event = call(story, &colleague, (service, name), OFFICE, 3_000 + step * 60, parameters);
        story.add(event);
    }
}

fn call(
    story: &mut StoryContext<'_>,
    who: &Value,
    (service, name): (&str, &str),
    from: &str,
    offset: i64,
    parameters: Value,
) -> EventBuilder {
    EventBuilder::new(uuid(story.rng), service, name, "cn-hangzhou", story.at(offset))
        .with("eventSource", format!("{}.cn-hangzhou.aliyuncs.com", service.to_lowercase()))
        .with("eventRW", "Write")
        .with("eventCategory", "Management")
        .with("sourceIpAddress", from)
        .with("userAgent", "aliyun-cli/3.0.210 (linux; amd64)")
        .with("userIdentity", who.clone())
        .with("requestParameters", parameters)
}
