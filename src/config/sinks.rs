//! `[[sink]]`: the receivers of findings, and which findings each receives.

use super::location::{ConfigLocation, renamed_key};
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
    AlertmanagerSink, ChatOptions, ChatService, ChatSink, FileSink, KafkaSink, MailOptions,
    MailSink, MessageStyle, PayloadFormat, Sink, SmtpEncryption, SyslogOptions, SyslogSink,
    WebhookSink,
};
use trailhound_detect::store::routes::{Revisions, Route, Routes};
use trailhound_ingest::secret::SecretRef;
use trailhound_queries::packs::rules::Severity;
use trailhound_queries::parameters::toml_time::deserialize_time_of_day;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SinkConfig {
    name: String,
    #[serde(default = "default_severity_min")]
    severity_min: Severity,
    /// Glob patterns of rule ids; empty means all rules.
    #[serde(default)]
    rules: Vec<String>,
    #[serde(default)]
    accounts: Vec<String>,
    #[serde(default)]
    suppressed: bool,
    #[serde(default)]
    revisions: Option<Revisions>,
    #[serde(default)]
    quiet_hours: Option<QuietHours>,
    /// Name of `quiet_hours` before 0.2.0.
    #[serde(default)]
    quiet: Option<QuietHours>,
    #[serde(default)]
    file: Option<FileSinkConfig>,
    #[serde(default)]
    kafka: Option<KafkaSinkConfig>,
    #[serde(default)]
    webhook: Option<WebhookSinkConfig>,
    #[serde(default)]
    alertmanager: Option<AlertmanagerSinkConfig>,
    #[serde(default)]
    dingtalk: Option<ChatSinkConfig>,
    #[serde(default)]
    feishu: Option<ChatSinkConfig>,
    #[serde(default)]
    wecom: Option<ChatSinkConfig>,
    #[serde(default)]
    slack: Option<ChatSinkConfig>,
    #[serde(default)]
    syslog: Option<SyslogSinkConfig>,
    #[serde(default)]
    mail: Option<MailSinkConfig>,
}

fn default_severity_min() -> Severity {
    Severity::Info
}

/// Hours of the day in which only severe findings are sent. The others are sent at their end.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuietHours {
    #[serde(deserialize_with = "deserialize_time_of_day")]
    from: NaiveTime,
    #[serde(deserialize_with = "deserialize_time_of_day")]
    until: NaiveTime,
    /// That of the configuration if it is not given.
    #[serde(default)]
    time_zone: Option<Tz>,
    /// Findings with at least this severity are sent at once.
    #[serde(default = "default_except")]
    except: Severity,
}

fn default_except() -> Severity {
    Severity::Critical
}

impl QuietHours {
    /// Names of the severities that are held back at `now`.
    pub(crate) fn held_back(&self, now: DateTime<Utc>) -> Vec<&'static str> {
        let time = now.with_timezone(&self.time_zone.unwrap_or(Tz::UTC)).time();
        let is_quiet = match self.from <= self.until {
            true => self.from <= time && time < self.until,
            // The hours span midnight.
            false => self.from <= time || time < self.until,
        };
        let is_held_back = |severity: &Severity| is_quiet && *severity < self.except;
        Severity::ALL.into_iter().filter(is_held_back).map(Severity::name).collect()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSinkConfig {
    path: PathBuf,
    #[serde(default)]
    form: PayloadFormat,
    #[serde(default = "default_rotate_mib")]
    rotate_mib: NonZero<u64>,
}

fn default_rotate_mib() -> NonZero<u64> {
    NonZero::<u64>::MIN.saturating_add(127)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KafkaSinkConfig {
    bootstrap_servers: String,
    topic: String,
    #[serde(default)]
    form: PayloadFormat,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<SecretRef>,
    /// Further settings of the Kafka client, under the names of librdkafka.
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookSinkConfig {
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
struct AlertmanagerSinkConfig {
    url: SecretRef,
    #[serde(default)]
    private_allowed: Vec<String>,
    #[serde(default)]
    ca: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChatSinkConfig {
    url: SecretRef,
    #[serde(default)]
    secret: Option<SecretRef>,
    /// A word that every message begins with.
    #[serde(default)]
    keyword: Option<String>,
    #[serde(default)]
    language: Language,
    #[serde(default)]
    private_allowed: Vec<String>,
    #[serde(default)]
    ca: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SyslogSinkConfig {
    host: String,
    port: u16,
    #[serde(default = "default_tls")]
    tls: bool,
    #[serde(default)]
    ca: Option<PathBuf>,
    #[serde(default)]
    form: PayloadFormat,
}

fn default_tls() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MailSinkConfig {
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

/// Where a sink sends to.
pub(crate) enum SinkTarget {
    /// A file at this path.
    File(PathBuf),
    /// A host and port, and the internal networks that it may be in; `None` where any address is allowed.
    Tcp { kind: &'static str, host: String, port: u16, policy: Option<AddressPolicy> },
    /// A topic, with the settings of the client.
    Kafka { settings: BTreeMap<String, String>, topic: String },
}

/// Each sink with its name, and where it sends to or what is wrong with it.
pub(super) fn targets(
    configs: &[SinkConfig],
    location: &ConfigLocation,
) -> Vec<(String, Result<SinkTarget, Failure>)> {
    let mut names = HashSet::new();
    let mut target = |config: &SinkConfig| {
        if !names.insert(config.name.clone()) {
            return Err("another sink has this name".to_owned());
        }
        // Opening it checks all of its settings; it sends nothing, so no time is shown.
        let (kind, _) = config.open(&location.folder, Tz::UTC)?;
        config.route(kind)?;
        config.target(kind, &location.folder)
    };
    let named = |config: &SinkConfig| {
        let error =
            |problem: String| location.error(format!("[[sink]] `{}`: {problem}", config.name));
        (config.name.clone(), target(config).map_err(error))
    };
    configs.iter().map(named).collect()
}

/// A configured sink, opened.
pub(crate) struct SinkInstance {
    pub(crate) name: String,
    /// Its kind, such as `webhook`.
    pub(crate) kind: &'static str,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) quiet_hours: Option<QuietHours>,
}

/// Opens the sinks of the configuration. Returns them in order, with the routes that decide which
/// findings each receives.
///
/// # Errors
/// [`Failure::Usage`]: two sinks have the same name, or one is wrong.
pub(super) fn open_sinks(
    configs: &[SinkConfig],
    location: &ConfigLocation,
    time_zone: Tz,
) -> Result<(Vec<SinkInstance>, Routes), Failure> {
    let (mut instances, mut routes, mut names) = (Vec::new(), Vec::new(), HashSet::new());
    for config in configs {
        let error =
            |problem: String| location.error(format!("[[sink]] `{}`: {problem}", config.name));
        if !names.insert(&config.name) {
            return Err(error("another sink has this name".to_owned()));
        }
        let (kind, sink) = config.open(&location.folder, time_zone).map_err(error)?;
        routes.push(config.route(kind).map_err(error)?);
        let (name, mut quiet_hours) = (config.name.clone(), config.quiet_hours);
        if let Some(quiet_hours) = &mut quiet_hours {
            quiet_hours.time_zone = quiet_hours.time_zone.or(Some(time_zone));
        }
        instances.push(SinkInstance { name, kind, sink, quiet_hours });
    }
    Ok((instances, Routes::new(routes)))
}

impl SinkConfig {
    /// Takes the values of keys under their former names, and adds a warning for each.
    ///
    /// # Errors
    /// A message: a key is given under both names.
    pub(super) fn merge_renamed_keys(&mut self, warnings: &mut Vec<String>) -> Result<(), String> {
        self.quiet_hours =
            renamed_key(("quiet_hours", self.quiet_hours), ("quiet", self.quiet.take()), warnings)
                .map_err(|problem| format!("[[sink]] `{}`: {problem}", self.name))?;
        Ok(())
    }

    /// Which findings the sink receives. By default people get only the essential revisions of a
    /// finding.
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

    /// True if the sink is called `name` and can be notified of reports: mail, a chat or a webhook.
    pub(super) fn accepts_reports(&self, name: &str) -> bool {
        let chats = [&self.dingtalk, &self.feishu, &self.wecom, &self.slack];
        self.name == name
            && (self.mail.is_some()
                || self.webhook.is_some()
                || chats.iter().any(|chat| chat.is_some()))
    }

    /// Where the sink, which is of the kind `kind`, sends to.
    fn target(&self, kind: &'static str, folder: &Path) -> Result<SinkTarget, String> {
        let http = |url: Result<String, String>, private_allowed: &[String]| {
            let HttpEndpoint { url, policy, .. } =
                HttpEndpoint::read(url, private_allowed, None, folder)?;
            let host = url.host_str().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let port = url.port_or_known_default().unwrap_or(443);
            Ok(SinkTarget::Tcp { kind, host, port, policy: Some(policy) })
        };
        let plain = |host: &str, port: u16| {
            Ok(SinkTarget::Tcp { kind, host: host.to_owned(), port, policy: None })
        };
        let chats = [&self.dingtalk, &self.feishu, &self.wecom, &self.slack];
        if let Some(file) = &self.file {
            Ok(SinkTarget::File(folder.join(&file.path)))
        } else if let Some(kafka) = &self.kafka {
            let (settings, topic) = (kafka.client_settings(folder)?, kafka.topic.clone());
            Ok(SinkTarget::Kafka { settings, topic })
        } else if let Some(webhook) = &self.webhook {
            http(webhook.url.read_or_url(folder), &webhook.private_allowed)
        } else if let Some(alertmanager) = &self.alertmanager {
            http(alertmanager.url.read_or_url(folder), &alertmanager.private_allowed)
        } else if let Some(chat) = chats.into_iter().flatten().next() {
            http(chat.url.read(folder), &chat.private_allowed)
        } else if let Some(syslog) = &self.syslog {
            plain(&syslog.host, syslog.port)
        } else if let Some(mail) = &self.mail {
            plain(&mail.host, mail.port.unwrap_or(mail.encryption.default_port()))
        } else {
            Err("it has no kind".to_owned())
        }
    }

    /// Opens the sink. Returns its kind and the sink.
    fn open(&self, folder: &Path, time_zone: Tz) -> Result<(&'static str, Box<dyn Sink>), String> {
        let chat = |service, config: &ChatSinkConfig| {
            config.open(service, folder, time_zone).map(|sink| Box::new(sink) as Box<dyn Sink>)
        };
        let all = [
            self.file.as_ref().map(|file| ("file", file.open(folder))),
            self.kafka.as_ref().map(|kafka| ("kafka", kafka.open(folder))),
            self.webhook.as_ref().map(|webhook| ("webhook", webhook.open(folder))),
            self.alertmanager
                .as_ref()
                .map(|alertmanager| ("alertmanager", alertmanager.open(folder))),
            self.dingtalk.as_ref().map(|config| ("dingtalk", chat(ChatService::Dingtalk, config))),
            self.feishu.as_ref().map(|config| ("feishu", chat(ChatService::Feishu, config))),
            self.wecom.as_ref().map(|config| ("wecom", chat(ChatService::Wecom, config))),
            self.slack.as_ref().map(|config| ("slack", chat(ChatService::Slack, config))),
            self.syslog.as_ref().map(|syslog| ("syslog", syslog.open(folder))),
            self.mail.as_ref().map(|mail| ("mail", mail.open(folder, time_zone))),
        ];
        let mut given = all.into_iter().flatten();
        let kinds =
            "file, kafka, webhook, alertmanager, dingtalk, feishu, wecom, slack, syslog or mail";
        let (kind, sink) =
            given.next().ok_or_else(|| format!("it has no kind; give it one of {kinds}"))?;
        if let Some((other, _)) = given.next() {
            return Err(format!("it is both {kind} and {other}; configure two sinks"));
        }
        Ok((kind, sink.map_err(|problem| format!("{kind}: {problem}"))?))
    }
}

/// Private networks that a sink may connect to.
fn address_policy(networks: &[String]) -> Result<AddressPolicy, String> {
    let network = |text: &String| {
        text.parse::<IpNet>()
            .map_err(|_| format!("private_allowed: `{text}` is not a network such as 10.1.0.0/16"))
    };
    Ok(AddressPolicy::new(networks.iter().map(network).collect::<Result<_, _>>()?))
}

/// URL of a sink that speaks HTTP, the private networks it may connect to, and the CA certificate
/// it trusts.
struct HttpEndpoint {
    url: Url,
    policy: AddressPolicy,
    ca: Option<Vec<u8>>,
}

impl HttpEndpoint {
    fn read(
        url: Result<String, String>,
        private_allowed: &[String],
        ca: Option<&PathBuf>,
        folder: &Path,
    ) -> Result<Self, String> {
        let policy = address_policy(private_allowed)?;
        let url = url.and_then(|url| policy.parse_url(&url)).map_err(|e| format!("url: {e}"))?;
        Ok(Self { url, policy, ca: read_file(ca, folder)? })
    }
}

/// The content of the file at `path`, if there is one.
fn read_file(path: Option<&PathBuf>, folder: &Path) -> Result<Option<Vec<u8>>, String> {
    path.map(|path| {
        std::fs::read(folder.join(path)).map_err(|e| format!("`{}`: {e}", path.display()))
    })
    .transpose()
}

/// The secret of the key `name`, if it is given.
fn secret(name: &str, secret: Option<&SecretRef>, folder: &Path) -> Result<Option<String>, String> {
    secret.map(|secret| secret.read(folder).map_err(|e| format!("{name}: {e}"))).transpose()
}

impl FileSinkConfig {
    fn open(&self, folder: &Path) -> Result<Box<dyn Sink>, String> {
        Ok(Box::new(FileSink::new(folder.join(&self.path), self.form, self.rotate_mib.get() << 20)))
    }
}

impl KafkaSinkConfig {
    /// Settings of the client, with the password read.
    fn client_settings(&self, folder: &Path) -> Result<BTreeMap<String, String>, String> {
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
        Ok(settings)
    }

    fn open(&self, folder: &Path) -> Result<Box<dyn Sink>, String> {
        let settings = self.client_settings(folder)?;
        Ok(Box::new(KafkaSink::new(&settings, &self.topic, self.form)?))
    }
}

impl WebhookSinkConfig {
    fn open(&self, folder: &Path) -> Result<Box<dyn Sink>, String> {
        let HttpEndpoint { url, policy, ca } = HttpEndpoint::read(
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

impl AlertmanagerSinkConfig {
    fn open(&self, folder: &Path) -> Result<Box<dyn Sink>, String> {
        let HttpEndpoint { url, policy, ca } = HttpEndpoint::read(
            self.url.read_or_url(folder),
            &self.private_allowed,
            self.ca.as_ref(),
            folder,
        )?;
        Ok(Box::new(AlertmanagerSink::new(url, policy, ca.as_deref())?))
    }
}

impl ChatSinkConfig {
    fn open(&self, service: ChatService, folder: &Path, time_zone: Tz) -> Result<ChatSink, String> {
        // The URL of a chat robot is a secret: whoever knows it can post to the group.
        let HttpEndpoint { url, policy, ca } = HttpEndpoint::read(
            self.url.read(folder),
            &self.private_allowed,
            self.ca.as_ref(),
            folder,
        )?;
        let options = ChatOptions {
            secret: secret("secret", self.secret.as_ref(), folder)?,
            keyword: self.keyword.clone(),
            style: MessageStyle { language: self.language, time_zone },
            ca,
        };
        ChatSink::new(service, url, policy, options)
    }
}

impl SyslogSinkConfig {
    fn open(&self, folder: &Path) -> Result<Box<dyn Sink>, String> {
        let ca = read_file(self.ca.as_ref(), folder)?;
        Ok(Box::new(SyslogSink::new(SyslogOptions {
            host: self.host.clone(),
            port: self.port,
            tls: self.tls,
            ca,
            format: self.form,
        })?))
    }
}

impl MailSinkConfig {
    fn open(&self, folder: &Path, time_zone: Tz) -> Result<Box<dyn Sink>, String> {
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
            ca: read_file(self.ca.as_ref(), folder)?,
            credentials,
            from: self.from.clone(),
            to: self.to.clone(),
            style: MessageStyle { language: self.language, time_zone },
        })?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hours_hold_back_less_severe_findings_also_over_midnight() {
        let quiet = |text: &str| toml::from_str::<QuietHours>(text).expect("read");
        let night = quiet(
            "from = \"22:00\"\nuntil = \"07:00\"\ntime_zone = \"Asia/Shanghai\"\nexcept = \"high\"",
        );
        let at = |quiet: &QuietHours, time: &str| quiet.held_back(time.parse().expect("a time"));
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
            toml::from_str::<QuietHours>("from = \"25:00\"\nuntil = \"1:00\"\ntime_zone = \"UTC\"")
                .is_err()
        );
    }
}
