//! Attack stories, one file each. A story tells its events and, for each, the rules that must flag it; near misses are
//! part of it.

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

use super::event::{Builder, Made, instance, time_text, token, uuid};
use super::names::{ACCOUNTS, BROWSERS, FAMILY, GIVEN};
use crate::layout::DAY_MICROS;
use rand::Rng;
use rand_pcg::Pcg64;
use serde_json::{Value, json};

type Story = fn(&mut Scene<'_>);

const STORIES: [(&str, Story); 14] = [
    ("no_mfa_sign_in", no_mfa_sign_in::tell),
    ("outside_sign_in", outside_sign_in::tell),
    ("federated_sign_in", federated_sign_in::tell),
    ("root_key", root_key::tell),
    ("unexpected_stop", unexpected_stop::tell),
    ("night_release", night_release::tell),
    ("denied_probe", denied_probe::tell),
    ("control_plane", control_plane::tell),
    ("password_attack", password_attack::tell),
    ("root_takeover", root_takeover::tell),
    ("key_theft", key_theft::tell),
    ("new_way_in", new_way_in::tell),
    ("old_key", old_key::tell),
    ("silence", silence::tell),
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

/// The parameters the stories are told against.
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

/// Where and when a story happens, and what has happened so far.
pub(super) struct Scene<'r> {
    pub(super) rng: &'r mut Pcg64,
    pub(super) account: &'static str,
    /// Start of the story: a weekday between 01:00 and 09:00 UTC, far from any change window.
    pub(super) start: i64,
    /// First day of the traffic, 00:00 UTC.
    pub(super) first_day: i64,
    /// Last day of the traffic, 00:00 UTC.
    pub(super) last_day: i64,
    /// The last Saturday of the traffic, 00:00 UTC, if there is one.
    pub(super) saturday: Option<i64>,
    round: u64,
    /// Nobody has told it before.
    is_first: bool,
    made: Vec<Made>,
}

/// Tells the story `name` for the `round`th time, with people of its own.
pub(super) fn tell(
    name: &str,
    round: u64,
    first_day: i32,
    last_day: i32,
    rng: &mut Pcg64,
) -> Vec<Made> {
    let Some((index, (_, story))) =
        STORIES.iter().enumerate().find(|(_, (known, _))| *known == name)
    else {
        return Vec::new();
    };
    // Weekdays by 1970-01-01, a Thursday: Monday is 0.
    let weekday = |day: i32| (day + 3).rem_euclid(7);
    // The last day is left alone: it may not be over.
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
    let mut scene = Scene {
        rng,
        account,
        start,
        first_day,
        last_day,
        saturday,
        round: round * 100 + index as u64,
        is_first: round == 0,
        made: Vec::new(),
    };
    story(&mut scene);
    scene.made
}

impl Scene<'_> {
    /// The moment `seconds` into the story.
    pub(super) fn at(&self, seconds: i64) -> i64 {
        self.start + seconds * 1_000_000
    }

    /// The story's start, or so many days after the traffic's first at the same time of day, where there is such a time: for what has a
    /// past.
    pub(super) fn not_before(&self, days: i64) -> Option<i64> {
        let start =
            self.start.max(self.first_day + days * DAY_MICROS + self.start.rem_euclid(DAY_MICROS));
        (start < self.last_day).then_some(start)
    }

    /// A person nobody else is; `n` tells those of one story apart.
    pub(super) fn person(&mut self, n: u64) -> Value {
        let name = format!(
            "{}.{}.{}",
            GIVEN[self.rng.random_range(0..GIVEN.len())],
            FAMILY[self.rng.random_range(0..FAMILY.len())],
            self.round * 10 + n
        );
        json!({ "type": "ram-user", "accountId": self.account, "principalId": format!("29{:016}", self.round * 10 + n), "userName": name })
    }

    pub(super) fn root(&self) -> Value {
        json!({ "type": "root-account", "accountId": self.account, "principalId": self.account, "userName": "root" })
    }

    pub(super) fn browser(&mut self) -> &'static str {
        BROWSERS[self.rng.random_range(0..BROWSERS.len())]
    }

    pub(super) fn token(&mut self, length: usize) -> String {
        token(self.rng, length)
    }

    pub(super) fn instance(&mut self, region: &str) -> String {
        instance(self.rng, region)
    }

    /// A RAM user's sign-in at `time`; `mfa` as the flag's text, `None` for none.
    pub(super) fn ram_sign_in(
        &mut self,
        who: &Value,
        time: i64,
        from: &str,
        mfa: Option<Value>,
    ) -> Builder {
        let id = format!("1.{}_{}_{}", self.rng.random_range(100..200), time / 1000, self.token(8));
        let mut additional = json!({ "callbackUrl": "https://home.console.aliyun.com/" });
        if let Some(mfa) = mfa {
            additional["mfaChecked"] = mfa;
        }
        let agent = self.browser();
        Builder::new(id, "AasSub", "ConsoleSignin", "cn-hangzhou", time)
            .with("eventType", "ConsoleSignin")
            .with("eventSource", "signin.aliyun.com")
            .with("sourceIpAddress", from)
            .with("userAgent", agent)
            .with("userIdentity", who.clone())
            .with("additionalEventData", additional)
            .with("errorCode", "")
            .with("errorMessage", "")
    }

    /// A sign-in of root.
    pub(super) fn root_sign_in(&mut self, time: i64, from: &str, mfa: Option<&str>) -> Builder {
        let id = uuid(self.rng).to_lowercase();
        let mut additional = json!({ "loginAccount": "owner@example.com" });
        if let Some(mfa) = mfa {
            additional["isMFAChecked"] = Value::from(mfa);
        }
        let (agent, root) = (self.browser(), self.root());
        Builder::new(id, "AasCustomer", "ConsoleSignin", "cn-hangzhou", time)
            .with("eventType", "ConsoleSignin")
            .with("eventVersion", 1)
            .with("isGlobal", true)
            .with("eventSource", "http://account.aliyun.com/login/login_aliyun.htm")
            .with("sourceIpAddress", from)
            .with("userAgent", agent)
            .with("userIdentity", root)
            .with("additionalEventData", additional)
            // Every successful sign-in of root is worth a look.
            .expect("AT-ROOT-002")
    }

    /// An ECS call.
    pub(super) fn ecs(
        &mut self,
        name: &str,
        who: &Value,
        time: i64,
        region: &'static str,
        from: &str,
        parameters: Value,
    ) -> Builder {
        let id = uuid(self.rng);
        let mut parameters = parameters;
        parameters["RegionId"] = Value::from(region);
        parameters["AcsProduct"] = Value::from("Ecs");
        parameters["RequestId"] = Value::from(id.as_str());
        Builder::new(id, "Ecs", name, region, time)
            .with("eventSource", format!("ecs.{region}.aliyuncs.com"))
            .with("apiVersion", "2014-05-26")
            .with("eventRW", "Write")
            .with("eventCategory", "Management")
            .with("sourceIpAddress", from)
            .with("userAgent", "Apache-HttpClient/4.5.13 (Java/1.8.0_352)")
            .with("userIdentity", who.clone())
            .with("additionalEventData", json!({ "Scheme": "https", "CallerBid": "26842" }))
            .with("requestParameters", parameters)
    }

    /// It happened.
    pub(super) fn add(&mut self, event: Builder) {
        let made = event.make(self.rng);
        self.made.push(made);
    }
}

/// `who` in a console session.
pub(super) fn in_console(who: &Value, mfa: &str, time: i64) -> Value {
    let mut who = who.clone();
    who["sessionContext"] =
        json!({ "attributes": { "mfaAuthenticated": mfa, "creationDate": time_text(time) } });
    who
}

/// `who` with an AccessKey.
pub(super) fn with_key(who: &Value, key: &str) -> Value {
    let mut who = who.clone();
    who["accessKeyId"] = Value::from(key);
    who
}
