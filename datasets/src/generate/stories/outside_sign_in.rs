//! Stolen credentials used from elsewhere, over IPv4 and IPv6, beside the same people in the office.

use super::Scene;
use serde_json::json;

const OUTSIDE: &str = "AT-LOGIN-002";
const WITHOUT_MFA: &str = "AT-LOGIN-001";

pub(super) fn tell(scene: &mut Scene<'_>) {
    let victim = scene.person(0);
    let yes = || Some(json!("true"));
    for (offset, from) in [
        (0, "198.51.100.31"),
        (60, "2001:db8:bad::31"),
        (3_700, "10.20.30.40"),
        (3_800, "::ffff:198.51.100.31"),
    ] {
        let event = scene.ram_sign_in(&victim, scene.at(offset), from, yes()).expect(OUTSIDE);
        scene.add(event);
    }
    let event = scene
        .ram_sign_in(&victim, scene.at(5_000), "198.51.100.32", Some(json!("false")))
        .expect(OUTSIDE)
        .expect(WITHOUT_MFA);
    scene.add(event);
    let event = scene.root_sign_in(scene.at(5_100), "198.51.100.33", Some("true")).expect(OUTSIDE);
    scene.add(event);
    // Near misses: inside in three spellings, no address at all, and a refused attempt from outside.
    for from in [
        "203.0.113.77",
        "::ffff:203.0.113.77",
        "2001:db8:10:5::77",
        "Internal",
        "signin.aliyun.com",
        "",
        "192.168.XX.XX",
    ] {
        let event = scene.ram_sign_in(&victim, scene.at(6_000), from, yes());
        scene.add(event);
    }
    let event = scene
        .ram_sign_in(&victim, scene.at(-60), "198.51.100.31", yes())
        .with("errorCode", "AuthenticationFailed.UsernameOrPassword");
    scene.add(event);
    // Root from an address the trail does not show is told apart from outside.
    let event = scene
        .root_sign_in(scene.at(5_200), "Internal", Some("true"))
        .expect("AT-LOGIN-002-undetermined");
    scene.add(event);
}
