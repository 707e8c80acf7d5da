//! Kafka topics, and SLS Logstores through their Kafka-compatible endpoint.

mod consumer;
mod probe;
mod producer;

pub(crate) use consumer::{AssignmentChange, KafkaSource, is_connection_error, skips_messages};
pub use consumer::{KafkaOptions, TopicPartition, Watermarks};
pub use probe::{ProbeError, ProbedMessage, TopicProbe, TopicsLook};
pub use producer::TopicProducer;
/// Error of a [`TopicProducer`].
pub use rdkafka::error::KafkaError as SendError;
