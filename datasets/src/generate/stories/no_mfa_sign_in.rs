//! Story: sign-ins without a second factor. Near misses: sign-ins with a second factor, failed
//! sign-ins, and sign-ins whose event does not record MFA.

use super::context::StoryContext;
use serde_json::{Value, json};

const RULE: &str = "AT-LOGIN-001";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    let careless = story.person(0);
    for (offset, flag) in [(0, json!("false")), (40, json!(false)), (7_200, json!("FALSE"))] {
        let event = story
            .ram_sign_in(&careless, story.at(offset), "203.0.113.44", Some(flag))
            .expect_finding(RULE);
        story.add(event);
    }
    let event = story
        .ram_sign_in(&careless, story.at(9_000), "203.0.113.44", Some(json!("false")))
        .with("errorMessage", "success")
        .expect_finding(RULE);
    story.add(event);
    let event =
        story.root_sign_in(story.at(300), "203.0.113.2", Some("false")).expect_finding(RULE);
    story.add(event);
    // Near misses: a wrong password, a missing flag, and a second factor.
    let event = story
        .ram_sign_in(&careless, story.at(-30), "203.0.113.44", Some(json!("false")))
        .with("errorCode", "AuthenticationFailed.UsernameOrPassword")
        .with("errorMessage", "The user name or password is wrong.");
    story.add(event);
    let careful = story.person(1);
    for flag in [None, Some(json!("true")), Some(Value::Null)] {
        let event = story.ram_sign_in(&careful, story.at(500), "203.0.113.45", flag);
        story.add(event);
    }
    let event = story.root_sign_in(story.at(600), "203.0.113.2", Some("true"));
    story.add(event);
}
