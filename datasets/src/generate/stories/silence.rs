//! An account that does something every hour falls silent. Beside it one that was never busy.

use super::super::event::{Builder, uuid};
use super::Scene;
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000_000;

pub(super) fn tell(scene: &mut Scene<'_>) {
    let Some(start) = scene.not_before(7) else { return };
    // Accounts of its own: silence is what everybody sees of them.
    let busy = format!("20000000{:08}", 1000 + scene.round);
    for hour in (0..=145).rev() {
        let event = call(scene, &busy, start - hour * HOUR);
        scene.add(if hour == 0 { event.expect("AT-LOG-003") } else { event });
    }
    let seldom = format!("20000001{:08}", 1000 + scene.round);
    for day in 0..5 {
        let event = call(scene, &seldom, start - day * 24 * HOUR);
        scene.add(event);
    }
}

fn call(scene: &mut Scene<'_>, account: &str, time: i64) -> Builder {
    let who: Value = json!({
        "type": "ram-user", "accountId": account, "principalId": format!("28{}", &account[2..]), "userName": "exporter",
        "sessionContext": { "attributes": { "mfaAuthenticated": "true", "creationDate": "2026-01-01T00:00:00Z" } },
    });
    Builder::new(uuid(scene.rng), "Ecs", "DescribeInstances", "cn-hangzhou", time)
        .with("eventSource", "ecs.cn-hangzhou.aliyuncs.com")
        .with("eventRW", "Read")
        .with("eventCategory", "Management")
        .with("sourceIpAddress", "203.0.113.95")
        .with("userAgent", "aliyun-cli/3.0.210 (linux; amd64)")
        .with("userIdentity", who)
        .with("recipientAccountId", account)
        .with("requestParameters", json!({ "RegionId": "cn-hangzhou" }))
}
