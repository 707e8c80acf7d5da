//! Checks of sinks, without sending: whether the receiver can be reached.

use super::check::{Check, CheckArea, CheckText};
use crate::config::SinkTarget;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;
use trailhound_detect::sinks::address::AddressPolicy;
use trailhound_ingest::source::kafka::{KafkaOptions, TopicProbe};
use trailhound_ingest::supervisor::run_blocking;

const AREA: CheckArea = CheckArea::Sink;
/// Time limit of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks the sink `name`, which sends to `target`.
pub(super) async fn run(name: &str, target: SinkTarget) -> Check {
    match target {
        SinkTarget::File(path) => check_file(name, &path),
        SinkTarget::Tcp { kind, host, port, policy } => {
            match connect(&host, port, policy.as_ref()).await {
                Ok(address) => Check::right(
                    AREA,
                    name,
                    CheckText::new(
                        format!("{kind}: {address} accepts connections; nothing was sent"),
                        format!("{kind}：{address} 可连接；未发送任何内容"),
                    ),
                ),
                Err(reason) => unreachable(name, kind, &reason),
            }
        }
        SinkTarget::Kafka { settings, topic } => check_topic(name, settings, topic).await,
    }
}

/// Connects as the sink would, and closes the connection.
async fn connect(
    host: &str,
    port: u16,
    policy: Option<&AddressPolicy>,
) -> Result<SocketAddr, String> {
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses: Vec<SocketAddr> =
        found.map_err(|e| format!("`{host}` is not found: {e}"))?.collect();
    let mut reason = format!("`{host}` has no address");
    for address in addresses {
        if let Some(policy) = policy {
            policy.check(address.ip())?;
        }
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(address),
            Ok(Err(error)) => reason = format!("{address}: {error}"),
            Err(_) => reason = format!("{address} does not answer"),
        }
    }
    Err(reason)
}

fn unreachable(name: &str, kind: &str, reason: &str) -> Check {
    Check::wrong(
        AREA,
        name,
        CheckText::new(
            format!("{kind}: the receiver cannot be reached: {reason}"),
            format!("{kind}：无法连接接收方：{reason}"),
        ),
        CheckText::new(
            format!(
                "check the address in [[sink]] `{name}`, whether the receiver runs, and the firewall; then `trailhound sinks test {name}` sends a sample"
            ),
            format!(
                "检查 [[sink]] `{name}` 中的地址、接收方是否运行以及防火墙；然后用 `trailhound sinks test {name}` 发送示例"
            ),
        ),
    )
}

fn check_file(name: &str, path: &Path) -> Check {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let shown = path.display();
    // The sink makes missing folders.
    let existing = absolute.ancestors().find(|ancestor| ancestor.exists());
    let problem = match existing {
        Some(place) if place == absolute && !place.is_file() => Some("is no plain file".to_owned()),
        Some(place) if place != absolute && !place.is_dir() => Some("lies below a file".to_owned()),
        Some(place) => rustix::fs::access(place, rustix::fs::Access::WRITE_OK)
            .err()
            .map(|error| format!("cannot be written: {error}")),
        None => Some("lies nowhere".to_owned()),
    };
    match problem {
        None => Check::right(
            AREA,
            name,
            CheckText::new(
                format!("file: `{shown}` can be written"),
                format!("file：`{shown}` 可写"),
            ),
        ),
        Some(problem) => Check::wrong(
            AREA,
            name,
            CheckText::new(
                format!("file: `{shown}` {problem}"),
                format!("file：`{shown}` 无法写入：{problem}"),
            ),
            CheckText::new(
                format!(
                    "correct `path` in [[sink]] `{name}`, or let the user that runs trailhound write there"
                ),
                format!("更正 [[sink]] `{name}` 的 `path`，或让运行 trailhound 的用户可写"),
            ),
        ),
    }
}

async fn check_topic(name: &str, settings: BTreeMap<String, String>, topic: String) -> Check {
    let options = KafkaOptions { name: name.to_owned(), topics: vec![topic.clone()], settings };
    // The client of the broker blocks.
    let looked = run_blocking(move || TopicProbe::connect(&options)?.look()).await;
    match looked {
        Ok(Ok(look)) if look.missing.is_empty() => Check::right(
            AREA,
            name,
            CheckText::new(
                format!("kafka: the broker has the topic `{topic}`; nothing was sent"),
                format!("kafka：代理上有 topic `{topic}`；未发送任何内容"),
            ),
        ),
        Ok(Ok(_)) => {
            unreachable(name, "kafka", &format!("the broker does not show the topic `{topic}`"))
        }
        Ok(Err(error)) => unreachable(name, "kafka", &error.to_string()),
        Err(error) => unreachable(name, "kafka", &error.to_string()),
    }
}
