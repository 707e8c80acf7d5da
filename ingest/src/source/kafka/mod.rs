//! A Kafka topic, or an SLS Logstore through its Kafka-compatible endpoint.
//!
//! Where to read on is told by the lake, never by the broker: positions move in the same commit as the data. Offsets are
//! committed to the broker only so that its tools show the lag.

mod sender;

/// What the client says when sending fails.
pub use rdkafka::error::KafkaError as SendError;
pub use sender::Sender;

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

/// How long the broker may take to tell a partition's first and last offset.
const WATERMARKS_WITHIN: Duration = Duration::from_secs(10);
/// Messages fetched ahead of the engine, in KiB: what bounds the client's memory.
const FETCHED_AHEAD_KIB: &str = "16384";

/// How to reach a topic.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// Name of the source in positions and rows.
    pub name: String,
    /// Topics (for SLS: Logstores).
    pub topics: Vec<String>,
    /// Client settings by librdkafka's names: `bootstrap.servers`, `group.id`, security. Those that decide where reading
    /// starts are set here and cannot be overridden.
    pub settings: BTreeMap<String, String>,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
}

impl TopicPartition {
    /// Its name among the lake's positions.
    #[must_use]
    pub fn object(&self) -> String {
        format!("{}/{}", self.topic, self.partition)
    }
}

/// A change of what this member of the group is to read.
#[derive(Debug)]
pub(crate) enum Change {
    /// These are ours from now on.
    Assigned(Vec<TopicPartition>),
    /// These are somebody else's.
    Revoked(Vec<TopicPartition>),
}

/// What the client tells on its own.
#[derive(Default)]
pub(crate) struct Told {
    changes: Mutex<VecDeque<Change>>,
    /// Offset the next message of each partition will get, as last heard.
    highs: Mutex<HashMap<TopicPartition, u64>>,
    /// When the client last had a connection to some broker.
    reached: Mutex<Option<Instant>>,
    closing: AtomicBool,
}

impl ClientContext for Told {
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
            *lock(&self.reached) = Some(Instant::now());
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

impl ConsumerContext for Told {
    /// Only notes the change: the engine first commits what it has of revoked partitions, then agrees.
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
            let _ = consumer.unassign();
            return;
        }
        let change = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Change::Assigned(list),
            _ => Change::Revoked(list),
        };
        lock(&self.changes).push_back(change);
    }
}

/// First offset a broker still has, and the one the next message will get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watermarks {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

/// A member of a consumer group.
pub(crate) struct KafkaSource {
    pub(crate) name: String,
    consumer: BaseConsumer<Told>,
}

impl KafkaSource {
    /// Joins the group.
    pub(crate) fn connect(options: &KafkaOptions) -> Result<Self, KafkaError> {
        let mut config = ClientConfig::new();
        config
            .set("group.id", "trailhound")
            .set("client.id", "trailhound")
            .set("queued.max.messages.kbytes", FETCHED_AHEAD_KIB);
        // With its queue full the client would else not fetch for a whole second: a backlog then comes at a queue a second.
        config.set("fetch.queue.backoff.ms", "10");
        // Messages damaged on their way or at the broker are told, not taken for events.
        config.set("check.crcs", "true");
        // A new partition is noticed within this time.
        config
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("statistics.interval.ms", "1000");
        for (key, value) in &options.settings {
            config.set(key, value);
        }
        // Where to start is the lake's to say, and an offset that is gone is an error to be told, never a silent restart.
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error");
        config
            .set("partition.assignment.strategy", "range,roundrobin")
            .set("enable.partition.eof", "false");
        let consumer = BaseConsumer::from_config_and_context(&config, Told::default())?;
        consumer.subscribe(&options.topics.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(Self { name: options.name.clone(), consumer })
    }

    /// The next message within `timeout`.
    pub(crate) fn poll(
        &self,
        timeout: Duration,
    ) -> Option<Result<BorrowedMessage<'_>, KafkaError>> {
        self.consumer.poll(timeout)
    }

    /// A change of assignment that waits for [`KafkaSource::assign`] or [`KafkaSource::unassign`].
    pub(crate) fn change(&self) -> Option<Change> {
        lock(&self.consumer.context().changes).pop_front()
    }

    /// What the broker has of a partition.
    pub(crate) fn watermarks(&self, of: &TopicPartition) -> Result<Watermarks, KafkaError> {
        let (low, high) =
            self.consumer.fetch_watermarks(&of.topic, of.partition, WATERMARKS_WITHIN)?;
        Ok(Watermarks { low: low.max(0).unsigned_abs(), high: high.max(0).unsigned_abs() })
    }

    /// The offset that the next message of `of` will get, as the broker last said.
    pub(crate) fn last_high(&self, of: &TopicPartition) -> Option<u64> {
        lock(&self.consumer.context().highs).get(of).copied()
    }

    /// True where the client has had a connection since `moment`, as far as it has told.
    pub(crate) fn reached_after(&self, moment: Instant) -> bool {
        lock(&self.consumer.context().reached).is_some_and(|reached| reached > moment)
    }

    /// Reads `partitions` from here on, each from the offset beside it (`None`: its beginning).
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

    /// Gives everything up.
    pub(crate) fn unassign(&self) -> Result<(), KafkaError> {
        self.consumer.unassign()
    }

    /// Tells the broker how far the lake is, for its tools.
    pub(crate) fn tell_lag(&self, positions: &[(TopicPartition, u64)]) {
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
            tracing::debug!(%error, source = self.name, "the broker took no offsets; only its lag display suffers");
        }
    }

    /// Stops or resumes fetching; the client keeps its place in the group either way.
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

/// True for an error that is over once a broker is reached again.
pub(crate) fn is_connection_trouble(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::AllBrokersDown | E::BrokerTransportFailure | E::Resolve | E::OperationTimedOut
    )
}

/// True for an error after which the client goes on behind messages that it could not read.
pub(crate) fn passes_over_messages(code: RDKafkaErrorCode) -> bool {
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
