//! `[service]` and `[[source...]]`: what `trailhound serve` follows.

use super::{Config, shown};
use crate::exit::Failure;
use chrono::{NaiveDate, Utc};
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use trailhound_ingest::Clock;
use trailhound_ingest::live::LiveOptions;
use trailhound_ingest::secret::SecretRef;
use trailhound_ingest::source::instance_role::METADATA_ENDPOINT;
use trailhound_ingest::source::kafka::KafkaOptions;
use trailhound_ingest::source::oss::{Credentials, OssOptions};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServiceWritten {
    listen: SocketAddr,
    flush_age_max_ms: std::num::NonZero<u64>,
    flush_rows_max: std::num::NonZero<u64>,
    tidy_every_seconds: std::num::NonZero<u64>,
}

impl Default for ServiceWritten {
    fn default() -> Self {
        let some = |count| std::num::NonZero::new(count).unwrap_or(std::num::NonZero::<u64>::MIN);
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8640)),
            flush_age_max_ms: some(1000),
            flush_rows_max: some(100_000),
            tidy_every_seconds: some(20),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SourceWritten {
    kafka: Vec<KafkaWritten>,
    oss: Vec<OssWritten>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OssWritten {
    name: String,
    bucket: String,
    endpoint: String,
    region: String,
    #[serde(default)]
    prefix: String,
    #[serde(default = "yes")]
    virtual_hosted: bool,
    #[serde(default)]
    access_key_id: Option<SecretRef>,
    #[serde(default)]
    access_key_secret: Option<SecretRef>,
    #[serde(default)]
    security_token: Option<SecretRef>,
    /// Name of the role of the instance this runs on; empty: whatever it has.
    #[serde(default)]
    instance_role: Option<String>,
    #[serde(default = "metadata_endpoint")]
    metadata_endpoint: String,
    #[serde(default = "window_days")]
    window_days: u32,
    #[serde(default)]
    since: Option<NaiveDate>,
    #[serde(default = "every_seconds")]
    every_seconds: std::num::NonZero<u64>,
}

fn yes() -> bool {
    true
}

fn metadata_endpoint() -> String {
    METADATA_ENDPOINT.to_owned()
}

fn window_days() -> u32 {
    2
}

fn every_seconds() -> std::num::NonZero<u64> {
    std::num::NonZero::<u64>::MIN.saturating_add(29)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KafkaWritten {
    name: String,
    bootstrap_servers: String,
    topics: Vec<String>,
    #[serde(default = "group_id")]
    group_id: String,
    #[serde(default)]
    security_protocol: SecurityProtocol,
    #[serde(default)]
    sasl_mechanism: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<SecretRef>,
    /// Client settings by librdkafka's names.
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

fn group_id() -> String {
    "trailhound".to_owned()
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SecurityProtocol {
    #[default]
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl Config {
    /// Where the service listens.
    pub(crate) fn listen(&self) -> SocketAddr {
        self.service.listen
    }

    /// Pause between two rounds of merging files and forgetting snapshots.
    pub(crate) fn tidy_every(&self) -> Duration {
        Duration::from_secs(self.service.tidy_every_seconds.get())
    }

    /// What the service follows.
    pub(crate) fn live_options(&self) -> Result<LiveOptions, Failure> {
        let mut names = HashSet::new();
        // The ingest of files has positions under a name of its own.
        names.insert(trailhound_ingest::source::files::SOURCE);
        let mut unique = |name| {
            if names.insert(name) { Ok(()) } else { Err("another source has this name".to_owned()) }
        };
        let wrong = |kind: &str, name: &str, problem: String| {
            Failure::Usage(format!(
                "{}: [[source.{kind}]] `{name}`: {problem}",
                shown(self.path.as_deref())
            ))
        };
        let mut kafka = Vec::new();
        for written in &self.source.kafka {
            let options =
                unique(written.name.as_str()).and_then(|()| written.options(&self.folder));
            kafka.push(options.map_err(|problem| wrong("kafka", &written.name, problem))?);
        }
        let mut oss = Vec::new();
        for written in &self.source.oss {
            let options =
                unique(written.name.as_str()).and_then(|()| written.options(&self.folder));
            oss.push(options.map_err(|problem| wrong("oss", &written.name, problem))?);
        }
        if kafka.is_empty() && oss.is_empty() {
            return Err(Failure::Usage(format!(
                "{} names no source to follow; write for instance\n  [[source.kafka]]\n  name = \"trail\"\n  bootstrap_servers = \"127.0.0.1:9092\"\n  topics = [\"actiontrail\"]",
                shown(self.path.as_deref())
            )));
        }
        let ingest = self.ingest_options();
        let now = self.now.timestamp_micros();
        let clock: Clock = if self.now_given {
            Arc::new(move || now)
        } else {
            Arc::new(|| Utc::now().timestamp_micros())
        };
        Ok(LiveOptions {
            limits: ingest.limits,
            keys_max: ingest.keys_max,
            kafka,
            oss,
            flush_age_max: Duration::from_millis(self.service.flush_age_max_ms.get()),
            flush_rows_max: self.service.flush_rows_max.get(),
            retention_days: self.retention_days,
            clock,
        })
    }
}

impl OssWritten {
    /// What the ingest needs to know, the secrets read.
    fn options(&self, folder: &Path) -> Result<OssOptions, String> {
        if !self.endpoint.starts_with("http://") && !self.endpoint.starts_with("https://") {
            return Err(format!(
                "`endpoint` is `{}`; write it with its scheme, `https://...`",
                self.endpoint
            ));
        }
        Ok(OssOptions {
            name: self.name.clone(),
            bucket: self.bucket.clone(),
            endpoint: self.endpoint.trim_end_matches('/').to_owned(),
            region: self.region.clone(),
            prefix: self.prefix.clone(),
            virtual_hosted: self.virtual_hosted,
            credentials: self.credentials(folder)?,
            window_days: self.window_days,
            since: self.since,
            every: Duration::from_secs(self.every_seconds.get()),
        })
    }
}

impl OssWritten {
    fn credentials(&self, folder: &Path) -> Result<Option<Credentials>, String> {
        let read = |key: &str, secret: &Option<SecretRef>| {
            secret
                .as_ref()
                .map(|secret| secret.read(folder).map_err(|e| format!("{key}: {e}")))
                .transpose()
        };
        let key = (
            read("access_key_id", &self.access_key_id)?,
            read("access_key_secret", &self.access_key_secret)?,
        );
        match (key, &self.instance_role) {
            ((Some(id), Some(secret)), None) => Ok(Some(Credentials::Key {
                id,
                secret,
                token: read("security_token", &self.security_token)?,
            })),
            ((None, None), Some(role)) => {
                let role = Some(role.clone()).filter(|role| !role.is_empty());
                Ok(Some(Credentials::InstanceRole {
                    endpoint: self.metadata_endpoint.clone(),
                    role,
                    // Keys expire by the time of day, whatever `--now` stands for.
                    clock: Arc::new(|| Utc::now().timestamp_micros()),
                }))
            }
            ((None, None), None) => Ok(None),
            (_, Some(_)) => {
                Err("`instance_role` takes the place of `access_key_id` and `access_key_secret`"
                    .to_owned())
            }
            (_, None) => Err("`access_key_id` and `access_key_secret` belong together".to_owned()),
        }
    }
}

impl KafkaWritten {
    /// What the ingest needs to know, the secret read.
    fn options(&self, folder: &Path) -> Result<KafkaOptions, String> {
        let protocol = match self.security_protocol {
            SecurityProtocol::Plaintext => "plaintext",
            SecurityProtocol::Ssl => "ssl",
            SecurityProtocol::SaslPlaintext => "sasl_plaintext",
            SecurityProtocol::SaslSsl => "sasl_ssl",
        };
        let mut settings = BTreeMap::from([
            ("bootstrap.servers".to_owned(), self.bootstrap_servers.clone()),
            ("group.id".to_owned(), self.group_id.clone()),
            ("security.protocol".to_owned(), protocol.to_owned()),
        ]);
        for (key, value) in
            [("sasl.mechanism", &self.sasl_mechanism), ("sasl.username", &self.username)]
        {
            if let Some(value) = value {
                settings.insert(key.to_owned(), value.clone());
            }
        }
        if let Some(password) = &self.password {
            settings.insert(
                "sasl.password".to_owned(),
                password.read(folder).map_err(|e| format!("password: {e}"))?,
            );
        }
        if let Some(key) = self
            .settings
            .keys()
            .find(|key| matches!(key.as_str(), "sasl.password" | "ssl.key.password"))
        {
            return Err(format!(
                "`{key}` does not belong under settings; give `password` by reference"
            ));
        }
        settings.extend(self.settings.clone());
        Ok(KafkaOptions { name: self.name.clone(), topics: self.topics.clone(), settings })
    }
}
