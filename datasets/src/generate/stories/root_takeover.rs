//! Story: takeover of the root account. After an ordinary sign-in from the office, phone, MFA and password are changed, and
//! calls are made as root.

use super::super::event::{EventBuilder, uuid};
use super::context::{StoryContext, in_console};
use serde_json::json;

const RECOVERY: &str = "AT-ROOT-004";
const IN_CONSOLE: &str = "AT-ROOT-003";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    let event = story.root_sign_in(story.at(0), "203.0.113.4", Some("true"));
    story.add(event);
    for (offset, name) in [(60, "MobileModify"), (120, "MFAUnbind"), (180, "PasswordModify")] {
        let event =
            account_centre(story, name, offset).expect_finding(RECOVERY).expect_finding(IN_CONSOLE);
        story.add(event);
    }
    let refused = account_centre(story, "EmailModify", 200).with("errorCode", "VerifyFailed");
    story.add(refused);
    let root = in_console(&story.root(), "true", story.start);
    let call = |story: &mut StoryContext<'_>, name: &str, rw: &str, offset: i64| {
        EventBuilder::new(uuid(story.rng), "Ram", name, "cn-hangzhou", story.at(offset))
            .with("eventSource", "ram.aliyuncs.com")
            .with("eventRW", rw)
            .with("sourceIpAddress", "203.0.113.4")
            .with("userIdentity", root.clone())
            .with("requestParameters", json!({ "UserName": "helper" }))
    };
    let event = call(story, "CreateUser", "Write", 300).expect_finding(IN_CONSOLE);
    story.add(event);
    let event = call(story, "ListUsers", "Read", 310);
    story.add(event);
}

fn account_centre(story: &mut StoryContext<'_>, name: &str, offset: i64) -> EventBuilder {
    let (id, root) = (uuid(story.rng), story.root());
    EventBuilder::new(id, "AasCustomer", name, "cn-hangzhou", story.at(offset))
        .with("eventType", "PasswordReset")
        .with("eventSource", "http://account.aliyun.com")
        .with("eventRW", "Write")
        .with("isGlobal", true)
        .with("sourceIpAddress", "203.0.113.4")
        .with("userIdentity", root)
}
