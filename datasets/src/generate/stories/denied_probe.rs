//! Somebody tries to stop what they may not: a run of refusals, beside single ones.

use super::{Scene, with_key};
use serde_json::json;

const RULE: &str = "AT-ECS-001-denied";

pub(super) fn tell(scene: &mut Scene<'_>) {
    let prober = scene.person(0);
    let key = format!("LTAI5t{}", scene.token(18));
    for step in 0..4 {
        let instance = scene.instance("cn-beijing");
        let event = scene
            .ecs(
                "StopInstance",
                &with_key(&prober, &key),
                scene.at(step * 150),
                "cn-beijing",
                "192.0.2.200",
                json!({ "InstanceId": instance }),
            )
            .with("errorCode", "Forbidden.RAM")
            .with("errorMessage", "User not authorized to operate on the specified resource.")
            .expect(RULE);
        scene.add(event);
    }
    let other = scene.person(1);
    // One for each telling: the same months later would be a key that wakes.
    let slow_key = format!("LTAI5tSlowAndPatient{:04}", scene.round);
    for step in 0..3 {
        let event = scene
            .ecs(
                "StopInstance",
                &with_key(&other, &slow_key),
                scene.at(step * 400),
                "cn-beijing",
                "192.0.2.201",
                json!({ "InstanceId": "i-2zeslow" }),
            )
            .with("errorCode", "IncorrectInstanceStatus");
        scene.add(event);
    }
}
