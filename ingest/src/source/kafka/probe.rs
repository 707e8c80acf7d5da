//! Looks at topics without joining a consumer group: what the broker holds, and its newest messages.

use super::consumer::{KafkaOptions, TopicPartition, Watermarks, client_config};
use crate::lock::lock;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use thiserror::Error;

/// Time within which the broker must answer one request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time within which the first message must arrive.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of the brokers of one source. Its methods block.
pub struct TopicProbe {
    consumer: BaseConsumer<ProbeContext>,
    topics: Vec<String>,
}

/// Why topics could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProbeError {
    /// The client refuses the settings.
    #[error("{0}")]
    Settings(String),
    /// The broker refuses the user name or the password.
    #[error("the broker refuses the user name or password: {0}")]
    SignIn(String),
    /// No broker could be reached, or none answered in time.
    #[error("no broker answers: {0}")]
    Unreachable(String),
    /// The broker refuses the request.
    #[error("{0}")]
    Refused(String),
}

/// What the brokers hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicsLook {
    /// First and next offset of each partition of the source's topics.
    pub partitions: BTreeMap<TopicPartition, Watermarks>,
    /// Topics of the source that the broker does not have or does not show.
    pub missing: Vec<String>,
    /// Names of the broker's other topics, as far as it shows them.
    pub others: Vec<String>,
}

/// A message that the probe has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbedMessage {
    /// Its partition.
    pub partition: TopicPartition,
    /// Its offset.
    pub offset: u64,
    /// When it was sent, microseconds since 1970 UTC.
    pub sent_at: Option<i64>,
    /// Its value.
    pub value: Vec<u8>,
}

/// Keeps what the client reports beside its answers.
#[derive(Default)]
struct ProbeContext {
    errors: Mutex<Vec<(Option<RDKafkaErrorCode>, String)>>,
}

impl ClientContext for ProbeContext {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut errors = lock(&self.errors);
        if errors.len() < 100 {
            errors.push((error.rdkafka_error_code(), reason.to_owned()));
        }
    }
}

impl ConsumerContext for ProbeContext {}

impl TopicProbe {
    /// A client of the brokers that `options` name.
    ///
    /// # Errors
    /// [`ProbeError::Settings`].
    pub fn connect(options: &KafkaOptions) -> Result<Self, ProbeError> {
        let mut config = client_config(options);
        config.set("enable.partition.eof", "true").set("statistics.interval.ms", "0");
        let consumer = BaseConsumer::from_config_and_context(&config, ProbeContext::default())
            .map_err(|e| ProbeError::Settings(e.to_string()))?;
        Ok(Self { consumer, topics: options.topics.clone() })
    }

    /// Asks what the brokers hold of the source's topics.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn look(&self) -> Result<TopicsLook, ProbeError> {
        let metadata = self.consumer.fetch_metadata(None, ANSWER_TIMEOUT);
        let metadata = metadata.map_err(|error| self.explain(&error))?;
        let mut look = TopicsLook::default();
        for topic in &self.topics {
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            let Some(found) = found.filter(|found| found.error().is_none()) else {
                look.missing.push(topic.clone());
                continue;
            };
            for partition in found.partitions() {
                let of = TopicPartition { topic: topic.clone(), partition: partition.id() };
                let (low, high) = self
                    .consumer
                    .fetch_watermarks(topic, of.partition, ANSWER_TIMEOUT)
                    .map_err(|error| self.explain(&error))?;
                let offset = |number: i64| number.max(0).unsigned_abs();
                look.partitions.insert(of, Watermarks { low: offset(low), high: offset(high) });
            }
        }
        let others = metadata.topics().iter().map(|topic| topic.name().to_owned());
        look.others =
            others.filter(|name| !self.topics.contains(name) && !name.starts_with("__")).collect();
        look.others.sort();
        Ok(look)
    }

    /// Reads up to `count` messages from the ends of the partitions in `look`.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn newest(
        &self,
        look: &TopicsLook,
        count: usize,
    ) -> Result<Vec<ProbedMessage>, ProbeError> {
        let filled: Vec<_> = look.partitions.iter().filter(|(_, at)| at.high > at.low).collect();
        let each = (count as u64).div_ceil(filled.len().max(1) as u64);
        let mut messages = Vec::new();
        for (partition, at) in filled {
            let from = at.high.saturating_sub(each).max(at.low);
            messages.extend(self.read(partition, from, at.high)?);
        }
        messages.truncate(count);
        Ok(messages)
    }

    /// True where a message lies at `offset` or behind it. Offsets may also be of markers, which are no messages.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn has_message_from(
        &self,
        partition: &TopicPartition,
        offset: u64,
    ) -> Result<bool, ProbeError> {
        Ok(!self.read(partition, offset, offset + 1)?.is_empty())
    }

    /// Reads the messages from offset `from` on, up to the first whose next offset is `to` or more.
    fn read(
        &self,
        partition: &TopicPartition,
        from: u64,
        to: u64,
    ) -> Result<Vec<ProbedMessage>, ProbeError> {
        let refused = |error: KafkaError| ProbeError::Refused(error.to_string());
        let mut list = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
        list.add_partition_offset(&partition.topic, partition.partition, offset)
            .map_err(refused)?;
        self.consumer.assign(&list).map_err(refused)?;
        let mut messages = Vec::new();
        loop {
            match self.consumer.poll(MESSAGE_TIMEOUT) {
                Some(Ok(message)) => {
                    let offset = message.offset().max(0).unsigned_abs();
                    messages.push(ProbedMessage {
                        partition: partition.clone(),
                        offset,
                        sent_at: message.timestamp().to_millis().map(|millis| millis * 1000),
                        value: message.payload().unwrap_or_default().to_vec(),
                    });
                    if offset + 1 >= to {
                        break;
                    }
                }
                None | Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) => return Err(self.explain(&error)),
            }
        }
        self.consumer.unassign().map_err(refused)?;
        Ok(messages)
    }

    /// The reason of `error`. A refused sign-in is reported beside the answer, which says only that no broker is left.
    fn explain(&self, error: &KafkaError) -> ProbeError {
        let errors = lock(&self.consumer.context().errors);
        let sign_in = errors.iter().find(|(code, reason)| {
            matches!(
                code,
                Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed)
            ) || reason.contains("uthentication")
        });
        let reason = errors.last().map_or_else(|| error.to_string(), |(_, reason)| reason.clone());
        match (sign_in, error.rdkafka_error_code()) {
            (Some((_, reason)), _) => ProbeError::SignIn(reason.clone()),
            (
                None,
                Some(
                    RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::OperationTimedOut,
                ),
            ) => ProbeError::Unreachable(reason),
            _ => ProbeError::Refused(error.to_string()),
        }
    }
}
