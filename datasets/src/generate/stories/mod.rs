//! Attack stories, one file each. A story generates the events of one attack and names the rules
//! that must flag each event. Most stories also generate near misses: events that resemble the
//! attack but must not be flagged.

mod context;
mod control_plane;
mod denied_probe;
mod federated_sign_in;
mod key_theft;
mod new_way_in;
mod night_release;
mod no_mfa_sign_in;
mod old_key;
mod outside_sign_in;
mod password_attack;
mod root_key;
mod root_takeover;
mod silence;
mod unexpected_stop;

use super::event::GeneratedEvent;
use super::names::ACCOUNTS;
use crate::layout::DAY_MICROS;
use context::StoryContext;
use rand::Rng;
use rand_pcg::Pcg64;

type Story = fn(&mut StoryContext<'_>);

const STORIES: [(&str, Story); 14] = [
    ("no_mfa_sign_in", no_mfa_sign_in::generate),
    ("outside_sign_in", outside_sign_in::generate),
    ("federated_sign_in", federated_sign_in::generate),
    ("root_key", root_key::generate),
    ("unexpected_stop", unexpected_stop::generate),
    ("night_release", night_release::generate),
    ("denied_probe", denied_probe::generate),
    ("control_plane", control_plane::generate),
    ("password_attack", password_attack::generate),
    ("root_takeover", root_takeover::generate),
    ("key_theft", key_theft::generate),
    ("new_way_in", new_way_in::generate),
    ("old_key", old_key::generate),
    ("silence", silence::generate),
];

/// Names of all stories.
pub const NAMES: [&str; STORIES.len()] = {
    let mut names = [""; STORIES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = STORIES[at].0;
        at += 1;
    }
    names
};

/// Configuration that the expected findings of the stories depend on.
pub(super) const CONFIGURATION: &str = r#"# Parameters for the generated traffic beside this file.
[parameters]
corporate_cidrs = [
  { cidr = "203.0.113.0/24", label = "office" },
  { cidr = "2001:db8:10::/48", label = "office" },
]
automation_roles = ["AliyunServiceRoleFor*", "ops-autostop"]
critical_instances = ["i-bp1prod*"]
allowed_principals = [
  { rule = "AT-ROOT-001", access_key_id = "LTAI5tLegacyBackupKey001", source_cidr = "192.0.2.0/24", expires = "2099-12-31", reason = "legacy backup job", ticket = "SEC-12" },
]
change_windows = [
  { rrule = "FREQ=WEEKLY;BYDAY=SA", from = "22:00", to = "02:00", timezone = "Asia/Shanghai", instances = ["i-bp1*"], reason = "weekly patching" },
]
"#;

/// Generates the events of the story `name`; returns none for an unknown name. `iteration` is the
/// number of the repetition of the story, counted from 0. Each repetition has different users.
/// `first_day` and `last_day` are days since 1970.
pub(super) fn generate(
    name: &str,
    iteration: u64,
    first_day: i32,
    last_day: i32,
    rng: &mut Pcg64,
) -> Vec<GeneratedEvent> {
    let Some((index, (_, add_events))) =
        STORIES.iter().enumerate().find(|(_, (known, _))| *known == name)
    else {
        return Vec::new();
    };
    // Monday is 0; 1970-01-01 was a Thursday.
    let weekday = |day: i32| (day + 3).rem_euclid(7);
    // The last day may not be over, so no story happens on it.
    let days: Vec<i32> =
        (first_day..last_day.max(first_day + 1)).filter(|&day| weekday(day) < 5).collect();
    let day = if days.is_empty() { first_day } else { days[rng.random_range(0..days.len())] };
    let saturday = (first_day..last_day)
        .rev()
        .find(|&day| weekday(day) == 5)
        .map(|day| i64::from(day) * DAY_MICROS);
    let start = i64::from(day) * DAY_MICROS + rng.random_range(3_600..8 * 3_600) * 1_000_000;
    let account = ACCOUNTS[rng.random_range(0..ACCOUNTS.len())];
    let [first_day, last_day] = [first_day, last_day].map(|day| i64::from(day) * DAY_MICROS);
    let mut story = StoryContext {
        rng,
        account,
        start,
        first_day,
        last_day,
        saturday,
        number: iteration * 100 + index as u64,
        is_first: iteration == 0,
        events: Vec::new(),
    };
    add_events(&mut story);
    story.events
}
