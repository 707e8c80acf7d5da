//! What was not seen for long: a key that slept for months, a key that turns up in another network, and machines changed in a region
//! nobody uses. Beside it the same key in its own network, and a key that slept for a month only.

use super::super::event::{Builder, uuid};
use super::{Scene, with_key};
use crate::layout::DAY_MICROS;
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000;
/// Regions without any other traffic, one for each telling.
const UNUSED: [&str; 6] =
    ["me-east-1", "eu-west-1", "eu-central-1", "ap-northeast-1", "ap-southeast-6", "me-central-1"];

pub(super) fn tell(scene: &mut Scene<'_>) {
    a_key_that_slept(scene);
    a_key_that_travels(scene);
    a_region_nobody_uses(scene);
}

fn a_key_that_slept(scene: &mut Scene<'_>) {
    for (person, days, wakes) in [(0, 100, true), (1, 31, false)] {
        let key = format!("LTAI5t{}", scene.token(18));
        let program = with_key(&scene.person(person), &key);
        let Some(start) = scene.not_before(days + 1) else { continue };
        let before = call(scene, &program, "192.0.2.90", start - days * DAY_MICROS);
        scene.add(before);
        let again = call(scene, &program, "192.0.2.90", start);
        scene.add(if wakes { again.expect("AT-CRED-005") } else { again });
        let and_again = call(scene, &program, "192.0.2.90", start + 30 * SECOND);
        scene.add(and_again);
    }
}

fn a_key_that_travels(scene: &mut Scene<'_>) {
    let key = format!("LTAI5t{}", scene.token(18));
    let program = with_key(&scene.person(2), &key);
    let Some(start) = scene.not_before(10) else { return };
    for (from, time) in [
        ("192.0.2.91", -9 * DAY_MICROS),
        ("192.0.2.92", -3 * DAY_MICROS),
        ("192.0.2.93", 600 * SECOND),
    ] {
        let at_home = call(scene, &program, from, start + time);
        scene.add(at_home);
    }
    let abroad = call(scene, &program, "198.51.100.91", start + 660 * SECOND);
    scene.add(abroad.expect("AT-CRED-004"));
}

/// On the Friday before the last Saturday, if the account has been at work for long enough by then.
fn a_region_nobody_uses(scene: &mut Scene<'_>) {
    let telling = usize::try_from(scene.round / 100).unwrap_or(usize::MAX);
    let (Some(saturday), Some(region)) = (scene.saturday, UNUSED.get(telling).copied()) else {
        return;
    };
    let (first, friday) = (scene.first_day, saturday - DAY_MICROS);
    if friday - first < 16 * DAY_MICROS {
        return;
    }
    let person = scene.person(3);
    // The account is at work from the first day on, whoever else does anything then.
    let early = change(scene, &person, "cn-hangzhou", first + 3_600_000_000);
    scene.add(early);
    let strange = change(scene, &person, region, friday + 3 * 3_600_000_000);
    scene.add(strange.expect("AT-GEO-001"));
    let again = change(scene, &person, region, friday + 5 * 3_600_000_000);
    scene.add(again);
}

fn change(scene: &mut Scene<'_>, who: &Value, region: &'static str, time: i64) -> Builder {
    scene.ecs(
        "ModifyInstanceAttribute",
        who,
        time,
        region,
        "203.0.113.90",
        json!({ "InstanceName": "story" }),
    )
}

fn call(scene: &mut Scene<'_>, who: &Value, from: &str, time: i64) -> Builder {
    Builder::new(uuid(scene.rng), "Ecs", "DescribeInstances", "cn-hangzhou", time)
        .with("eventSource", "ecs.cn-hangzhou.aliyuncs.com")
        .with("eventRW", "Read")
        .with("eventCategory", "Management")
        .with("sourceIpAddress", from)
        .with("userAgent", "aliyun-cli/3.0.210 (linux; amd64)")
        .with("userIdentity", who.clone())
        .with("requestParameters", json!({ "RegionId": "cn-hangzhou" }))
}
