//! Story: a principal tries to stop instances without permission and is refused several times in a row. Near misses:
//! refusals that are too far apart.

use super::context::{StoryContext, with_key};
use serde_json::json;

const RULE: &str = "AT-ECS-001-denied";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    let prober = story.person(0);
    let key = format!("LTAI5t{}", story.token(18));
    for step in 0..4 {
        let instance = story.instance("cn-beijing");
        let event = story
            .ecs(
                "StopInstance",
                &with_key(&prober, &key),
                story.at(step * 150),
                "cn-beijing",
                "192.0.2.200",
                json!({ "InstanceId": instance }),
            )
            .with("errorCode", "Forbidden.RAM")
            .with("errorMessage", "User not authorized to operate on the specified resource.")
            .expect_finding(RULE);
        story.add(event);
    }
    let other = story.person(1);
    // A key of its own for each story: a key used again months later is a finding of another rule.
    let slow_key = format!("LTAI5tSlowAndPatient{:04}", story.number);
    for step in 0..3 {
        let event = story
            .ecs(
                "StopInstance",
                &with_key(&other, &slow_key),
                story.at(step * 400),
                "cn-beijing",
                "192.0.2.201",
                json!({ "InstanceId": "i-2zeslow" }),
            )
            .with("errorCode", "IncorrectInstanceStatus");
        story.add(event);
    }
}
