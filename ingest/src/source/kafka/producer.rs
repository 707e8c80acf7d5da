//! A producer of sample traffic, for trying the live ingest.

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time within which the broker must acknowledge all messages.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends messages to one topic.
pub struct TopicProducer {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl TopicProducer {
    /// A producer for `topic`, with client `settings` by librdkafka's names.
    ///
    /// # Errors
    /// [`KafkaError`] where the client refuses the settings.
    pub fn connect(settings: &BTreeMap<String, String>, topic: &str) -> Result<Self, KafkaError> {
        let mut config = ClientConfig::new();
        config.set("linger.ms", "5").set("enable.idempotence", "true");
        for (key, value) in settings {
            config.set(key, value);
        }
        Ok(Self { producer: config.create()?, topic: topic.to_owned() })
    }

    /// Queues a message; waits while the client's queue is full.
    ///
    /// # Errors
    /// [`KafkaError`] where the client refuses the message.
    #[expect(
        clippy::disallowed_methods,
        reason = "the client offers no event for room in its queue"
    )]
    pub fn send(&self, key: Option<&str>, value: &[u8]) -> Result<(), KafkaError> {
        loop {
            let mut record = BaseRecord::<str, [u8]>::to(&self.topic).payload(value);
            if let Some(key) = key {
                record = record.key(key);
            }
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Waits until the broker has acknowledged all messages.
    ///
    /// # Errors
    /// [`KafkaError`] where that takes longer than a minute.
    pub fn flush(&self) -> Result<(), KafkaError> {
        self.producer.flush(FLUSH_TIMEOUT)
    }
}
