//! Story: roles that are taken through identity providers. A person does so from outside, one from an address that tells nothing,
//! and a program from outside. Near misses: the office, a refusal, a role of programs, and a container in a VPC.

use super::super::event::{EventBuilder, uuid};
use super::context::StoryContext;
use serde_json::json;

const BY_PERSON: &str = "AssumeRoleWithSAML";
const BY_PROGRAM: &str = "AssumeRoleWithOIDC";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    for (offset, name, role, from, rule) in [
        (0, BY_PERSON, "story-admin", "203.0.113.64", None),
        (60, BY_PERSON, "story-admin", "2001:db8:10:4::64", None),
        (120, BY_PERSON, "story-admin", "198.51.100.65", Some("AT-LOGIN-002")),
        (180, BY_PERSON, "story-admin", "Internal", Some("AT-LOGIN-002-undetermined")),
        (240, BY_PROGRAM, "story-deploy", "198.51.100.66", Some("AT-LOGIN-013")),
        (300, BY_PROGRAM, "ops-autostop", "198.51.100.66", None),
        (360, BY_PROGRAM, "story-deploy", "203.0.113.65", None),
        (420, BY_PROGRAM, "story-deploy", "10.20.30.66", None),
    ] {
        let event = taken(story, name, role, from, offset);
        story.add(match rule {
            Some(rule) => event.expect_finding(rule),
            None => event,
        });
    }
    let refused = taken(story, BY_PERSON, "story-admin", "198.51.100.65", 480)
        .with("errorCode", "AuthenticationFail.SAMLAssertion.Expired")
        .with("errorMessage", "The SAML assertion has expired.");
    story.add(refused);
}

/// A call `name` that takes the role `role` from the address `from`.
fn taken(
    story: &mut StoryContext<'_>,
    name: &str,
    role: &str,
    from: &str,
    offset: i64,
) -> EventBuilder {
    let (kind, provider, parameter) = if name == BY_PERSON {
        ("saml-user", "saml-provider", "SAMLProviderArn")
    } else {
        ("oidc-user", "oidc-provider", "OIDCProviderArn")
    };
    let account = story.account;
    let user = format!("story-{}@example.com", story.number);
    let who = json!({ "type": kind, "accountId": account, "userName": user });
    let mut parameters =
        json!({ "RoleArn": format!("acs:ram::{account}:role/{role}"), "DurationSeconds": 3600 });
    parameters[parameter] = json!(format!("acs:ram::{account}:{provider}/story"));
    EventBuilder::new(uuid(story.rng), "Sts", name, "cn-hangzhou", story.at(offset))
        .with("eventSource", "sts.aliyuncs.com")
        .with("eventRW", "Write")
        .with("eventCategory", "Management")
        .with("sourceIpAddress", from)
        .with("userAgent", "Jakarta Commons-HttpClient/3.1")
        .with("userIdentity", who)
        .with("requestParameters", parameters)
}
