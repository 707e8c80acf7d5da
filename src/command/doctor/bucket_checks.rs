//! Checks of a bucket: region, reach, clock, sign-in, folders, newest object, layout.

use super::check::{Check, CheckArea, CheckText, Verdict};
use super::clock_check::{self, present};
use super::sample_check;
use chrono::{Days, SecondsFormat};
use trailhound_ingest::source::oss::{BucketProbe, OssOptions, ProbedObject, StoreRefusal};
use trailhound_ingest::survey::SourceSurvey;
use trailhound_ingest::{Clock, DecodedSample};

const AREA: CheckArea = CheckArea::Source;
/// The most objects that are fetched.
const OBJECTS: usize = 10;

/// Checks the bucket that `options` name.
pub(super) async fn run(options: &OssOptions, clock: &Clock) -> Vec<Check> {
    let name = options.name.as_str();
    let mut checks: Vec<Check> = check_region(options).into_iter().collect();
    let mut probe = match BucketProbe::new(options) {
        Ok(probe) => probe,
        Err(error) => {
            checks.push(refused(options, &error.to_string()));
            return checks;
        }
    };
    match probe.store_time().await {
        Ok(Some(time)) => {
            let whose = CheckText::new("the store", "对象存储");
            checks.push(clock_check::check(AREA, name, present(clock), time, &whose));
        }
        Ok(None) => {}
        Err(error) => {
            checks.push(unreachable(options, &error));
            return checks;
        }
    }
    let survey = match probe.look().await {
        Ok(survey) => survey,
        Err(error) => {
            checks.push(refused(options, &error.to_string()));
            return checks;
        }
    };
    checks.extend(check_folders(name, &survey));
    match probe.newest(OBJECTS).await {
        Ok(objects) => checks.extend(check_objects(options, clock, &objects)),
        Err(error) => checks.push(refused(options, &error.to_string())),
    }
    checks
}

/// Compares the region with the one that the endpoint of OSS names.
fn check_region(options: &OssOptions) -> Option<Check> {
    let host = options.endpoint.split("://").nth(1)?.split([':', '/']).next()?;
    let host = host.strip_prefix(&format!("{}.", options.bucket)).unwrap_or(host);
    let first = host.strip_suffix(".aliyuncs.com")?;
    let named = first.strip_prefix("s3.").unwrap_or(first);
    let named = named.strip_prefix("oss-").unwrap_or(named);
    let named = named.strip_suffix("-internal").unwrap_or(named);
    // Names such as `oss-accelerate` are of no region.
    if named == options.region || !named.contains('-') || named.starts_with("accelerate") {
        return None;
    }
    Some(Check::wrong(
        AREA,
        &options.name,
        CheckText::new(
            format!("`region` is `{}`, and `endpoint` is of the region `{named}`", options.region),
            format!("`region` 为 `{}`，而 `endpoint` 属于地域 `{named}`", options.region),
        ),
        CheckText::new(
            format!("write region = \"{named}\", or the endpoint of the bucket's region"),
            format!("写 region = \"{named}\"，或使用该存储空间所在地域的 endpoint"),
        ),
    ))
}

fn unreachable(options: &OssOptions, error: &str) -> Check {
    Check::wrong(
        AREA,
        &options.name,
        CheckText::new(
            format!("`{}` cannot be reached: {error}", options.endpoint),
            format!("无法连接 `{}`：{error}", options.endpoint),
        ),
        CheckText::new(
            "check `endpoint` (inside the cloud: the -internal one), `virtual_hosted`, the name service and the firewall",
            "检查 `endpoint`（云内使用 -internal）、`virtual_hosted`、域名解析和防火墙",
        ),
    )
}

/// The check of a request that the store refuses with `error`.
fn refused(options: &OssOptions, error: &str) -> Check {
    let (found, advice) = match StoreRefusal::of(error) {
        StoreRefusal::Unreachable => return unreachable(options, error),
        StoreRefusal::SignIn => (
            ("the store refuses the key", "对象存储拒绝该 AccessKey"),
            (
                "check `access_key_id` and `access_key_secret` (of which account, enabled, no line break or space within), and `security_token` if the key is temporary",
                "检查 `access_key_id` 和 `access_key_secret`（所属账号、是否启用、是否含空格或换行）；临时密钥还需检查 `security_token`",
            ),
        ),
        StoreRefusal::Permission => (
            ("the key may not list or read this bucket", "该 AccessKey 无权列出或读取此存储空间"),
            (
                "grant the key oss:ListObjects on the bucket and oss:GetObject on its objects; check `bucket` and that a key is given",
                "为该密钥授予存储空间的 oss:ListObjects 和对象的 oss:GetObject 权限；检查 `bucket`，并确认已配置密钥",
            ),
        ),
        StoreRefusal::Region => (
            (
                "`region` or `endpoint` is not that of the bucket",
                "`region` 或 `endpoint` 与存储空间所在地域不符",
            ),
            (
                "write the region of the bucket as `region`, and the endpoint of that region",
                "将 `region` 写为存储空间所在地域，并使用该地域的 endpoint",
            ),
        ),
        StoreRefusal::Bucket => (
            ("there is no such bucket", "没有这个存储空间"),
            ("check `bucket` and `endpoint`", "检查 `bucket` 和 `endpoint`"),
        ),
        StoreRefusal::Clock => (
            (
                "the store refuses the time of the request: the clock is off",
                "对象存储拒绝请求时间：本机时钟不准",
            ),
            (
                "set the clock of this machine (NTP: `timedatectl set-ntp true`)",
                "校准本机时钟（NTP：`timedatectl set-ntp true`）",
            ),
        ),
        StoreRefusal::Other => (
            ("the bucket cannot be read", "无法读取该存储空间"),
            ("the answer of the store says why", "原因见对象存储的应答"),
        ),
    };
    Check::wrong(
        AREA,
        &options.name,
        CheckText::new(format!("{}: {error}", found.0), format!("{}：{error}", found.1)),
        CheckText::new(advice.0, advice.1),
    )
}

/// The check of the folders that were found.
fn check_folders(name: &str, survey: &SourceSurvey) -> Vec<Check> {
    let seen = survey.remarks.join("; ");
    let advice = CheckText::new(
        "correct `prefix`: it is the beginning of the keys, up to and with `AliyunLogs`; the trail's page in the console shows it",
        "更正 `prefix`：它是对象名的开头，直到并包含 `AliyunLogs`；可在控制台的跟踪详情中查看",
    );
    if survey.roots.is_empty() {
        let (verdict, found) = match survey.has_content {
            Some(true) => (Verdict::Wrong, ("the prefix is wrong", "prefix 有误")),
            Some(false) => (Verdict::Note, ("there is nothing to read yet", "暂无可读内容")),
            None => (Verdict::Unknown, ("nothing to read was found", "未找到可读内容")),
        };
        let text = CheckText::new(format!("{}: {seen}", found.0), format!("{}：{seen}", found.1));
        return vec![Check::found(AREA, name, verdict, text, advice)];
    }
    let roots = survey.roots.len();
    let shown = survey.roots.iter().take(5).map(|root| format!("`{root}`"));
    let shown: Vec<String> = shown.collect();
    let shown = shown.join(", ");
    let mut checks = vec![Check::right(
        AREA,
        name,
        CheckText::new(
            format!("reached, signed in, listed; reads {roots} folders: {shown}"),
            format!("可连接、可登录、可列出；读取 {roots} 个目录：{shown}"),
        ),
    )];
    if !survey.remarks.is_empty() {
        let found = CheckText::new(seen.clone(), seen);
        // A prefix that is the beginning of names reads what it should.
        let is_begin = survey.remarks.iter().all(|remark| remark.contains("begin with it"));
        let verdict = if is_begin { Verdict::Note } else { Verdict::Wrong };
        checks.push(Check::found(AREA, name, verdict, found, advice));
    }
    for passed in &survey.passed_over {
        let (count, why, example) = (passed.count, &passed.why, &passed.example);
        checks.push(Check::found(
            AREA,
            name,
            Verdict::Note,
            CheckText::new(
                format!("passed over: {count} {why}, such as `{example}`"),
                format!("未读取 {count} 项，例如 `{example}`：{why}"),
            ),
            CheckText::new(
                "if they are the trail's, give them a source of their own with their folder as prefix, or `trailhound ingest` them",
                "若属于该跟踪，请以其目录为 prefix 另配一个数据源，或用 `trailhound ingest` 导入",
            ),
        ));
    }
    checks
}

/// The checks of the newest objects, the newest first.
fn check_objects(options: &OssOptions, clock: &Clock, objects: &[ProbedObject]) -> Vec<Check> {
    let name = options.name.as_str();
    let Some(newest) = objects.first() else { return Vec::new() };
    let window = present(clock).checked_sub_days(Days::new(options.window_days.into()));
    let oldest = options.since.map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc());
    let from =
        window.unwrap_or_default().min(oldest.unwrap_or(chrono::DateTime::<chrono::Utc>::MAX_UTC));
    let written = newest.written_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let key = &newest.key;
    let mut checks = Vec::new();
    if newest.written_at.date_naive() < from.date_naive() {
        checks.push(Check::wrong(
            AREA,
            name,
            CheckText::new(
                format!(
                    "the newest object is of {written}, before the days that are listed: `{key}`"
                ),
                format!("最新对象写于 {written}，早于所列出的日期：`{key}`"),
            ),
            CheckText::new(
                format!(
                    "see whether the trail still writes; to read what is there, write since = {}",
                    newest.written_at.date_naive()
                ),
                format!(
                    "检查跟踪是否仍在投递；若要读取已有内容，请写 since = {}",
                    newest.written_at.date_naive()
                ),
            ),
        ));
    } else {
        checks.push(Check::right(
            AREA,
            name,
            CheckText::new(
                format!("the newest object is of {written}: `{key}`"),
                format!("最新对象写于 {written}：`{key}`"),
            ),
        ));
    }
    let mut sample = DecodedSample::default();
    for content in objects.iter().filter_map(|object| object.content.as_deref()) {
        if sample.events < sample_check::EVENTS as u64 {
            sample.add(content, clock());
        }
    }
    checks.extend(sample_check::run(name, &sample));
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_region_is_compared_with_the_endpoint_of_oss() {
        let is_wrong = |endpoint: &str, region: &str| {
            check_region(&OssOptions {
                name: "trail".to_owned(),
                bucket: "my-trail".to_owned(),
                endpoint: endpoint.to_owned(),
                region: region.to_owned(),
                prefix: String::new(),
                virtual_hosted: true,
                credentials: None,
                window_days: 2,
                since: None,
                every: Duration::from_secs(30),
            })
            .is_some()
        };
        for (endpoint, region, wrong) in [
            ("https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", false),
            ("https://oss-cn-hangzhou-internal.aliyuncs.com", "cn-hangzhou", false),
            ("https://s3.oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", false),
            ("https://my-trail.oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", false),
            ("https://oss-cn-hangzhou.aliyuncs.com", "cn-beijing", true),
            ("https://oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou", true),
            ("https://oss-accelerate.aliyuncs.com", "cn-beijing", false),
            ("http://127.0.0.1:8333", "anything", false),
        ] {
            assert_eq!(is_wrong(endpoint, region), wrong, "{endpoint} {region}");
        }
    }
}
