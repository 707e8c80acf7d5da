//! Passwords guessed: one user over and over, then many users once each; beside those who mistype.

use super::Scene;
use serde_json::{Value, json};

const GUESSED: &str = "AT-LOGIN-003";
const SPRAYED: &str = "AT-LOGIN-004";
const AT_LAST: &str = "AT-LOGIN-005";
const SUSPICIOUS: &str = "AT-LOGIN-009";

pub(super) fn tell(scene: &mut Scene<'_>) {
    let victim = scene.person(0);
    for step in 0..6 {
        let event = wrong(scene, &victim, step * 40, "198.51.100.140").expect(GUESSED);
        scene.add(event);
    }
    for n in 1..7_u8 {
        let person = scene.person(n.into());
        let event = wrong(scene, &person, i64::from(n) * 200, "198.51.100.141").expect(SPRAYED);
        scene.add(event);
    }
    // Somebody else's password found at the fourth attempt, by a client the platform finds odd.
    let second = scene.person(7);
    for step in 0..3 {
        let event = wrong(scene, &second, 5_000 + step * 120, "203.0.113.71");
        scene.add(event);
    }
    let mut event =
        scene.ram_sign_in(&second, scene.at(5_600), "203.0.113.71", Some(json!("true")));
    if let Some(additional) = event.members.get_mut("additionalEventData") {
        additional["suspiciousLogin"] = json!("true");
    }
    scene.add(event.expect(AT_LAST).expect(SUSPICIOUS));
    // Four times within five minutes, and once more much later.
    let clumsy = scene.person(8);
    for offset in [0, 30, 60, 90, 2_000] {
        let event = wrong(scene, &clumsy, offset, "203.0.113.70");
        scene.add(event);
    }
}

fn wrong(scene: &mut Scene<'_>, who: &Value, offset: i64, from: &str) -> super::Builder {
    scene
        .ram_sign_in(who, scene.at(offset), from, None)
        .with("errorCode", "AuthenticationFailed.UsernameOrPassword")
        .with("errorMessage", "The user name or password is wrong.")
}
