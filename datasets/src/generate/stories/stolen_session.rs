//! Story: sessions and keys that leave their network. After a sign-in in the office, the console session is used outside; a
//! role's session that was issued to the office is used outside; a temporary key is used from many networks; the vendor says
//! that a key has leaked; a call carries a parameter for dry runs that its operation does not have. Near misses: the same from
//! the office, and a refusal for another reason.

use super::super::event::{EventBuilder, uuid};
use super::context::{StoryContext, in_console, with_key};
use serde_json::{Value, json};

const OFFICE: &str = "203.0.113.63";
const OFFICE_IPV6: &str = "2001:db8:10:3::63";
const OUTSIDE: &str = "198.51.100.63";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    console_session(story);
    role_session(story);
    temporary_key(story);
    leaked_key(story);
    superfluous_dry_run(story);
}

fn console_session(story: &mut StoryContext<'_>) {
    let victim = story.person(0);
    let signed_in = story.ram_sign_in(&victim, story.at(0), OFFICE, Some(json!("true")));
    story.add(signed_in);
    for (offset, from) in [(300, OFFICE), (360, OFFICE_IPV6), (600, OUTSIDE), (660, OUTSIDE)] {
        let session = in_console(&victim, "true", story.at(offset));
        let event = call(story, &session, ("Ecs", "DescribeInstances", "Read"), from, offset);
        story.add(if from == OUTSIDE { event.expect_finding("AT-LOGIN-012") } else { event });
    }
}

fn role_session(story: &mut StoryContext<'_>) {
    let person = story.person(1);
    let name = format!("story-{}", story.token(8));
    let key = format!("STS.NT{}", story.token(20));
    let arn = format!("acs:ram::{}:role/story-reader", story.account);
    let who = in_console(&person, "true", story.at(1_000));
    let issued = call(story, &who, ("Sts", "AssumeRole", "Write"), OFFICE, 1_000)
        .with("requestParameters", json!({ "RoleArn": arn, "RoleSessionName": name }))
        .with("referencedResources", json!({ "ACS::RAM::AccessKey": [key] }));
    story.add(issued);
    let role = json!({
        "type": "assumed-role", "accountId": story.account, "principalId": format!("310000000000000063:{name}"),
        "userName": format!("story-reader:{name}"), "accessKeyId": key,
    });
    for (offset, from) in [(1_060, OFFICE), (1_300, OUTSIDE)] {
        let event = call(story, &role, ("Ecs", "DescribeInstances", "Read"), from, offset);
        story.add(if from == OUTSIDE { event.expect_finding("AT-CRED-011") } else { event });
    }
}

fn temporary_key(story: &mut StoryContext<'_>) {
    let name = format!("story-{}", story.token(8));
    let role = json!({
        "type": "assumed-role", "accountId": story.account, "principalId": format!("310000000000000064:{name}"),
        "userName": format!("story-writer:{name}"), "accessKeyId": format!("STS.NT{}", story.token(20)),
    });
    for (step, from) in (0..).zip(["192.0.2.64", "198.51.100.64", "2001:db8:b00::64"]) {
        let offset = 2_000 + step * 600;
        let event = call(story, &role, ("Ecs", "DescribeInstances", "Read"), from, offset);
        story.add(event.expect_finding("AT-CRED-010"));
    }
}

fn leaked_key(story: &mut StoryContext<'_>) {
    let key = format!("LTAI5t{}", story.token(18));
    let program = with_key(&story.person(2), &key);
    let refusals = [
        ("Forbidden", "There is a risk of leakage of this AccessKey.", true),
        ("Forbidden.RAM", "User not authorized to operate on the specified resource.", false),
    ];
    for (step, (code, message, has_leaked)) in (0..).zip(refusals) {
        let offset = 4_000 + step * 60;
        let refused = call(story, &program, ("Ecs", "RunInstances", "Write"), OFFICE, offset)
            .with("errorCode", code)
            .with("errorMessage", message);
        story.add(if has_leaked { refused.expect_finding("AT-CRED-012") } else { refused });
    }
}

fn superfluous_dry_run(story: &mut StoryContext<'_>) {
    let person = story.person(3);
    let session = in_console(&person, "true", story.at(5_000));
    let marked = call(story, &session, ("Ecs", "TagResources", "Write"), OFFICE, 5_000)
        .with("requestParameters", json!({ "ResourceType": "instance", "DryRun": "true" }));
    story.add(marked.expect_finding("AT-DEF-010"));
    // Near misses: the parameter says no, and an operation that has the parameter.
    let no_test = call(story, &session, ("Ecs", "TagResources", "Write"), OFFICE, 5_030)
        .with("requestParameters", json!({ "ResourceType": "instance", "DryRun": "false" }));
    story.add(no_test);
    let test = call(story, &session, ("Kms", "GetSecretValue", "Read"), OFFICE, 5_060)
        .with("requestParameters", json!({ "SecretName": "story", "DryRun": "true" }));
    story.add(test);
}

fn call(
    story: &mut StoryContext<'_>,
    who: &Value,
    (service, name, rw): (&str, &str, &str),
    from: &str,
    offset: i64,
) -> EventBuilder {
    EventBuilder::new(uuid(story.rng), service, name, "cn-hangzhou", story.at(offset))
        .with("eventSource", format!("{}.cn-hangzhou.aliyuncs.com", service.to_lowercase()))
        .with("eventRW", rw)
        .with("eventCategory", "Management")
        .with("sourceIpAddress", from)
        .with("userAgent", "Apache-HttpClient/4.5.13 (Java/1.8.0_352)")
        .with("userIdentity", who.clone())
        .with("requestParameters", json!({ "RegionId": "cn-hangzhou" }))
}
