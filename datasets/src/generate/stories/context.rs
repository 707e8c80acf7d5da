//! The context of a story: its people, its time, and the functions that build its events.

use super::super::event::{EventBuilder, GeneratedEvent, instance, time_text, token, uuid};
use super::super::names::{BROWSERS, FAMILY, GIVEN};
use crate::layout::DAY_MICROS;
use rand::Rng;
use rand_pcg::Pcg64;
use serde_json::{Value, json};

/// Account and time of a story, and the events that it has generated.
pub(super) struct StoryContext<'r> {
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
    /// Number of the story, different for each story and repetition.
    pub(super) number: u64,
    /// This is the first repetition of the story.
    pub(super) is_first: bool,
    pub(super) events: Vec<GeneratedEvent>,
}

impl StoryContext<'_> {
    /// The time `seconds` after the start of the story.
    pub(super) fn at(&self, seconds: i64) -> i64 {
        self.start + seconds * 1_000_000
    }

    /// Start for a story that needs `days` of history: the story's own start, or the same time of day `days` days after the
    /// start of the traffic, whichever is later. `None` where the traffic ends before.
    pub(super) fn start_with_history(&self, days: i64) -> Option<i64> {
        let start =
            self.start.max(self.first_day + days * DAY_MICROS + self.start.rem_euclid(DAY_MICROS));
        (start < self.last_day).then_some(start)
    }

    /// Generates the identity of a user who occurs in this story only. `n` is the number of the
    /// user in the story.
    pub(super) fn person(&mut self, n: u64) -> Value {
        let name = format!(
            "{}.{}.{}",
            GIVEN[self.rng.random_range(0..GIVEN.len())],
            FAMILY[self.rng.random_range(0..FAMILY.len())],
            self.number * 10 + n
        );
        json!({ "type": "ram-user", "accountId": self.account, "principalId": format!("29{:016}", self.number * 10 + n), "userName": name })
    }

    /// The identity of the root account.
    pub(super) fn root(&self) -> Value {
        json!({ "type": "root-account", "accountId": self.account, "principalId": self.account, "userName": "root" })
    }

    /// User agent of a random browser.
    pub(super) fn browser(&mut self) -> &'static str {
        BROWSERS[self.rng.random_range(0..BROWSERS.len())]
    }

    /// `length` random letters and digits.
    pub(super) fn token(&mut self, length: usize) -> String {
        token(self.rng, length)
    }

    /// A random instance id of the region.
    pub(super) fn instance(&mut self, region: &str) -> String {
        instance(self.rng, region)
    }

    /// A RAM user's sign-in at `time` from the address `from`. `mfa` is the value of `mfaChecked`; `None` leaves it out.
    pub(super) fn ram_sign_in(
        &mut self,
        who: &Value,
        time: i64,
        from: &str,
        mfa: Option<Value>,
    ) -> EventBuilder {
        let id = format!("1.{}_{}_{}", self.rng.random_range(100..200), time / 1000, self.token(8));
        let mut additional = json!({ "callbackUrl": "https://home.console.aliyun.com/" });
        if let Some(mfa) = mfa {
            additional["mfaChecked"] = mfa;
        }
        let agent = self.browser();
        EventBuilder::new(id, "AasSub", "ConsoleSignin", "cn-hangzhou", time)
            .with("eventType", "ConsoleSignin")
            .with("eventSource", "signin.aliyun.com")
            .with("sourceIpAddress", from)
            .with("userAgent", agent)
            .with("userIdentity", who.clone())
            .with("additionalEventData", additional)
            .with("errorCode", "")
            .with("errorMessage", "")
    }

    /// A sign-in of the root account. `mfa` is the value of `isMFAChecked`; `None` leaves it out.
    pub(super) fn root_sign_in(
        &mut self,
        time: i64,
        from: &str,
        mfa: Option<&str>,
    ) -> EventBuilder {
        let id = uuid(self.rng).to_lowercase();
        let mut additional = json!({ "loginAccount": "owner@example.com" });
        if let Some(mfa) = mfa {
            additional["isMFAChecked"] = Value::from(mfa);
        }
        let (agent, root) = (self.browser(), self.root());
        EventBuilder::new(id, "AasCustomer", "ConsoleSignin", "cn-hangzhou", time)
            .with("eventType", "ConsoleSignin")
            .with("eventVersion", 1)
            .with("isGlobal", true)
            .with("eventSource", "http://account.aliyun.com/login/login_aliyun.htm")
            .with("sourceIpAddress", from)
            .with("userAgent", agent)
            .with("userIdentity", root)
            .with("additionalEventData", additional)
            // Every successful sign-in of the root account is a finding.
            .expect_finding("AT-ROOT-002")
    }

    /// A call `name` to ECS by the identity `who` at `time` from the address `from`.
    pub(super) fn ecs(
        &mut self,
        name: &str,
        who: &Value,
        time: i64,
        region: &'static str,
        from: &str,
        parameters: Value,
    ) -> EventBuilder {
        let id = uuid(self.rng);
        let mut parameters = parameters;
        parameters["RegionId"] = Value::from(region);
        parameters["AcsProduct"] = Value::from("Ecs");
        parameters["RequestId"] = Value::from(id.as_str());
        EventBuilder::new(id, "Ecs", name, region, time)
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

    /// Adds `event` to the story.
    pub(super) fn add(&mut self, event: EventBuilder) {
        let event = event.build(self.rng);
        self.events.push(event);
    }
}

/// The identity `who` in a console session that began at `time`; `mfa` is the value of `mfaAuthenticated`.
pub(super) fn in_console(who: &Value, mfa: &str, time: i64) -> Value {
    let mut who = who.clone();
    who["sessionContext"] =
        json!({ "attributes": { "mfaAuthenticated": mfa, "creationDate": time_text(time) } });
    who
}

/// The identity `who` with the AccessKey `key`.
pub(super) fn with_key(who: &Value, key: &str) -> Value {
    let mut who = who.clone();
    who["accessKeyId"] = Value::from(key);
    who
}
