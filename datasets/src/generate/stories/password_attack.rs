//! Story: password guessing. One user is attacked many times, then many users once each, then a guess succeeds. Near misses:
//! a user who mistypes.

use super::context::StoryContext;
use serde_json::{Value, json};

const GUESSED: &str = "AT-LOGIN-003";
const SPRAYED: &str = "AT-LOGIN-004";
const AT_LAST: &str = "AT-LOGIN-005";
const SUSPICIOUS: &str = "AT-LOGIN-009";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    let victim = story.person(0);
    for step in 0..6 {
        let event = wrong(story, &victim, step * 40, "198.51.100.140").expect_finding(GUESSED);
        story.add(event);
    }
    for n in 1..7_u8 {
        let person = story.person(n.into());
        let event =
            wrong(story, &person, i64::from(n) * 200, "198.51.100.141").expect_finding(SPRAYED);
        story.add(event);
    }
    // A password guessed at the fourth attempt, by a client that the platform reports as suspicious.
    let second = story.person(7);
    for step in 0..3 {
        let event = wrong(story, &second, 5_000 + step * 120, "203.0.113.71");
        story.add(event);
    }
    let mut event =
        story.ram_sign_in(&second, story.at(5_600), "203.0.113.71", Some(json!("true")));
    if let Some(additional) = event.members.get_mut("additionalEventData") {
        additional["suspiciousLogin"] = json!("true");
    }
    story.add(event.expect_finding(AT_LAST).expect_finding(SUSPICIOUS));
    // Near miss: four failures within five minutes, and one much later.
    let clumsy = story.person(8);
    for offset in [0, 30, 60, 90, 2_000] {
        let event = wrong(story, &clumsy, offset, "203.0.113.70");
        story.add(event);
    }
}

fn wrong(
    story: &mut StoryContext<'_>,
    who: &Value,
    offset: i64,
    from: &str,
) -> super::super::event::EventBuilder {
    story
        .ram_sign_in(who, story.at(offset), from, None)
        .with("errorCode", "AuthenticationFailed.UsernameOrPassword")
        .with("errorMessage", "The user name or password is wrong.")
}
