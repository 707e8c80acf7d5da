//! `[[source.kafka]]` and `[[source.oss]]`: the topics and buckets that `trailhound serve` follows.

use super::location::ConfigLocation;
use crate::exit::Failure;
use chrono::{NaiveDate, Utc};
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use trailhound_ingest::secret::SecretRef;
use trailhound_ingest::source::files;
use trailhound_ingest::source::instance_role::METADATA_ENDPOINT;
use trailhound_ingest::source::kafka::KafkaOptions;
use trailhound_ingest::source::oss::{Credentials, OssOptions};
use trailhound_queries::parameters::toml_time::deserialize_day;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SourcesConfig {
    kafka: Vec<KafkaSourceConfig>,
    oss: Vec<OssSourceConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OssSourceConfig {
    name: String,
    bucket: String,
    endpoint: String,
    region: String,
    #[serde(default)]
    prefix: String,
    #[serde(default = "default_virtual_hosted")]
    virtual_hosted: bool,
    #[serde(default)]
    access_key_id: Option<SecretRef>,
    #[serde(default)]
    access_key_secret: Option<SecretRef>,
    #[serde(default)]
    security_token: Option<SecretRef>,
    /// Name of the role of the ECS instance that the service runs on; empty means the role that the
    /// instance has.
    #[serde(default)]
    instance_role: Option<String>,
    #[serde(default = "default_metadata_endpoint")]
    metadata_endpoint: String,
    #[serde(default = "default_window_days")]
    window_days: u32,
    #[serde(default, deserialize_with = "deserialize_day")]
    since: Option<NaiveDate>,
    #[serde(default = "default_every_seconds")]
    every_seconds: NonZero<u64>,
}

fn default_virtual_hosted() -> bool {
    true
}

fn default_metadata_endpoint() -> String {
    METADATA_ENDPOINT.to_owned()
}

fn default_window_days() -> u32 {
    2
}

fn default_every_seconds() -> NonZero<u64> {
    NonZero::<u64>::MIN.saturating_add(29)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KafkaSourceConfig {
    name: String,
    bootstrap_servers: String,
    topics: Vec<String>,
    #[serde(default = "default_group_id")]
    group_id: String,
    #[serde(default)]
    security_protocol: SecurityProtocol,
    #[serde(default)]
    sasl_mechanism: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<SecretRef>,
    /// Further settings of the Kafka client, under the names of librdkafka.
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

fn default_group_id() -> String {
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

/// The options of one source, with its secrets read.
pub(crate) enum SourceOptions {
    Kafka(KafkaOptions),
    Oss(OssOptions),
}

impl SourcesConfig {
    /// True if there is no source.
    pub(super) fn is_empty(&self) -> bool {
        self.kafka.is_empty() && self.oss.is_empty()
    }

    /// Options of the Kafka sources and of the buckets, with their secrets read.
    ///
    /// # Errors
    /// [`Failure::Usage`]: there is no source, two have the same name, or one is wrong.
    pub(super) fn options(
        &self,
        location: &ConfigLocation,
    ) -> Result<(Vec<KafkaOptions>, Vec<OssOptions>), Failure> {
        let (mut kafka, mut oss) = (Vec::new(), Vec::new());
        for (_, options) in self.each(location) {
            match options? {
                SourceOptions::Kafka(options) => kafka.push(options),
                SourceOptions::Oss(options) => oss.push(options),
            }
        }
        if kafka.is_empty() && oss.is_empty() {
            return Err(Failure::Usage(format!(
                "{} names no source to follow; write for instance\n  [[source.kafka]]\n  name = \"trail\"\n  bootstrap_servers = \"127.0.0.1:9092\"\n  topics = [\"actiontrail\"]",
                location.display()
            )));
        }
        Ok((kafka, oss))
    }

    /// Each source with its name, and its options or what is wrong with it.
    pub(super) fn each(
        &self,
        location: &ConfigLocation,
    ) -> Vec<(String, Result<SourceOptions, Failure>)> {
        // The ingest of files stores its positions under a name of its own.
        let mut names = HashSet::from([files::SOURCE]);
        let mut check_unique = |name| {
            if names.insert(name) { Ok(()) } else { Err("another source has this name".to_owned()) }
        };
        let error = |kind: &str, name: &str, problem: String| {
            location.error(format!("[[source.{kind}]] `{name}`: {problem}"))
        };
        let mut sources = Vec::new();
        for source in &self.kafka {
            let options =
                check_unique(source.name.as_str()).and_then(|()| source.options(&location.folder));
            let options = options.map(SourceOptions::Kafka);
            let options = options.map_err(|problem| error("kafka", &source.name, problem));
            sources.push((source.name.clone(), options));
        }
        for source in &self.oss {
            let options =
                check_unique(source.name.as_str()).and_then(|()| source.options(&location.folder));
            let options = options.map(SourceOptions::Oss);
            let options = options.map_err(|problem| error("oss", &source.name, problem));
            sources.push((source.name.clone(), options));
        }
        sources
    }
}

impl OssSourceConfig {
    /// Options of the bucket, with its secrets read.
    fn options(&self, folder: &Path) -> Result<OssOptions, String> {
        let options = OssOptions {
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
        };
        options.check()?;
        Ok(options)
    }

    /// A key, or the role of the instance; `None` for a bucket that anybody may read.
    #[expect(
        clippy::disallowed_methods,
        reason = "keys of an instance role expire by the wall clock"
    )]
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
                    // Keys expire by the wall clock, also where `--now` is given.
                    clock: Arc::new(|| Utc::now().timestamp_micros()),
                }))
            }
            ((None, None), None) => Ok(None),
            (_, Some(_)) => {
                Err("`instance_role` replaces `access_key_id` and `access_key_secret`; give one of them"
                    .to_owned())
            }
            (_, None) => Err("`access_key_id` and `access_key_secret` belong together".to_owned()),
        }
    }
}

impl KafkaSourceConfig {
    /// Options of the topics, with the password read.
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
