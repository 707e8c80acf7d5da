//! Checks of topics: reach, sign-in, whether they are there, newest message, clock, layout.

use super::check::{Check, CheckArea, CheckText, Verdict};
use super::clock_check::{self, present};
use super::sample_check;
use chrono::{DateTime, SecondsFormat, TimeDelta};
use trailhound_ingest::source::kafka::{
    KafkaOptions, ProbeError, ProbedMessage, TopicProbe, TopicsLook,
};
use trailhound_ingest::supervisor::run_blocking;
use trailhound_ingest::{Clock, DecodedSample};
use trailhound_queries::suggestion::nearest;

const AREA: CheckArea = CheckArea::Source;
/// A message may be this much newer than the present: the clocks of producers differ.
const AHEAD_MAX: TimeDelta = TimeDelta::minutes(5);
/// The most topics that are named.
const NAMES_MAX: usize = 10;

/// Checks the topics that `options` name.
pub(super) async fn run(options: KafkaOptions, clock: &Clock) -> Vec<Check> {
    let name = options.name.clone();
    // The client of the broker blocks.
    let looked = run_blocking(move || {
        let probe = TopicProbe::connect(&options)?;
        let look = probe.look()?;
        let newest = probe.newest(&look, sample_check::EVENTS)?;
        Ok((look, newest))
    });
    match looked.await {
        Ok(Ok((look, newest))) => {
            let mut checks = check_topics(&name, &look);
            checks.extend(check_messages(&name, clock, &newest));
            checks
        }
        Ok(Err(error)) => vec![refused(&name, &error)],
        Err(error) => vec![refused(&name, &ProbeError::Refused(error))],
    }
}

fn refused(name: &str, error: &ProbeError) -> Check {
    let (zh, advice) = match error {
        ProbeError::Settings(_) => (
            "Kafka 客户端拒绝配置",
            CheckText::new(
                "correct the key under [source.kafka.settings]",
                "更正 [source.kafka.settings] 中的配置项",
            ),
        ),
        ProbeError::SignIn(_) => (
            "代理拒绝用户名或密码",
            CheckText::new(
                "check `username`, `password` (for SLS: the project, and `<AccessKey id>#<AccessKey secret>`), `sasl_mechanism` and `security_protocol`",
                "检查 `username`、`password`（SLS：项目名，以及 `<AccessKey id>#<AccessKey secret>`）、`sasl_mechanism` 和 `security_protocol`",
            ),
        ),
        ProbeError::Unreachable(_) => (
            "无法连接代理",
            CheckText::new(
                "check `bootstrap_servers`, `security_protocol`, the name service and the firewall; wrong credentials may look like this too",
                "检查 `bootstrap_servers`、`security_protocol`、域名解析和防火墙；凭证错误也可能表现为此",
            ),
        ),
        ProbeError::Refused(_) => (
            "代理拒绝请求",
            CheckText::new(
                "grant the user the rights to describe and read the topics and the group",
                "为该用户授予查看和读取 topic 及消费组的权限",
            ),
        ),
    };
    Check::wrong(AREA, name, CheckText::new(error.to_string(), format!("{zh}：{error}")), advice)
}

fn check_topics(name: &str, look: &TopicsLook) -> Vec<Check> {
    let mut checks = Vec::new();
    for topic in &look.missing {
        let others: Vec<String> =
            look.others.iter().take(NAMES_MAX).map(|other| format!("`{other}`")).collect();
        let others = if others.is_empty() { "-".to_owned() } else { others.join(", ") };
        let nearest = nearest(topic, look.others.iter().map(String::as_str));
        let (meant_en, meant_zh) = nearest.map_or_else(Default::default, |nearest| {
            (format!("; did you mean `{nearest}`?"), format!("；是否为 `{nearest}`？"))
        });
        checks.push(Check::wrong(
            AREA,
            name,
            CheckText::new(
                format!(
                    "the topic is wrong: the broker does not show `{topic}`; it shows {others}"
                ),
                format!("topic 有误：代理上没有 `{topic}`；现有 {others}"),
            ),
            CheckText::new(
                format!("correct `topics` (for SLS: the Logstore){meant_en}"),
                format!("更正 `topics`（SLS：Logstore 名称）{meant_zh}"),
            ),
        ));
    }
    let messages: u64 = look.partitions.values().map(|at| at.high.saturating_sub(at.low)).sum();
    let partitions = look.partitions.len();
    if partitions > 0 && messages == 0 {
        checks.push(Check::found(
            AREA,
            name,
            Verdict::Note,
            CheckText::new(
                format!("reached, signed in; {partitions} partitions, and no message in them"),
                format!("可连接、可登录；{partitions} 个分区，没有消息"),
            ),
            CheckText::new(
                "see whether the trail delivers to this topic",
                "检查跟踪是否投递到该 topic",
            ),
        ));
    } else if partitions > 0 {
        checks.push(Check::right(
            AREA,
            name,
            CheckText::new(
                format!("reached, signed in; {partitions} partitions with {messages} messages"),
                format!("可连接、可登录；{partitions} 个分区，共 {messages} 条消息"),
            ),
        ));
    }
    checks
}

fn check_messages(name: &str, clock: &Clock, newest: &[ProbedMessage]) -> Vec<Check> {
    let Some(last) = newest.iter().max_by_key(|message| message.sent_at) else {
        return Vec::new();
    };
    let mut checks = Vec::new();
    if let Some(sent) = last.sent_at.and_then(DateTime::from_timestamp_micros) {
        let now = present(clock);
        if sent > now + AHEAD_MAX {
            let whose = CheckText::new("the newest message", "最新消息");
            checks.push(clock_check::check(AREA, name, now, sent, &whose));
        } else {
            let (at, time) =
                (last.partition.object(), sent.to_rfc3339_opts(SecondsFormat::Secs, true));
            checks.push(Check::right(
                AREA,
                name,
                CheckText::new(
                    format!("the newest message is of {time}, in `{at}`"),
                    format!("最新消息发送于 {time}，位于 `{at}`"),
                ),
            ));
        }
    }
    let mut sample = DecodedSample::default();
    newest.iter().for_each(|message| sample.add(&message.value, clock()));
    checks.extend(sample_check::run(name, &sample));
    checks
}
