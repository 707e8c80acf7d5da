//! Prometheus Alertmanager's API, version 2: an alert a finding, ended when the finding no longer holds.

use super::address::Allowed;
use super::post::Post;
use super::{Sink, all};
use crate::finding::Status;
use crate::finding::defang::defang;
use crate::store::outbox::{Delivery, OutboxMessage};
use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// Alerts of one request.
const MOST: usize = 64;

/// The sink.
pub struct Alertmanager(Post);

impl Alertmanager {
    /// A sink at `url`, which ends with `/api/v2/alerts`.
    ///
    /// # Errors
    /// A sentence.
    pub fn new(url: Url, allowed: Allowed, ca: Option<&[u8]>) -> Result<Self, String> {
        Ok(Self(Post::new(url, allowed, ca)?))
    }
}

fn alert(parcel: &OutboxMessage) -> Value {
    let finding = &parcel.finding;
    let text = |text: &Option<String>| text.as_deref().map(defang).unwrap_or_default();
    let mut alert = json!({
        "labels": {"alertname": finding.rule_id, "severity": finding.severity.name(), "account_id": text(&finding.account_id), "finding_id": finding.finding_id},
        "annotations": {"summary": finding.title, "operator": text(&finding.operator.name), "source": defang(&finding.shown_source()),
                        "description": finding.why.iter().map(|why| defang(why)).collect::<Vec<_>>().join("; "), "runbook": finding.runbook,
                        "count": finding.count.to_string()},
    });
    if let Some(first) = &finding.first_seen {
        alert["startsAt"] = json!(first);
    }
    if finding.status == Status::Withdrawn {
        alert["endsAt"] = json!(chrono::Utc::now().to_rfc3339());
    }
    alert
}

#[async_trait]
impl Sink for Alertmanager {
    fn most(&self) -> usize {
        MOST
    }

    async fn deliver(&mut self, parcels: &[OutboxMessage]) -> Vec<Delivery> {
        let alerts: Vec<Value> = parcels.iter().map(alert).collect();
        let delivery = match self
            .0
            .send(self.0.url().clone(), HeaderMap::new(), Value::Array(alerts).to_string())
            .await
        {
            Ok(answer) => answer.judged(),
            Err(delivery) => delivery,
        };
        all(parcels, &delivery)
    }
}
