//! Findings that no rule's query makes: records of a source were never read, a sink refuses
//! findings, a source is not understood, or somebody tests a sink.

use crate::finding::{Actor, Finding, FindingStatus};
use chrono::DateTime;
use trailhound_datasets::fact::Fact;
use trailhound_queries::packs::rules::Severity;
use xxhash_rust::xxh3::xxh3_128;

/// Rule id of the finding that records are missing.
pub const MISSING_RECORDS_RULE: &str = "AT-HEALTH-001";
/// Rule id of the finding that a sink refuses findings.
pub const DEAD_LETTER_RULE: &str = "AT-HEALTH-002";
/// Rule id of the finding that no event of a configured account comes.
pub const SILENT_ACCOUNT_RULE: &str = "AT-HEALTH-004";
/// Rule id of the finding that a task of the service has failed.
pub const FAILED_TASK_RULE: &str = "AT-HEALTH-006";
/// Rule id of the finding that the clock of the machine is wrong or has jumped.
pub const CLOCK_RULE: &str = "AT-HEALTH-007";
/// Rule id of the finding that the retention does not drop what is older than it keeps.
pub const RETENTION_HELD_RULE: &str = "AT-HEALTH-008";
/// Rule id of the finding that a data file of the lake is damaged.
pub const DAMAGED_FILE_RULE: &str = "AT-HEALTH-009";

/// Rule id of the finding that facts of a source's events are not understood.
pub const NOT_UNDERSTOOD_RULE: &str = "AT-HEALTH-003";

/// Events of a source on one day of which a fact was not understood.
#[derive(Debug, Clone, Copy)]
pub struct NotUnderstood<'m> {
    /// Name of the source.
    pub source: &'m str,
    /// The fact.
    pub fact: Fact,
    /// The first instant of the day, in microseconds since 1970 UTC.
    pub day: i64,
    /// The number of events of the source on the day of which any fact was not understood.
    pub marked_in_all: u64,
    /// The number of all events of the source on the day.
    pub events: u64,
}

impl NotUnderstood<'_> {
    /// True where a fact was not understood of more than one in a hundred events of the source.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        self.marked_in_all.saturating_mul(100) > self.events
    }

    /// Makes the finding, without its events. Its id depends on the source, the fact and the day. It does
    /// not say how many events the source has: it stays the same while more are understood.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let Self { source, fact, day, .. } = *self;
        let day = DateTime::from_timestamp_micros(day).unwrap_or_default();
        let date = day.format("%Y-%m-%d");
        let fact = fact.name();
        let identity = format!("{NOT_UNDERSTOOD_RULE}\u{1e}{source}\u{1f}{fact}\u{1f}{date}");
        Finding {
            variant: Some(fact.to_owned()),
            severity: Severity::High,
            why: vec![
                format!("source `{source}`, {date}: {fact} was present and not understood"),
                "more than one in a hundred events of the source has a fact that was not understood"
                    .to_owned(),
            ],
            unknowns: vec![format!("what the rules that read {fact} would find in these events")],
            runbook: format!(
                "1. Look at some of them: trailhound query -c \"SELECT event_id, source_object, source_position, flags, raw FROM events \
                 WHERE source = '{source}' AND array_has(flags, '{fact}_not_understood') LIMIT 5\". 2. Deliver the events as ActionTrail \
                 writes them; docs/events.md lists the forms that are understood. If a newer version of Trailhound understands the form, \
                 install it. 3. Judge what is stored already: trailhound lake reread."
            ),
            ..service_finding(
                NOT_UNDERSTOOD_RULE,
                "Events of a source are not understood",
                "来源的事件未能解析",
                &identity,
                &day.format("%Y-%m-%dT00:00:00Z").to_string(),
            )
        }
    }
}

/// Records of a source that were lost before they could be read.
#[derive(Debug, Clone, Copy)]
pub struct MissingRecords<'m> {
    /// Name of the source.
    pub source: &'m str,
    /// The topic partition or object that held the records.
    pub object: &'m str,
    /// Offset of the first missing record.
    pub from: i64,
    /// Offset after the last missing record; equal to `from` where their number is unknown.
    pub to: i64,
    /// `ingest_gap` (the broker dropped the records) or `source_reset` (the offsets went back).
    pub reason: &'m str,
    /// When the gap was recorded, RFC 3339 UTC.
    pub noted_at: &'m str,
    /// Folder of the lake, for the runbook's commands.
    pub lake: &'m str,
}

/// Makes the finding that reports `missing`. Its runbook has the command that fills the gap.
#[must_use]
pub fn missing_records_finding(missing: MissingRecords<'_>) -> Finding {
    let MissingRecords { source, object, from, to, reason, noted_at, lake } = missing;
    let identity = format!(
        "{MISSING_RECORDS_RULE}\u{1e}{source}\u{1f}{object}\u{1f}{from}\u{1f}{to}\u{1f}{noted_at}"
    );
    let what = match reason {
        "source_reset" => format!(
            "{object}: its offsets went back below {from}; what came after that before may not have been read"
        ),
        _ => format!(
            "{object}: records {from} to {} were dropped by the broker before they were read",
            to - 1
        ),
    };
    Finding {
        variant: Some(reason.to_owned()),
        severity: Severity::High,
        why: vec![format!("source `{source}`, {what}")],
        unknowns: vec!["what happened meanwhile".to_owned()],
        runbook: format!(
            "1. See up to when events came from it: trailhound query --lake {lake} -c \"SELECT max(event_time) FROM events WHERE source = '{source}'\". \
             2. Fetch an export of the trail from then until {noted_at} and fill the gap with it; what is there already is not stored \
             twice: trailhound ingest --lake {lake} PATH... 3. Keep messages longer than the service may be away."
        ),
        ..service_finding(
            MISSING_RECORDS_RULE,
            "Events of the trail are missing",
            "操作审计事件缺失",
            &identity,
            noted_at,
        )
    }
}

/// Makes the finding that the sink named `sink` refuses findings permanently. `now` is in
/// microseconds since 1970 UTC.
///
/// The finding's id depends on the sink and the UTC day, so a sink has at most one such finding per
/// day.
#[must_use]
pub fn dead_letter_finding(sink: &str, now: i64) -> Finding {
    let day = DateTime::from_timestamp_micros(now)
        .unwrap_or_default()
        .format("%Y-%m-%dT00:00:00Z")
        .to_string();
    let identity = format!("{DEAD_LETTER_RULE}\u{1e}{sink}\u{1f}{day}");
    Finding {
        severity: Severity::High,
        why: vec![format!(
            "sink `{sink}` has refused findings in a way that trying again does not change"
        )],
        unknowns: vec!["whether anybody has learned of these findings".to_owned()],
        runbook: format!(
            "1. See what it said: trailhound outbox list --sink {sink} --state parked. 2. Mend the sink or its configuration, and try it: \
             trailhound sinks test {sink}. 3. Send what is parked: trailhound outbox retry --sink {sink}."
        ),
        ..service_finding(
            DEAD_LETTER_RULE,
            "A sink refuses findings",
            "告警通道拒收检测结果",
            &identity,
            &day,
        )
    }
}

/// Makes the finding that the data file at `path` of the lake in the folder `lake` is damaged; `found` says how. `now` is in
/// microseconds since 1970 UTC.
///
/// The finding's id depends on the file alone: its content never changes, so it is damaged once.
#[must_use]
pub fn damaged_file_finding(path: &str, found: &str, lake: &str, now: i64) -> Finding {
    let noted = DateTime::from_timestamp_micros(now).unwrap_or_default();
    let identity = format!("{DAMAGED_FILE_RULE}\u{1e}{path}");
    Finding {
        severity: Severity::High,
        why: vec![format!("the data file `{path}` is not as it was committed: {found}")],
        unknowns: vec!["what the events in this file were".to_owned()],
        runbook: format!(
            "1. See every damaged file: trailhound lake verify --lake {lake}. 2. Put the file back from a backup (trailhound lake backup, trailhound lake \
             restore); the service notices it by itself. 3. Look at the disk. If nobody works on it, somebody may have changed the file: until it is \
             back, queries that need it and the rules fail, and its day is not merged."
        ),
        ..service_finding(
            DAMAGED_FILE_RULE,
            "A data file of the lake is damaged",
            "数据湖文件已损坏",
            &identity,
            &noted.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        )
    }
}

/// An account of the configuration of which no event comes while other accounts speak.
#[derive(Debug, Clone, Copy)]
pub struct UnheardAccount<'a> {
    /// Its id.
    pub account_id: &'a str,
    /// Its name in the configuration.
    pub name: &'a str,
    /// The last day of which the lake has an event of it, `YYYY-MM-DD`; `None` where it has none at all.
    pub last_seen: Option<&'a str>,
    /// The last day of which the lake has an event of another account.
    pub others_seen: &'a str,
    /// Folder of the lake, for the runbook's commands.
    pub lake: &'a str,
}

/// Makes the finding that no event of an account comes. `now` is in microseconds since 1970 UTC.
///
/// The finding's id depends on the account and the day it was last seen, so that each silence is a finding of its own.
#[must_use]
pub fn unheard_account_finding(account: UnheardAccount<'_>, now: i64) -> Finding {
    let UnheardAccount { account_id, name, last_seen, others_seen, lake } = account;
    let noted = DateTime::from_timestamp_micros(now).unwrap_or_default();
    let noted = noted.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let identity =
        format!("{SILENT_ACCOUNT_RULE}\u{1e}{account_id}\u{1f}{}", last_seen.unwrap_or("never"));
    let what = match last_seen {
        Some(day) => format!("its last event is of {day}"),
        None => "no event of it was ever stored".to_owned(),
    };
    Finding {
        variant: Some(if last_seen.is_some() { "no_more" } else { "never" }.to_owned()),
        severity: Severity::High,
        account_id: Some(account_id.to_owned()),
        account_name: Some(name.to_owned()),
        why: vec![format!(
            "account {account_id} ({name}) is configured under [parameters] accounts; {what}, and other accounts have events up to {others_seen}"
        )],
        unknowns: vec!["what happens in this account".to_owned()],
        runbook: format!(
            "1. See whether the account is a member of the resource directory whose trail is followed, and whether the trail is on. \
             2. See what the sources found: trailhound lake info --lake {lake}; trailhound doctor. \
             3. Fill the gap with an export: trailhound ingest --lake {lake} PATH... 4. If the account is closed, remove it from accounts."
        ),
        ..service_finding(
            SILENT_ACCOUNT_RULE,
            "No events of an account arrive",
            "账号没有操作审计事件",
            &identity,
            &noted,
        )
    }
}

/// The UTC day of `now` (microseconds since 1970 UTC) as RFC 3339. Findings about the service have one id a day.
fn day_text(now: i64) -> String {
    let time = DateTime::from_timestamp_micros(now).unwrap_or_default();
    time.format("%Y-%m-%dT00:00:00Z").to_string()
}

/// Makes the finding that the task `task` of the service has failed, once a day for each way to fail (`how`: `returned`,
/// `failed`, `panicked`, `silent`). `now` is in microseconds since 1970 UTC.
#[must_use]
pub fn failed_task_finding(task: &str, how: &str, ends_service: bool, now: i64) -> Finding {
    let day = day_text(now);
    let identity =
        format!("{FAILED_TASK_RULE}\u{1e}{task}\u{1f}{how}\u{1f}{ends_service}\u{1f}{day}");
    let consequence = if ends_service {
        "the service cannot go on without it and ends with status 4"
    } else {
        "it is started again, after a pause that grows with every failure"
    };
    Finding {
        variant: Some(how.to_owned()),
        severity: Severity::High,
        why: vec![format!("the task `{task}` of the service {how}; {consequence}")],
        unknowns: vec!["whether what the task does was delayed".to_owned()],
        runbook: "1. See what the service says: GET /readyz, `failing_tasks`, and its log, which has the reason. \
             2. If `detection` fails again and again, a file of the lake may be damaged: trailhound lake verify. \
             3. If the service has ended, start it again; nothing that was committed is lost. 4. Report the reason as a bug."
            .to_owned(),
        ..service_finding(
            FAILED_TASK_RULE,
            "A task of the service has failed",
            "服务的任务失败",
            &identity,
            &day,
        )
    }
}

/// Makes the finding that the clock of the machine is not believed, for the reason `what`: once a day. `now` is the time that
/// is used instead, in microseconds since 1970 UTC.
#[must_use]
pub fn clock_finding(what: &str, now: i64) -> Finding {
    let day = day_text(now);
    Finding {
        severity: Severity::High,
        why: vec![what.to_owned()],
        unknowns: vec!["what time it is".to_owned()],
        runbook: "1. Compare the clock: trailhound doctor; timedatectl. 2. Correct it (NTP: timedatectl set-ntp true) or, if it is \
             right, restart the service. Meanwhile events are stored and judged by the time before the jump, and nothing is \
             dropped because of its age."
            .to_owned(),
        ..service_finding(
            CLOCK_RULE,
            "The clock of the machine is wrong or has jumped",
            "主机时钟错误或跳变",
            &format!("{CLOCK_RULE}\u{1e}{day}"),
            &day,
        )
    }
}

/// Makes the finding that the retention keeps days that it should drop, because they are too large a share of the lake: once a
/// day. `what` says how much. `now` is in microseconds since 1970 UTC.
#[must_use]
pub fn retention_held_finding(what: &str, lake: &str, now: i64) -> Finding {
    let day = day_text(now);
    Finding {
        severity: Severity::Medium,
        why: vec![what.to_owned()],
        unknowns: vec!["whether the clock and `retention_days` are right".to_owned()],
        runbook: format!(
            "1. See whether the clock is right: trailhound doctor. 2. See what is there: trailhound lake info --lake {lake}. 3. If it \
             is to be dropped, say so: trailhound lake expire --lake {lake}, or raise `drop_share_max` under [lake]."
        ),
        ..service_finding(
            RETENTION_HELD_RULE,
            "The retention would drop too much at once",
            "保留策略单次删除比例过大",
            &format!("{RETENTION_HELD_RULE}\u{1e}{day}"),
            &day,
        )
    }
}

/// Makes a finding to test a sink with; its title says that it is a test. `now` is in microseconds
/// since 1970 UTC.
#[must_use]
pub fn sample_finding(now: i64) -> Finding {
    let time = DateTime::from_timestamp_micros(now)
        .unwrap_or_default()
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    Finding {
        severity: Severity::Info,
        why: vec!["somebody ran `trailhound sinks test`".to_owned()],
        runbook: "Nothing is to be done.".to_owned(),
        ..service_finding(
            "AT-HEALTH-000",
            "A test of this sink",
            "告警通道测试",
            &format!("sample\u{1e}{time}"),
            &time,
        )
    }
}

/// Makes a finding about the service itself: it has no actor, no event and no evidence. Callers
/// fill in severity, reasons and runbook.
///
/// `identity` is hashed to the finding's id. `noted_at` (RFC 3339 UTC) is the time of the finding.
fn service_finding(
    rule_id: &str,
    title: &str,
    title_zh: &str,
    identity: &str,
    noted_at: &str,
) -> Finding {
    let noted = Some(noted_at.to_owned());
    Finding {
        finding_id: format!("{:032x}", xxh3_128(identity.as_bytes())),
        rule_id: rule_id.to_owned(),
        rule_version: "1.0.0".to_owned(),
        variant: None,
        title: title.to_owned(),
        title_zh: title_zh.to_owned(),
        severity: Severity::Info,
        status: FindingStatus::Open,
        attack: Vec::new(),
        account_id: None,
        account_name: None,
        operator: Actor::default(),
        source_ip: None,
        source_class: None,
        client_ip: None,
        client_ip_provenance: None,
        user_agent: None,
        event_time: noted.clone(),
        first_seen: noted.clone(),
        last_seen: noted,
        count: 0,
        actions: Vec::new(),
        regions: Vec::new(),
        outcomes: Vec::new(),
        targets: Vec::new(),
        why: Vec::new(),
        unknowns: Vec::new(),
        verdict: None,
        suppressed_by: None,
        event_ids: Vec::new(),
        evidence: Vec::new(),
        runbook: String::new(),
    }
}
