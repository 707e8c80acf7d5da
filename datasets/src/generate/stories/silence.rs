//! Story: an account with events every hour stops sending events. Near miss: an account that was never busy.

use super::super::event::{EventBuilder, uuid};
use super::context::StoryContext;
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000_000;

pub(super) fn generate(story: &mut StoryContext<'_>) {
    let Some(start) = story.start_with_history(7) else { return };
    // Accounts of their own, because background traffic would end the silence.
    let busy = format!("20000000{:08}", 1000 + story.number);
    for hour in (0..=145).rev() {
        let event = call(story, &busy, start - hour * HOUR);
        story.add(if hour == 0 { event.expect_finding("AT-LOG-003") } else { event });
    }
    let seldom = format!("20000001{:08}", 1000 + story.number);
    for day in 0..5 {
        let event = call(story, &seldom, start - day * 24 * HOUR);
        story.add(event);
    }
}

fn call(story: &mut StoryContext<'_>, account: &str, time: i64) -> EventBuilder {
    let who: Value = json!({
        "type": "ram-user", "accountId": account, "principalId": format!("28{}", &account[2..]), "userName": "exporter",
        "sessionContext": { "attributes": { "mfaAuthenticated": "true", "creationDate": "2026-01-01T00:00:00Z" } },
    });
    EventBuilder::new(uuid(story.rng), "Ecs", "DescribeInstances", "cn-hangzhou", time)
        .with("eventSource", "ecs.cn-hangzhou.aliyuncs.com")
        .with("eventRW", "Read")
        .with("eventCategory", "Management")
        .with("sourceIpAddress", "203.0.113.95")
        .with("userAgent", "aliyun-cli/3.0.210 (linux; amd64)")
        .with("userIdentity", who)
        .with("recipientAccountId", account)
        .with("requestParameters", json!({ "RegionId": "cn-hangzhou" }))
}
