//! The Kafka sink: one message per finding. The finding's id is the key, so that a compacted topic
//! keeps the newest revision.

use crate::sinks::sink::{PayloadFormat, Sink};
use crate::store::outbox::{DeliveryOutcome, OutboxMessage};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use std::collections::BTreeMap;
use std::time::Duration;

/// Maximum number of findings in flight.
const BATCH_MAX: usize = 1000;
/// How long a message may wait for the broker's acknowledgement.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);

/// A sink that produces to a Kafka topic.
pub struct KafkaSink {
    producer: FutureProducer,
    topic: String,
    format: PayloadFormat,
}

impl KafkaSink {
    /// Makes a sink that produces to `topic`. `settings` are settings of the client by librdkafka's
    /// names.
    ///
    /// # Errors
    /// A sentence where the client rejects a setting.
    pub fn new(
        settings: &BTreeMap<String, String>,
        topic: &str,
        format: PayloadFormat,
    ) -> Result<Self, String> {
        let mut config = ClientConfig::new();
        config
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", SEND_TIMEOUT.as_millis().to_string());
        config.extend(settings.clone());
        let producer = config.create().map_err(|e| e.to_string())?;
        Ok(Self { producer, topic: topic.to_owned(), format })
    }

    async fn send(&self, message: &OutboxMessage) -> DeliveryOutcome {
        let (body, revision) = (self.format.encode(message), message.revision.to_string());
        let headers =
            OwnedHeaders::new().insert(Header { key: "revision", value: Some(&revision) });
        let record = FutureRecord::to(&self.topic)
            .key(&message.finding.finding_id)
            .payload(&body)
            .headers(headers);
        match self.producer.send(record, SEND_TIMEOUT).await {
            Ok(at) => DeliveryOutcome::Delivered(format!(
                "{}[{}]@{}",
                self.topic, at.partition, at.offset
            )),
            Err((error, _)) => failed(&error),
        }
    }
}

/// The outcome of a message that the broker did not acknowledge.
fn failed(error: &KafkaError) -> DeliveryOutcome {
    let code = error.rdkafka_error_code();
    match code {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            DeliveryOutcome::DeadLettered(error.to_string())
        }
        // The message never left the client.
        Some(RDKafkaErrorCode::QueueFull) => {
            DeliveryOutcome::Retry { reason: error.to_string(), after: None, unsure: false }
        }
        _ => DeliveryOutcome::Retry { reason: error.to_string(), after: None, unsure: true },
    }
}

#[async_trait]
impl Sink for KafkaSink {
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn deliver(
        &mut self,
        messages: &[OutboxMessage],
        _now: DateTime<Utc>,
    ) -> Vec<DeliveryOutcome> {
        join_all(messages.iter().map(|message| self.send(message))).await
    }
}
