//! Story: deviations from a long baseline: a key used again after months, a key used from a new network, and a change in a
//! region that was never used. Near misses: a key in its usual networks, and a key unused for one month only.

use super::super::event::{EventBuilder, uuid};
use super::context::{StoryContext, with_key};
use crate::layout::DAY_MICROS;
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000;
/// Regions without any other traffic, one for each repetition of the story.
const UNUSED: [&str; 6] =
    ["me-east-1", "eu-west-1", "eu-central-1", "ap-northeast-1", "ap-southeast-6", "me-central-1"];

pub(super) fn generate(story: &mut StoryContext<'_>) {
    dormant_key(story);
    key_from_new_network(story);
    unused_region(story);
}

fn dormant_key(story: &mut StoryContext<'_>) {
    for (person, days, wakes) in [(0, 100, true), (1, 31, false)] {
        let key = format!("LTAI5t{}", story.token(18));
        let program = with_key(&story.person(person), &key);
        let Some(start) = story.start_with_history(days + 1) else { continue };
        let before = call(story, &program, "192.0.2.90", start - days * DAY_MICROS);
        story.add(before);
        let again = call(story, &program, "192.0.2.90", start);
        story.add(if wakes { again.expect_finding("AT-CRED-005") } else { again });
        let and_again = call(story, &program, "192.0.2.90", start + 30 * SECOND);
        story.add(and_again);
    }
}

fn key_from_new_network(story: &mut StoryContext<'_>) {
    let key = format!("LTAI5t{}", story.token(18));
    let program = with_key(&story.person(2), &key);
    let Some(start) = story.start_with_history(10) else { return };
    for (from, time) in [
        ("192.0.2.91", -9 * DAY_MICROS),
        ("192.0.2.92", -3 * DAY_MICROS),
        ("192.0.2.93", 600 * SECOND),
    ] {
        let at_home = call(story, &program, from, start + time);
        story.add(at_home);
    }
    let abroad = call(story, &program, "198.51.100.91", start + 660 * SECOND);
    story.add(abroad.expect_finding("AT-CRED-004"));
}

/// The change happens on the Friday before the last Saturday, if the account has enough history by then.
fn unused_region(story: &mut StoryContext<'_>) {
    let repetition = usize::try_from(story.number / 100).unwrap_or(usize::MAX);
    let (Some(saturday), Some(region)) = (story.saturday, UNUSED.get(repetition).copied()) else {
        return;
    };
    let (first, friday) = (story.first_day, saturday - DAY_MICROS);
    if friday - first < 16 * DAY_MICROS {
        return;
    }
    let person = story.person(3);
    // The account's history starts on the first day, whatever the background traffic does.
    let early = change(story, &person, "cn-hangzhou", first + 3_600_000_000);
    story.add(early);
    let strange = change(story, &person, region, friday + 3 * 3_600_000_000);
    story.add(strange.expect_finding("AT-GEO-001"));
    let again = change(story, &person, region, friday + 5 * 3_600_000_000);
    story.add(again);
}

fn change(
    story: &mut StoryContext<'_>,
    who: &Value,
    region: &'static str,
    time: i64,
) -> EventBuilder {
    story.ecs(
        "ModifyInstanceAttribute",
        who,
        time,
        region,
        "203.0.113.90",
        json!({ "InstanceName": "story" }),
    )
}

fn call(story: &mut StoryContext<'_>, who: &Value, from: &str, time: i64) -> EventBuilder {
    EventBuilder::new(uuid(story.rng), "Ecs", "DescribeInstances", "cn-hangzhou", time)
        .with("eventSource", "ecs.cn-hangzhou.aliyuncs.com")
        .with("eventRW", "Read")
        .with("eventCategory", "Management")
        .with("sourceIpAddress", from)
        .with("userAgent", "aliyun-cli/3.0.210 (linux; amd64)")
        .with("userIdentity", who.clone())
        .with("requestParameters", json!({ "RegionId": "cn-hangzhou" }))
}
