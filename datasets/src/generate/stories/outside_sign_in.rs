//! Story: sign-ins with stolen credentials from outside the corporate networks, over IPv4 and IPv6, by a RAM user and
//! the root account. Near misses: sign-ins from the office or without an IP address, and a refused sign-in from
//! outside.

use super::context::StoryContext;
use serde_json::json;

const OUTSIDE: &str = "AT-LOGIN-002";
const WITHOUT_MFA: &str = "AT-LOGIN-001";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    let victim = story.person(0);
    let yes = || Some(json!("true"));
    for (offset, from) in [
        (0, "198.51.100.31"),
        (60, "2001:db8:bad::31"),
        (3_700, "10.20.30.40"),
        (3_800, "::ffff:198.51.100.31"),
    ] {
        let event =
            story.ram_sign_in(&victim, story.at(offset), from, yes()).expect_finding(OUTSIDE);
        story.add(event);
    }
    let event = story
        .ram_sign_in(&victim, story.at(5_000), "198.51.100.32", Some(json!("false")))
        .expect_finding(OUTSIDE)
        .expect_finding(WITHOUT_MFA);
    story.add(event);
    let event =
        story.root_sign_in(story.at(5_100), "198.51.100.33", Some("true")).expect_finding(OUTSIDE);
    story.add(event);
    // Near misses: addresses inside the office in three spellings, no address at all, and a refused attempt from outside.
    for from in [
        "203.0.113.77",
        "::ffff:203.0.113.77",
        "2001:db8:10:5::77",
        "Internal",
        "signin.aliyun.com",
        "",
    ] {
        let event = story.ram_sign_in(&victim, story.at(6_000), from, yes());
        story.add(event);
    }
    // An address that is masked in the log: whether it is inside cannot be told.
    let event =
        story.ram_sign_in(&victim, story.at(6_000), "192.168.XX.XX", yes()).expect_finding(OUTSIDE);
    story.add(event);
    let event = story
        .ram_sign_in(&victim, story.at(-60), "198.51.100.31", yes())
        .with("errorCode", "AuthenticationFailed.UsernameOrPassword");
    story.add(event);
    // A sign-in of the root account from an unknown address is a variant of its own.
    let event = story
        .root_sign_in(story.at(5_200), "Internal", Some("true"))
        .expect_finding("AT-LOGIN-002-undetermined");
    story.add(event);
}
