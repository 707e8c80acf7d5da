//! A topic: one message a finding, its id the key, so that a compacted topic keeps the newest revision.

use super::{Form, Sink};
use crate::store::outbox::{Delivery, OutboxMessage};
use async_trait::async_trait;
use futures::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use std::collections::BTreeMap;
use std::time::Duration;

/// Findings on their way at a time.
const MOST: usize = 1000;
/// How long a message may wait for the broker.
const SEND_MAX: Duration = Duration::from_secs(20);

/// The sink.
pub struct KafkaSink {
    producer: FutureProducer,
    topic: String,
    form: Form,
}

impl KafkaSink {
    /// A producer to `topic`; `settings` are the client's, by librdkafka's names.
    ///
    /// # Errors
    /// A sentence where the client does not take a setting.
    pub fn new(
        settings: &BTreeMap<String, String>,
        topic: &str,
        form: Form,
    ) -> Result<Self, String> {
        let mut config = ClientConfig::new();
        config
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", SEND_MAX.as_millis().to_string());
        config.extend(settings.clone());
        let producer = config.create().map_err(|e| e.to_string())?;
        Ok(Self { producer, topic: topic.to_owned(), form })
    }

    async fn send(&self, parcel: &OutboxMessage) -> Delivery {
        let (body, revision) = (self.form.text(parcel), parcel.revision.to_string());
        let headers =
            OwnedHeaders::new().insert(Header { key: "revision", value: Some(&revision) });
        let record = FutureRecord::to(&self.topic)
            .key(&parcel.finding.finding_id)
            .payload(&body)
            .headers(headers);
        match self.producer.send(record, SEND_MAX).await {
            Ok(at) => {
                Delivery::Delivered(format!("{}[{}]@{}", self.topic, at.partition, at.offset))
            }
            Err((error, _)) => failed(&error),
        }
    }
}

fn failed(error: &KafkaError) -> Delivery {
    let code = error.rdkafka_error_code();
    match code {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            Delivery::Parked(error.to_string())
        }
        // It never left.
        Some(RDKafkaErrorCode::QueueFull) => {
            Delivery::Retry { reason: error.to_string(), after: None, unsure: false }
        }
        _ => Delivery::Retry { reason: error.to_string(), after: None, unsure: true },
    }
}

#[async_trait]
impl Sink for KafkaSink {
    fn most(&self) -> usize {
        MOST
    }

    async fn deliver(&mut self, parcels: &[OutboxMessage]) -> Vec<Delivery> {
        join_all(parcels.iter().map(|parcel| self.send(parcel))).await
    }
}
