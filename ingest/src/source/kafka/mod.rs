//! Kafka topics, and SLS Logstores through their Kafka-compatible endpoint.

mod consumer;
mod producer;

pub(crate) use consumer::{
    AssignmentChange, KafkaSource, Watermarks, is_connection_error, skips_messages,
};
pub use consumer::{KafkaOptions, TopicPartition};
pub use producer::TopicProducer;
/// Error of a [`TopicProducer`].
pub use rdkafka::error::KafkaError as SendError;
