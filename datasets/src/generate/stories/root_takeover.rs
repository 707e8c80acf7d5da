//! The root account changes hands: somebody signs in from the office as they should, then phone and MFA are changed, and work is
//! done as root.

use super::super::event::{Builder, uuid};
use super::{Scene, in_console};
use serde_json::json;

const RECOVERY: &str = "AT-ROOT-004";
const IN_CONSOLE: &str = "AT-ROOT-003";

pub(super) fn tell(scene: &mut Scene<'_>) {
    let event = scene.root_sign_in(scene.at(0), "203.0.113.4", Some("true"));
    scene.add(event);
    for (offset, name) in [(60, "MobileModify"), (120, "MFAUnbind"), (180, "PasswordModify")] {
        let event = account_centre(scene, name, offset).expect(RECOVERY).expect(IN_CONSOLE);
        scene.add(event);
    }
    let refused = account_centre(scene, "EmailModify", 200).with("errorCode", "VerifyFailed");
    scene.add(refused);
    let root = in_console(&scene.root(), "true", scene.start);
    let call = |scene: &mut Scene<'_>, name: &str, rw: &str, offset: i64| {
        Builder::new(uuid(scene.rng), "Ram", name, "cn-hangzhou", scene.at(offset))
            .with("eventSource", "ram.aliyuncs.com")
            .with("eventRW", rw)
            .with("sourceIpAddress", "203.0.113.4")
            .with("userIdentity", root.clone())
            .with("requestParameters", json!({ "UserName": "helper" }))
    };
    let event = call(scene, "CreateUser", "Write", 300).expect(IN_CONSOLE);
    scene.add(event);
    let event = call(scene, "ListUsers", "Read", 310);
    scene.add(event);
}

fn account_centre(scene: &mut Scene<'_>, name: &str, offset: i64) -> Builder {
    let (id, root) = (uuid(scene.rng), scene.root());
    Builder::new(id, "AasCustomer", name, "cn-hangzhou", scene.at(offset))
        .with("eventType", "PasswordReset")
        .with("eventSource", "http://account.aliyun.com")
        .with("eventRW", "Write")
        .with("isGlobal", true)
        .with("sourceIpAddress", "203.0.113.4")
        .with("userIdentity", root)
}
