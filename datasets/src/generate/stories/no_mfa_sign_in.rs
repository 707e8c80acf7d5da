//! People who sign in without a second factor, beside those who do, those who fail, and those of whom it is not known.

use super::Scene;
use serde_json::{Value, json};

const RULE: &str = "AT-LOGIN-001";

pub(super) fn tell(scene: &mut Scene<'_>) {
    let careless = scene.person(0);
    for (offset, flag) in [(0, json!("false")), (40, json!(false)), (7_200, json!("FALSE"))] {
        let event =
            scene.ram_sign_in(&careless, scene.at(offset), "203.0.113.44", Some(flag)).expect(RULE);
        scene.add(event);
    }
    let event = scene
        .ram_sign_in(&careless, scene.at(9_000), "203.0.113.44", Some(json!("false")))
        .with("errorMessage", "success")
        .expect(RULE);
    scene.add(event);
    let event = scene.root_sign_in(scene.at(300), "203.0.113.2", Some("false")).expect(RULE);
    scene.add(event);
    // Near misses: a wrong password, a flag that is missing, and a second factor.
    let event = scene
        .ram_sign_in(&careless, scene.at(-30), "203.0.113.44", Some(json!("false")))
        .with("errorCode", "AuthenticationFailed.UsernameOrPassword")
        .with("errorMessage", "The user name or password is wrong.");
    scene.add(event);
    let careful = scene.person(1);
    for flag in [None, Some(json!("true")), Some(Value::Null)] {
        let event = scene.ram_sign_in(&careful, scene.at(500), "203.0.113.45", flag);
        scene.add(event);
    }
    let event = scene.root_sign_in(scene.at(600), "203.0.113.2", Some("true"));
    scene.add(event);
}
