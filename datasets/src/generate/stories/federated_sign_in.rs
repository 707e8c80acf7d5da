//! Story: sign-ins through identity providers, which record the second factor in other fields or not at all.

use super::super::event::{EventBuilder, uuid};
use super::context::StoryContext;
use serde_json::json;

pub(super) fn generate(story: &mut StoryContext<'_>) {
    let person = story.person(0);
    let login = |story: &mut StoryContext<'_>, name: &str, offset: i64, mfa: &str| {
        let agent = story.browser();
        let who = json!({ "type": "cloudsso-user", "accountId": story.account, "principalId": person["principalId"], "userName": person["userName"] });
        EventBuilder::new(uuid(story.rng), "CloudSSO", name, "cn-shanghai", story.at(offset))
            .with("eventSource", "signin.example-alicloudsso.com")
            .with("eventRW", "Write")
            .with("sourceIpAddress", "203.0.113.90")
            .with("userAgent", agent)
            .with("userIdentity", who)
            .with(
                "requestParameters",
                json!({ "DirectoryId": "d-00exampledir1", "MFAAuthenticated": mfa }),
            )
    };
    let event = login(story, "Login", 0, "false").expect_finding("AT-LOGIN-001");
    story.add(event);
    let event = login(story, "Login", 100, "true");
    story.add(event);
    // Choosing an account after the login checks no credentials.
    let event = login(story, "LoginToAccount", 110, "false");
    story.add(event);
    // A RAM user through SSO: the flag does not tell what the provider checked, so the finding is a variant of its own.
    let mut event = story.ram_sign_in(&person, story.at(200), "203.0.113.90", Some(json!("false")));
    if let Some(additional) = event.members.get_mut("additionalEventData") {
        additional["loginType"] = json!("SSO");
    }
    story.add(event.expect_finding("AT-LOGIN-001"));
}
