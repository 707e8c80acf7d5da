//! Sign-ins through identity providers, where the second factor is recorded elsewhere or nowhere.

use super::super::event::{Builder, uuid};
use super::Scene;
use serde_json::json;

pub(super) fn tell(scene: &mut Scene<'_>) {
    let person = scene.person(0);
    let login = |scene: &mut Scene<'_>, name: &str, offset: i64, mfa: &str| {
        let agent = scene.browser();
        let who = json!({ "type": "cloudsso-user", "accountId": scene.account, "principalId": person["principalId"], "userName": person["userName"] });
        Builder::new(uuid(scene.rng), "CloudSSO", name, "cn-shanghai", scene.at(offset))
            .with("eventSource", "signin.example-alicloudsso.com")
            .with("eventRW", "Write")
            .with("sourceIpAddress", "203.0.113.90")
            .with("userAgent", agent)
            .with("userIdentity", who)
            .with(
                "requestParameters",
                json!({ "DirectoryId": "d-00exampledir1", "MFAAuthenticated": mfa }),
            )
    };
    let event = login(scene, "Login", 0, "false").expect("AT-LOGIN-001");
    scene.add(event);
    let event = login(scene, "Login", 100, "true");
    scene.add(event);
    // Picking an account after the login checks no credential.
    let event = login(scene, "LoginToAccount", 110, "false");
    scene.add(event);
    // A RAM user through SSO: the flag says nothing of what the provider asked, so it is a finding of its own variant.
    let mut event = scene.ram_sign_in(&person, scene.at(200), "203.0.113.90", Some(json!("false")));
    if let Some(additional) = event.members.get_mut("additionalEventData") {
        additional["loginType"] = json!("SSO");
    }
    scene.add(event.expect("AT-LOGIN-001"));
}
