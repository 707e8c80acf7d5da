//! `[[sink]]`: who is told of findings, and of which.

use super::{Config, shown};
use crate::exit::Failure;
use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use globset::{Glob, GlobSetBuilder};
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use trailhound_detect::Language;
use trailhound_detect::sinks::address::{AddressPolicy, Url};
use trailhound_detect::sinks::{
    AlertmanagerSink, ChatService, ChatSink, FileSink, KafkaSink, MailOptions, MailSink,
    PayloadFormat, Sink, SmtpEncryption, SyslogOptions, SyslogSink, WebhookSink,
};
use trailhound_detect::store::routes::{Revisions, Route, Routes};
use trailhound_ingest::secret::SecretRef;
use trailhound_queries::packs::rules::Severity;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SinkWritten {
    name: String,
    #[serde(default = "least")]
    severity_min: Severity,
    /// Globs of rule ids.
    #[serde(default)]
    rules: Vec<String>,
    #[serde(default)]
    accounts: Vec<String>,
    #[serde(default)]
    suppressed: bool,
    #[serde(default)]
    revisions: Option<Revisions>,
    #[serde(default)]
    quiet: Option<Quiet>,
    #[serde(default)]
    file: Option<FileWritten>,
    #[serde(default)]
    kafka: Option<KafkaWritten>,
    #[serde(default)]
    webhook: Option<WebhookWritten>,
    #[serde(default)]
    alertmanager: Option<AlertmanagerWritten>,
    #[serde(default)]
    dingtalk: Option<ChatWritten>,
    #[serde(default)]
    feishu: Option<ChatWritten>,
    #[serde(default)]
    wecom: Option<ChatWritten>,
    #[serde(default)]
    slack: Option<ChatWritten>,
    #[serde(default)]
    syslog: Option<SyslogWritten>,
    #[serde(default)]
    mail: Option<MailWritten>,
}

fn least() -> Severity {
    Severity::Info
}

/// Hours in which only what is grave is told; the rest is told at their end.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quiet {
    #[serde(deserialize_with = "hour")]
    from: NaiveTime,
    #[serde(deserialize_with = "hour")]
    until: NaiveTime,
    time_zone: Tz,
    /// From this severity on it is told at once.
    #[serde(default = "gravest")]
    except: Severity,
}

fn gravest() -> Severity {
    Severity::Critical
}

fn hour<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<NaiveTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    NaiveTime::parse_from_str(&text, "%H:%M")
        .map_err(|_| serde::de::Error::custom("write the time of day as \"22:00\""))
}

impl Quiet {
    /// Severities that are not told at `now`.
    pub(crate) fn held_back(&self, now: DateTime<Utc>) -> Vec<&'static str> {
        let time = now.with_timezone(&self.time_zone).time();
        let is_quiet = match self.from <= self.until {
            true => self.from <= time && time < self.until,
            // Over midnight.
            false => self.from <= time || time < self.until,
        };
        let below = |severity: &Severity| is_quiet && *severity < self.except;
        Severity::ALL.into_iter().filter(below).map(Severity::name).collect()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileWritten {
    path: PathBuf,
    #[serde(default)]
    form: PayloadFormat,
    #[serde(default = "rotate_mib")]
    rotate_mib: NonZero<u64>,
}

fn rotate_mib() -> NonZero<u64> {
    NonZero::<u64>::MIN.saturating_add(127)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KafkaWritten {
    bootstrap_servers: String,
    topic: String,
    #[serde(default)]
    form: PayloadFormat,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<SecretRef>,
    /// Client settings by librdkafka's names.
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookWritten {
    url: SecretRef,
    #[serde(default)]
    secret: Option<SecretRef>,
    #[serde(default)]
    authorization: Option<SecretRef>,
    #[serde(default)]
    form: PayloadFormat,
    #[serde(default)]
    private_allowed: Vec<String>,
    #[serde(default)]
    ca: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertmanagerWritten {
    url: SecretRef,
    #[serde(default)]
    private_allowed: Vec<String>,
    #[serde(default)]
    ca: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatWritten {
    url: SecretRef,
    #[serde(default)]
    secret: Option<SecretRef>,
    #[serde(default)]
    language: Language,
    #[serde(default)]
    private_allowed: Vec<String>,
    #[serde(default)]
    ca: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SyslogWritten {
    host: String,
    port: u16,
    #[serde(default = "yes")]
    tls: bool,
    #[serde(default)]
    ca: Option<PathBuf>,
    #[serde(default)]
    form: PayloadFormat,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MailWritten {
    host: String,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    encryption: SmtpEncryption,
    #[serde(default)]
    ca: Option<PathBuf>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<SecretRef>,
    from: String,
    to: Vec<String>,
    #[serde(default)]
    language: Language,
}

/// A sink that is ready to send.
pub(crate) struct Ready {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) quiet: Option<Quiet>,
}

impl Config {
    /// Every sink with its way, in the order of the configuration.
    pub(crate) fn sinks(&self) -> Result<(Vec<Ready>, Routes), Failure> {
        let (mut ready, mut routes, mut names) = (Vec::new(), Vec::new(), HashSet::new());
        for written in &self.sink {
            let wrong = |problem: String| {
                Failure::Usage(format!(
                    "{}: [[sink]] `{}`: {problem}",
                    shown(self.path.as_deref()),
                    written.name
                ))
            };
            if !names.insert(&written.name) {
                return Err(wrong("another sink has this name".to_owned()));
            }
            let (kind, sink) = written.open(&self.folder).map_err(wrong)?;
            routes.push(written.route(kind).map_err(wrong)?);
            ready.push(Ready { name: written.name.clone(), kind, sink, quiet: written.quiet });
        }
        Ok((ready, Routes::new(routes)))
    }
}

impl SinkWritten {
    fn route(&self, kind: &str) -> Result<Route, String> {
        let mut rules = GlobSetBuilder::new();
        for rule in &self.rules {
            rules.add(Glob::new(rule).map_err(|e| format!("rules: {e}"))?);
        }
        let rules = if self.rules.is_empty() {
            None
        } else {
            Some(rules.build().map_err(|e| format!("rules: {e}"))?)
        };
        let for_people = matches!(kind, "dingtalk" | "feishu" | "wecom" | "slack" | "mail");
        Ok(Route {
            sink: self.name.clone(),
            severity_min: self.severity_min,
            rules,
            accounts: self.accounts.clone(),
            suppressed: self.suppressed,
            revisions: self.revisions.unwrap_or(if for_people {
                Revisions::Essential
            } else {
                Revisions::All
            }),
        })
    }

    /// It is called `name` and for people, or a webhook.
    pub(super) fn is_told_of_reports(&self, name: &str) -> bool {
        let chats = [&self.dingtalk, &self.feishu, &self.wecom, &self.slack];
        self.name == name
            && (self.mail.is_some()
                || self.webhook.is_some()
                || chats.iter().any(|chat| chat.is_some()))
    }

    /// The one thing that it is.
    fn open(&self, folder: &Path) -> Result<(&'static str, Box<dyn Sink>), String> {
        let chat = |service, written: &ChatWritten| {
            written.open(service, folder).map(|sink| Box::new(sink) as Box<dyn Sink>)
        };
        let all = [
            self.file.as_ref().map(|file| ("file", file.open(folder))),
            self.kafka.as_ref().map(|kafka| ("kafka", kafka.open(folder))),
            self.webhook.as_ref().map(|webhook| ("webhook", webhook.open(folder))),
            self.alertmanager
                .as_ref()
                .map(|alertmanager| ("alertmanager", alertmanager.open(folder))),
            self.dingtalk
                .as_ref()
                .map(|written| ("dingtalk", chat(ChatService::Dingtalk, written))),
            self.feishu.as_ref().map(|written| ("feishu", chat(ChatService::Feishu, written))),
            self.wecom.as_ref().map(|written| ("wecom", chat(ChatService::Wecom, written))),
            self.slack.as_ref().map(|written| ("slack", chat(ChatService::Slack, written))),
            self.syslog.as_ref().map(|syslog| ("syslog", syslog.open(folder))),
            self.mail.as_ref().map(|mail| ("mail", mail.open(folder))),
        ];
        let mut given = all.into_iter().flatten();
        let kinds =
            "file, kafka, webhook, alertmanager, dingtalk, feishu, wecom, slack, syslog or mail";
        let (kind, sink) = given
            .next()
            .ok_or_else(|| format!("it says not what it is; give it one of {kinds}"))?;
        if let Some((other, _)) = given.next() {
            return Err(format!("it is both {kind} and {other}; make two of it"));
        }
        Ok((kind, sink.map_err(|problem| format!("{kind}: {problem}"))?))
    }
}

/// Networks inside to which a sink may go.
fn address_policy(written: &[String]) -> Result<AddressPolicy, String> {
    let network = |text: &String| {
        text.parse::<IpNet>()
            .map_err(|_| format!("private_allowed: `{text}` is no network such as 10.1.0.0/16"))
    };
    Ok(AddressPolicy::new(written.iter().map(network).collect::<Result<_, _>>()?))
}

/// Where a sink that speaks HTTP is, and whom it believes.
struct Endpoint {
    url: Url,
    policy: AddressPolicy,
    ca: Option<Vec<u8>>,
}

impl Endpoint {
    fn read(
        url: Result<String, String>,
        private_allowed: &[String],
        ca: Option<&PathBuf>,
        folder: &Path,
    ) -> Result<Self, String> {
        let policy = address_policy(private_allowed)?;
        let url = url.and_then(|url| policy.parse_url(&url)).map_err(|e| format!("url: {e}"))?;
        Ok(Self { url, policy, ca: read(ca, folder)? })
    }
}

/// What a file says, if one is named.
fn read(path: Option<&PathBuf>, folder: &Path) -> Result<Option<Vec<u8>>, String> {
    path.map(|path| {
        std::fs::read(folder.join(path)).map_err(|e| format!("`{}`: {e}", path.display()))
    })
    .transpose()
}

fn secret(name: &str, secret: Option<&SecretRef>, folder: &Path) -> Result<Option<String>, String> {
    secret.map(|secret| secret.read(folder).map_err(|e| format!("{name}: {e}"))).transpose()
}

impl FileWritten {
    fn open(&self, folder: &Path) -> Result<Box<dyn Sink>, String> {
        Ok(Box::new(FileSink::new(folder.join(&self.path), self.form, self.rotate_mib.get() << 20)))
    }
}

impl KafkaWritten {
    fn open(&self, folder: &Path) -> Result<Box<dyn Sink>, String> {
        let mut settings =
            BTreeMap::from([("bootstrap.servers".to_owned(), self.bootstrap_servers.clone())]);
        if let Some(key) = self
            .settings
            .keys()
            .find(|key| matches!(key.as_str(), "sasl.password" | "ssl.key.password"))
        {
            return Err(format!(
                "`{key}` does not belong under settings; give `password` by reference"
            ));
        }
        settings
            .extend(self.username.iter().map(|name| ("sasl.username".to_owned(), name.clone())));
        settings.extend(
            secret("password", self.password.as_ref(), folder)?
                .map(|password| ("sasl.password".to_owned(), password)),
        );
        settings.extend(self.settings.clone());
        Ok(Box::new(KafkaSink::new(&settings, &self.topic, self.form)?))
    }
}

impl WebhookWritten {
    fn open(&self, folder: &Path) -> Result<Box<dyn Sink>, String> {
        let Endpoint { url, policy, ca } = Endpoint::read(
            self.url.read_or_url(folder),
            &self.private_allowed,
            self.ca.as_ref(),
            folder,
        )?;
        let key = secret("secret", self.secret.as_ref(), folder)?;
        let authorization = secret("authorization", self.authorization.as_ref(), folder)?;
        Ok(Box::new(WebhookSink::new(
            url,
            policy,
            ca.as_deref(),
            self.form,
            key.as_deref(),
            authorization.as_deref(),
        )?))
    }
}

impl AlertmanagerWritten {
    fn open(&self, folder: &Path) -> Result<Box<dyn Sink>, String> {
        let Endpoint { url, policy, ca } = Endpoint::read(
            self.url.read_or_url(folder),
            &self.private_allowed,
            self.ca.as_ref(),
            folder,
        )?;
        Ok(Box::new(AlertmanagerSink::new(url, policy, ca.as_deref())?))
    }
}

impl ChatWritten {
    fn open(&self, service: ChatService, folder: &Path) -> Result<ChatSink, String> {
        // Whoever has the URL of a robot can write to its group, so it is given by reference.
        let Endpoint { url, policy, ca } =
            Endpoint::read(self.url.read(folder), &self.private_allowed, self.ca.as_ref(), folder)?;
        ChatSink::new(
            service,
            url,
            policy,
            ca.as_deref(),
            secret("secret", self.secret.as_ref(), folder)?,
            self.language,
        )
    }
}

impl SyslogWritten {
    fn open(&self, folder: &Path) -> Result<Box<dyn Sink>, String> {
        let ca = read(self.ca.as_ref(), folder)?;
        Ok(Box::new(SyslogSink::new(SyslogOptions {
            host: self.host.clone(),
            port: self.port,
            tls: self.tls,
            ca,
            format: self.form,
        })?))
    }
}

impl MailWritten {
    fn open(&self, folder: &Path) -> Result<Box<dyn Sink>, String> {
        let password = secret("password", self.password.as_ref(), folder)?;
        let credentials = match (&self.username, password) {
            (Some(name), Some(password)) if self.encryption != SmtpEncryption::None => {
                Some((name.clone(), password))
            }
            (None, None) => None,
            (Some(_), Some(_)) => {
                return Err("a password is not sent without encryption".to_owned());
            }
            _ => return Err("`username` and `password` belong together".to_owned()),
        };
        Ok(Box::new(MailSink::new(MailOptions {
            host: self.host.clone(),
            port: self.port,
            encryption: self.encryption,
            ca: read(self.ca.as_ref(), folder)?,
            credentials,
            from: self.from.clone(),
            to: self.to.clone(),
            language: self.language,
        })?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_hold_back_what_is_less_grave_also_over_midnight() {
        let quiet = |text: &str| toml::from_str::<Quiet>(text).expect("read");
        let night = quiet(
            "from = \"22:00\"\nuntil = \"07:00\"\ntime_zone = \"Asia/Shanghai\"\nexcept = \"high\"",
        );
        let at = |quiet: &Quiet, time: &str| quiet.held_back(time.parse().expect("a time"));
        let held = ["info", "low", "medium"];
        // 22:00, 06:59, 07:00 and 21:59 in Shanghai.
        assert_eq!(at(&night, "2026-09-30T14:00:00Z"), held);
        assert_eq!(at(&night, "2026-09-30T22:59:59Z"), held);
        assert!(at(&night, "2026-09-30T23:00:00Z").is_empty());
        assert!(at(&night, "2026-09-30T13:59:59Z").is_empty());
        let noon = quiet("from = \"12:00\"\nuntil = \"13:30\"\ntime_zone = \"UTC\"");
        assert_eq!(at(&noon, "2026-09-30T13:29:59Z"), ["info", "low", "medium", "high"]);
        assert!(at(&noon, "2026-09-30T13:30:00Z").is_empty());
        assert!(
            toml::from_str::<Quiet>("from = \"25:00\"\nuntil = \"1:00\"\ntime_zone = \"UTC\"")
                .is_err()
        );
    }
}
