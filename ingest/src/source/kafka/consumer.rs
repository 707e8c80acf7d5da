//! The consumer of a Kafka topic.
//!
//! The lake decides where reading continues, never the broker: positions move in the same commit as the data. Offsets are
//! committed to the broker only for its own tools, which compute the lag from them.

use crate::lock::lock;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time within which the broker must report the first and last offset of a partition.
const WATERMARKS_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages that the client fetches ahead, in KiB; bounds its memory.
const FETCHED_AHEAD_KIB: &str = "16384";

/// Options of a Kafka source.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Name of the source, as stored in positions and rows.
    pub name: String,
    /// Topics; for SLS, Logstores.
    pub topics: Vec<String>,
    /// Client settings by librdkafka's names: `bootstrap.servers`, `group.id`, security. Settings that decide where reading
    /// starts are fixed and ignored here.
    pub settings: BTreeMap<String, String>,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Name of the topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: i32,
}

impl TopicPartition {
    /// Name of the partition in the lake's positions: `topic/partition`.
    #[must_use]
    pub fn object(&self) -> String {
        format!("{}/{}", self.topic, self.partition)
    }
}

/// A change of the partitions that the consumer group assigns to this member.
#[derive(Debug)]
pub(crate) enum AssignmentChange {
    /// This member reads these partitions from now on.
    Assigned(Vec<TopicPartition>),
    /// This member must give these partitions up.
    Revoked(Vec<TopicPartition>),
}

/// State that the client's callbacks update.
#[derive(Default)]
pub(crate) struct ConsumerState {
    changes: Mutex<VecDeque<AssignmentChange>>,
    /// Offset of the next message of each partition, as the broker last reported it.
    highs: Mutex<HashMap<TopicPartition, u64>>,
    /// When the client last reported a connection to some broker.
    connected_at: Mutex<Option<Instant>>,
    closing: AtomicBool,
}

impl ClientContext for ConsumerState {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        use rdkafka::config::RDKafkaLogLevel as L;
        match level {
            L::Emerg | L::Alert | L::Critical | L::Error => tracing::error!(facility, "{message}"),
            L::Warning => tracing::warn!(facility, "{message}"),
            _ => tracing::debug!(facility, "{message}"),
        }
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        if statistics.brokers.values().any(|broker| broker.state == "UP") {
            *lock(&self.connected_at) = Some(Instant::now());
        }
        let mut highs = lock(&self.highs);
        for (topic, known) in statistics.topics {
            for (partition, known) in known.partitions {
                if known.hi_offset >= 0 && partition >= 0 {
                    highs.insert(
                        TopicPartition { topic: topic.clone(), partition },
                        known.hi_offset.unsigned_abs(),
                    );
                }
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, "{reason}");
    }
}

impl ConsumerContext for ConsumerState {
    /// Queues the change. The engine first commits what it read of revoked partitions, then accepts the change.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let list = partitions
            .elements()
            .iter()
            .map(|element| TopicPartition {
                topic: element.topic().to_owned(),
                partition: element.partition(),
            })
            .collect();
        if self.closing.load(Ordering::Relaxed) {
            if let Err(error) = consumer.unassign() {
                tracing::warn!(%error, "the partitions could not be given up; the group reassigns them after its timeout");
            }
            return;
        }
        let change = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                AssignmentChange::Assigned(list)
            }
            _ => AssignmentChange::Revoked(list),
        };
        lock(&self.changes).push_back(change);
    }
}

/// The offsets that the broker holds of a partition: `low` is the first, `high` the one of the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// Offset of the first message.
    pub low: u64,
    /// Offset of the next message.
    pub high: u64,
}

/// A consumer: one member of a consumer group.
pub(crate) struct KafkaSource {
    pub(crate) name: String,
    consumer: BaseConsumer<ConsumerState>,
}

impl KafkaSource {
    /// Joins the consumer group.
    ///
    /// # Errors
    /// [`KafkaError`] where the client refuses the settings.
    pub(crate) fn connect(options: &KafkaOptions) -> Result<Self, KafkaError> {
        let mut config = client_config(options);
        config
            .set("partition.assignment.strategy", "range,roundrobin")
            .set("enable.partition.eof", "false");
        let consumer = BaseConsumer::from_config_and_context(&config, ConsumerState::default())?;
        consumer.subscribe(&options.topics.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(Self { name: options.name.clone(), consumer })
    }

    /// The next message or error, `None` where none arrives within `timeout`.
    pub(crate) fn poll(
        &self,
        timeout: Duration,
    ) -> Option<Result<BorrowedMessage<'_>, KafkaError>> {
        self.consumer.poll(timeout)
    }

    /// The next assignment change, to be answered by [`KafkaSource::assign`] or [`KafkaSource::unassign`].
    pub(crate) fn next_assignment_change(&self) -> Option<AssignmentChange> {
        lock(&self.consumer.context().changes).pop_front()
    }

    /// Asks the broker for the offsets that it holds of a partition.
    pub(crate) fn watermarks(&self, of: &TopicPartition) -> Result<Watermarks, KafkaError> {
        let (low, high) =
            self.consumer.fetch_watermarks(&of.topic, of.partition, WATERMARKS_TIMEOUT)?;
        Ok(Watermarks { low: low.max(0).unsigned_abs(), high: high.max(0).unsigned_abs() })
    }

    /// Offset of the next message of the partition `of`, as the broker last reported it.
    pub(crate) fn last_high(&self, of: &TopicPartition) -> Option<u64> {
        lock(&self.consumer.context().highs).get(of).copied()
    }

    /// True where the client has reported a connection to a broker since `moment`.
    pub(crate) fn connected_since(&self, moment: Instant) -> bool {
        lock(&self.consumer.context().connected_at).is_some_and(|at| at > moment)
    }

    /// Accepts an assignment and reads each partition from its offset; `None` is its beginning.
    pub(crate) fn assign(
        &self,
        partitions: &[(TopicPartition, Option<u64>)],
    ) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in partitions {
            let offset = offset.map_or(Offset::Beginning, |offset| Offset::Offset(offset as i64));
            list.add_partition_offset(&partition.topic, partition.partition, offset)?;
        }
        self.consumer.assign(&list)
    }

    /// Gives all partitions up.
    pub(crate) fn unassign(&self) -> Result<(), KafkaError> {
        self.consumer.unassign()
    }

    /// Commits offsets to the broker, for tools that show the lag. Failures are logged only.
    pub(crate) fn publish_offsets(&self, positions: &[(TopicPartition, u64)]) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in positions {
            let added = list.add_partition_offset(
                &partition.topic,
                partition.partition,
                Offset::Offset(*offset as i64),
            );
            debug_assert!(added.is_ok());
        }
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, source = self.name, "the broker refused the offsets; only its lag display is affected");
        }
    }

    /// Pauses or resumes fetching. The client stays a member of the group.
    pub(crate) fn pause(&self, pause: bool) {
        let Ok(assignment) = self.consumer.assignment() else { return };
        let result = if pause {
            self.consumer.pause(&assignment)
        } else {
            self.consumer.resume(&assignment)
        };
        if let Err(error) = result {
            tracing::warn!(%error, source = self.name, "fetching could not be {}", if pause { "paused" } else { "resumed" });
        }
    }
}

/// The settings of a consumer of these topics. Those that decide where reading starts are ours.
pub(super) fn client_config(options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("group.id", "trailhound")
        .set("client.id", "trailhound")
        .set("queued.max.messages.kbytes", FETCHED_AHEAD_KIB);
    // By default, the client pauses fetching for a second when its queue is full, which limits a backlog to one queue per second.
    config.set("fetch.queue.backoff.ms", "10");
    // Damaged messages must be reported as errors and not be decoded.
    config.set("check.crcs", "true");
    // New partitions are found within this interval.
    config.set("topic.metadata.refresh.interval.ms", "30000").set("statistics.interval.ms", "1000");
    for (key, value) in &options.settings {
        config.set(key, value);
    }
    // The lake decides where reading starts. An offset that is gone must be an error and never a silent restart.
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error");
    config
}

/// True for an error that ends when a broker is reached again.
pub(crate) fn is_connection_error(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::AllBrokersDown | E::BrokerTransportFailure | E::Resolve | E::OperationTimedOut
    )
}

/// True for an error after which the client continues behind messages that it could not read.
pub(crate) fn skips_messages(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::BadMessage
            | E::BadCompression
            | E::NotImplemented
            | E::MessageSizeTooLarge
            | E::InvalidMessage
    )
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.consumer.context().closing.store(true, Ordering::Relaxed);
    }
}
