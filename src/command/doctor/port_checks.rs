//! Checks of the addresses that the service listens on.

use super::check::{Check, CheckArea, CheckText, Verdict};
use crate::config::Config;
use crate::lake;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trailhound_ingest::lake::WriterLock;

const AREA: CheckArea = CheckArea::Port;
/// Time limit for the answer of whatever listens.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Checks the addresses of the service's HTTP server and of its PostgreSQL interface.
pub(super) async fn run(config: &Config, folder: &Path) -> Vec<Check> {
    let mut checks = vec![check_http(config, folder).await];
    // A wrong section is told among the checks of the configuration.
    if let Ok(Some(endpoint)) = config.postgres_endpoint() {
        let error = TcpListener::bind(endpoint.listen).await.err();
        let is_ours = error.is_some() && is_in_use(config, folder).await;
        checks.push(match error {
            Some(error) if !is_ours => taken("[query.postgres] listen", endpoint.listen, &error),
            Some(_) => runs(endpoint.listen),
            None => free(endpoint.listen),
        });
    }
    checks
}

async fn check_http(config: &Config, folder: &Path) -> Check {
    let address = config.listen();
    let Err(error) = TcpListener::bind(address).await else { return free(address) };
    let Some(ready) = readiness(address).await else {
        return taken("[service] listen", address, &error);
    };
    if !is_in_use(config, folder).await {
        return taken("[service] listen", address, &error);
    }
    if ready["ready"] == true {
        return runs(address);
    }
    let (failing, stalled) = (&ready["failing_sources"], &ready["stalled"]);
    Check::wrong(
        AREA,
        address.to_string(),
        CheckText::new(
            format!(
                "the service runs there and is not well: sources {failing}, commits {stalled}, detection {}",
                ready["detection"]
            ),
            format!(
                "服务正在运行但状态异常：数据源 {failing}，提交 {stalled}，检测 {}",
                ready["detection"]
            ),
        ),
        CheckText::new(
            format!("see the other checks, the service's log, and http://{address}/readyz"),
            format!("参见其他检查、服务日志和 http://{address}/readyz"),
        ),
    )
}

/// True where another process writes the lake: then the service that has the port is probably ours. A lake in PostgreSQL has
/// no lock.
async fn is_in_use(config: &Config, folder: &Path) -> bool {
    if lake::outdated(folder).await.is_err() {
        return false;
    }
    match lake::open(folder, config).await {
        Ok(lake) if lake.is_shared() => true,
        Ok(lake) => WriterLock::is_held(&lake),
        Err(_) => false,
    }
}

/// What a service of ours says about itself; `None` for any other program.
async fn readiness(address: SocketAddr) -> Option<Value> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(
                format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, ask).await.ok()?.ok()?;
    let text = String::from_utf8(answer).ok()?;
    let body: Value = serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()?;
    body.get("failing_sources").is_some().then_some(body)
}

fn free(address: SocketAddr) -> Check {
    Check::right(AREA, address.to_string(), CheckText::new("the address is free", "地址可用"))
}

fn runs(address: SocketAddr) -> Check {
    Check::found(
        AREA,
        address.to_string(),
        Verdict::Note,
        CheckText::new("the service listens there and is well", "服务正在监听，状态正常"),
        CheckText::new("nothing is to be done", "无需处理"),
    )
}

fn taken(key: &str, address: SocketAddr, error: &io::Error) -> Check {
    let is_taken = error.kind() == io::ErrorKind::AddrInUse;
    let found = if is_taken {
        CheckText::new(
            format!("the port is taken by another program: {error}"),
            format!("端口已被其他程序占用：{error}"),
        )
    } else {
        CheckText::new(
            format!("nothing can listen there: {error}"),
            format!("无法监听该地址：{error}"),
        )
    };
    Check::wrong(
        AREA,
        address.to_string(),
        found,
        CheckText::new(
            format!("end that program (`ss -ltnp` shows it), or give another address as `{key}`"),
            format!("停止该程序（用 `ss -ltnp` 查看），或在 `{key}` 中改用其他地址"),
        ),
    )
}
