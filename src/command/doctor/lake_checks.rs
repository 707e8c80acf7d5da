//! Checks of the lake: catalog and versions, disk, clock, and what sinks have refused.

use super::check::{Check, CheckArea, CheckText, Verdict};
use super::clock_check;
use crate::config::Config;
use crate::lake;
use crate::legacy_names::{DEAD_LETTERED, current_state};
use chrono::DateTime;
use std::path::Path;
use std::sync::Arc;
use trailhound_detect::store::outbox;
use trailhound_detect::{SilentAccount, account_days, silent_accounts};
use trailhound_ingest::lake::{CatalogError, Lake};
use trailhound_ingest::reread::{HalfUnderstood, half_understood};
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::session::Session;

const AREA: CheckArea = CheckArea::Lake;
/// Free space below which the service will soon stop, and below which it stops, in bytes.
const SPACE_LOW: u64 = 1 << 30;
const SPACE_MIN: u64 = 16 << 20;
/// How far the newest snapshot may lie in the future, in seconds.
const AHEAD_MAX_SECONDS: i64 = 300;

/// Checks the lake in `folder`.
pub(super) async fn run(config: &Config, folder: &Path) -> Vec<Check> {
    let mut checks = vec![check_disk(folder)];
    let subject = folder.display().to_string();
    match lake::outdated(folder).await {
        Ok(None) => match lake::open(folder, config).await {
            Ok(lake) => checks.extend(check_content(config, &lake).await),
            Err(error) => checks.push(unusable(&subject, &error)),
        },
        Ok(Some((found, needed))) => checks.push(Check::found(
            AREA,
            subject,
            Verdict::Note,
            CheckText::new(
                format!("the catalog has version {found}; this program migrates it to version {needed} when it opens it"),
                format!("目录库版本为 {found}；本程序打开时会迁移到版本 {needed}"),
            ),
            CheckText::new(
                "copy the catalog first if you may want to go back; stop services of the older version",
                "若可能回退，请先备份目录库；并停止旧版本的服务",
            ),
        )),
        Err(CatalogError::Missing { .. }) => checks.push(Check::right(
            AREA,
            subject,
            CheckText::new(
                "there is no lake yet; the first ingest makes it",
                "数据湖尚不存在；首次导入时创建",
            ),
        )),
        Err(error) => checks.push(unusable(&subject, &error)),
    }
    checks
}

/// The check of a lake that cannot be opened.
fn unusable(subject: &str, error: &CatalogError) -> Check {
    let (zh, advice) = match error {
        CatalogError::Newer { .. }
        | CatalogError::Version { .. }
        | CatalogError::VersionMismatch(_) => (
            "目录库属于另一版本",
            CheckText::new(
                "use the trailhound version that migrated the lake (`trailhound --version`), or another folder: `--lake DIR` or [lake] path",
                "使用迁移过该数据湖的 trailhound 版本（`trailhound --version`），或换一个目录：`--lake DIR` 或 [lake] path",
            ),
        ),
        CatalogError::ReadOnly { .. } => (
            "目录只读",
            CheckText::new("run as a user who may write the folder", "以有写权限的用户运行"),
        ),
        CatalogError::Reference { .. } => (
            "无法得知如何连接目录库",
            CheckText::new(
                "correct the reference in the file, or set the variable that it names",
                "更正该文件中的引用，或设置其所指的环境变量",
            ),
        ),
        _ => (
            "目录库无法使用",
            CheckText::new(
                "see whether the database runs and the user may use it; `trailhound lake verify` checks the files",
                "检查数据库是否运行、用户是否有权限；用 `trailhound lake verify` 检查文件",
            ),
        ),
    };
    Check::wrong(AREA, subject, CheckText::new(error.to_string(), format!("{zh}：{error}")), advice)
}

/// Checks that the disk of `folder`, or of the folder that it will be made in, has room.
fn check_disk(folder: &Path) -> Check {
    let subject = folder.display().to_string();
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let existing = absolute.ancestors().find(|ancestor| ancestor.is_dir());
    let free = existing.map(rustix::fs::statvfs).transpose();
    let free = match free {
        Ok(Some(of)) => of.f_bavail.saturating_mul(of.f_frsize),
        Ok(None) => return unknown_disk(&subject, "the folder is nowhere"),
        Err(error) => return unknown_disk(&subject, &error.to_string()),
    };
    let mebibytes = free >> 20;
    let advice = CheckText::new(
        "free space on this disk, move the lake to a larger one, or keep fewer days: [lake] retention_days",
        "清理磁盘空间，将数据湖移到更大的磁盘，或减少保留天数：[lake] retention_days",
    );
    if free < SPACE_MIN {
        let found = CheckText::new(
            format!("the disk is full: {mebibytes} MiB are free; the service stores nothing"),
            format!("磁盘已满：剩余 {mebibytes} MiB；服务无法保存数据"),
        );
        Check::wrong(AREA, subject, found, advice)
    } else if free < SPACE_LOW {
        let found = CheckText::new(
            format!("{mebibytes} MiB of the disk are free"),
            format!("磁盘剩余 {mebibytes} MiB"),
        );
        Check::found(AREA, subject, Verdict::Note, found, advice)
    } else {
        let found = CheckText::new(
            format!("{mebibytes} MiB of the disk are free"),
            format!("磁盘剩余 {mebibytes} MiB"),
        );
        Check::right(AREA, subject, found)
    }
}

fn unknown_disk(subject: &str, reason: &str) -> Check {
    Check::found(
        AREA,
        subject,
        Verdict::Unknown,
        CheckText::new(
            format!("the free space could not be found out: {reason}"),
            format!("无法得知剩余空间：{reason}"),
        ),
        CheckText::new("check the folder", "请检查该目录"),
    )
}

/// Checks an open lake.
async fn check_content(config: &Config, lake: &Lake) -> Vec<Check> {
    let subject = lake.folder().display().to_string();
    let info = match lake.info().await {
        Ok(info) => info,
        Err(error) => return vec![unusable(&subject, &error)],
    };
    let (events, quarantined, gaps) = (info.events, info.quarantined, info.gaps.len());
    let mut checks = vec![Check::right(
        AREA,
        &subject,
        CheckText::new(
            format!(
                "the catalog has this program's version; {events} events, {quarantined} quarantined"
            ),
            format!("目录库版本与本程序一致；{events} 条事件，{quarantined} 条隔离记录"),
        ),
    )];
    if gaps > 0 {
        checks.push(Check::found(
            AREA,
            &subject,
            Verdict::Note,
            CheckText::new(
                format!("{gaps} ranges of records can no longer be read from their source"),
                format!("有 {gaps} 段记录已无法从数据源读取"),
            ),
            CheckText::new(
                "`trailhound lake info` lists them; fill them with `trailhound ingest` from an export",
                "用 `trailhound lake info` 查看；从导出文件用 `trailhound ingest` 补齐",
            ),
        ));
    }
    checks.extend(check_understanding(&subject, lake).await);
    checks.extend(check_accounts(config, lake).await);
    let time = DateTime::parse_from_str(&info.snapshot_time, "%Y-%m-%d %H:%M:%S%.f%#z");
    if let Ok(time) = time
        && (time.to_utc() - config.now()).num_seconds() > AHEAD_MAX_SECONDS
    {
        let whose = CheckText::new("the lake's newest commit", "数据湖最近一次提交");
        checks.push(clock_check::check(AREA, &subject, config.now(), time.to_utc(), &whose));
    }
    match outbox::counts(lake.catalog()).await {
        Ok(counts) => checks.extend(
            counts
                .iter()
                .filter(|count| current_state(&count.state) == DEAD_LETTERED)
                .map(|count| refused_findings(&count.sink, count.rows)),
        ),
        Err(error) => {
            checks.push(unusable(&subject, &CatalogError::Conflict { what: error.to_string() }));
        }
    }
    checks
}

/// Checks that the events are stored as this version understands them.
async fn check_understanding(subject: &str, lake: &Lake) -> Option<Check> {
    match half_understood(lake).await {
        Ok(found) if found.rows == 0 => None,
        Ok(HalfUnderstood { rows, .. }) => Some(Check::wrong(
            AREA,
            subject,
            CheckText::new(
                format!("{rows} events are stored as an older version half understood them"),
                format!("有 {rows} 条事件按旧版本的不完整解析存储"),
            ),
            CheckText::new(
                "stop the service and run `trailhound lake reread`: it decodes them again and runs the rules over them",
                "停止服务后运行 `trailhound lake reread`：重新解析这些事件并再次运行规则",
            ),
        )),
        Err(error) => Some(unusable(subject, &error)),
    }
}

/// Checks that events of every configured account come.
async fn check_accounts(config: &Config, lake: &Lake) -> Vec<Check> {
    let parameters = &config.parameters;
    if parameters.accounts.is_empty() {
        return Vec::new();
    }
    let now = config.now().timestamp_micros();
    let read = async {
        let limits = QueryLimits::default();
        let session = Session::over_lake(lake.location(), Arc::clone(parameters), &limits).await?;
        account_days(&session, now).await
    };
    let days = match read.await {
        Ok(days) => days,
        Err(error) => {
            let what = CatalogError::Conflict { what: error.to_string() };
            return vec![unusable(&lake.folder().display().to_string(), &what)];
        }
    };
    let silent = silent_accounts(&days, &parameters.accounts);
    if silent.is_empty() {
        let named = parameters.accounts.len();
        return vec![Check::right(
            AREA,
            "accounts",
            CheckText::new(
                format!(
                    "events of the {named} configured accounts arrive, as far as the lake can tell"
                ),
                format!("已配置的 {named} 个账号均有事件到达（以数据湖内容为准）"),
            ),
        )];
    }
    silent.iter().map(silent_account).collect()
}

fn silent_account(account: &SilentAccount) -> Check {
    let SilentAccount { account_id, name, last_seen, others_seen } = account;
    let (en, zh) = match last_seen {
        Some(day) => (format!("was last heard of on {day}"), format!("最后一次出现于 {day}")),
        None => ("was never heard of".to_owned(), "从未出现".to_owned()),
    };
    Check::wrong(
        AREA,
        account_id,
        CheckText::new(
            format!("the account {name} {en}; others were on {others_seen}"),
            format!("账号 {name} {zh}；其他账号最近出现于 {others_seen}"),
        ),
        CheckText::new(
            "see whether it is a member of the resource directory whose trail is followed, and whether its folder is below the prefix; if it is closed, remove it from [parameters] accounts",
            "检查它是否属于所跟踪的资源目录、其目录是否位于 prefix 之下；若账号已关闭，请从 [parameters] accounts 中删除",
        ),
    )
}

fn refused_findings(sink: &str, rows: i64) -> Check {
    Check::wrong(
        CheckArea::Sink,
        sink,
        CheckText::new(
            format!("it has refused {rows} findings for good"),
            format!("它已永久拒收 {rows} 条告警"),
        ),
        CheckText::new(
            format!(
                "see why: `trailhound outbox list --sink {sink} --state dead_lettered`; mend it, try it with `trailhound sinks test {sink}`, send again with `trailhound outbox retry --sink {sink}`"
            ),
            format!(
                "查看原因：`trailhound outbox list --sink {sink} --state dead_lettered`；修复后用 `trailhound sinks test {sink}` 测试，再用 `trailhound outbox retry --sink {sink}` 重发"
            ),
        ),
    )
}
