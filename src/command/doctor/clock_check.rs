//! Compares the clock of this machine with the time that another machine tells.

use super::check::{Check, CheckArea, CheckText};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// Stores refuse requests whose time differs by a quarter of an hour; windows of rules are shorter.
const DIFFERENCE_MAX: TimeDelta = TimeDelta::minutes(5);

/// The check of `now`, the time of this machine, against the time `theirs` of `whose`.
pub(super) fn check(
    area: CheckArea,
    subject: &str,
    now: DateTime<Utc>,
    theirs: DateTime<Utc>,
    whose: &CheckText,
) -> Check {
    let difference = now - theirs;
    let minutes = difference.num_minutes();
    let [ours, other] = [now, theirs].map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true));
    let (whose_en, whose_zh) = whose.both();
    if difference.abs() <= DIFFERENCE_MAX {
        return Check::right(
            area,
            subject,
            CheckText::new(
                format!("the clock agrees with {whose_en}: {ours}"),
                format!("时钟与{whose_zh}一致：{ours}"),
            ),
        );
    }
    Check::wrong(
        area,
        subject,
        CheckText::new(
            format!(
                "the clock is off by {minutes} minutes: here it is {ours}, {whose_en} says {other}"
            ),
            format!("时钟相差 {minutes} 分钟：本机为 {ours}，{whose_zh}为 {other}"),
        ),
        CheckText::new(
            "set the clock of this machine (NTP: `timedatectl set-ntp true`), and remove --now or TRAILHOUND_NOW if it is given; signed requests are refused and windows of rules are wrong otherwise",
            "校准本机时钟（NTP：`timedatectl set-ntp true`），并去掉 --now 或 TRAILHOUND_NOW；否则签名请求会被拒绝，规则的时间窗口也会出错",
        ),
    )
}

/// The present by `clock`.
pub(super) fn present(clock: &trailhound_ingest::Clock) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(clock()).unwrap_or_default()
}
