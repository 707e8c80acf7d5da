//! The Alertmanager sink: posts one alert per finding to the API v2 of Prometheus Alertmanager.
//! When a finding is withdrawn, the sink resolves its alert.

use crate::finding::FindingStatus;
use crate::finding::defang::defang;
use crate::sinks::address::AddressPolicy;
use crate::sinks::http::HttpPoster;
use crate::sinks::sink::{Sink, same_outcome};
use crate::store::outbox::{DeliveryOutcome, OutboxMessage};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// Maximum number of alerts in one request.
const BATCH_MAX: usize = 64;

/// A sink that posts alerts to Alertmanager.
pub struct AlertmanagerSink(HttpPoster);

impl AlertmanagerSink {
    /// Creates a sink that posts to `url`, which ends with `/api/v2/alerts`. `ca` holds additional
    /// root certificates in PEM.
    ///
    /// # Errors
    /// A message for the operator if `ca` holds no certificates or the HTTP client cannot be
    /// created.
    pub fn new(url: Url, policy: AddressPolicy, ca: Option<&[u8]>) -> Result<Self, String> {
        Ok(Self(HttpPoster::new(url, policy, ca)?))
    }
}

/// Creates the alert of one finding. If the finding is withdrawn, the alert ends at `now`.
fn alert(message: &OutboxMessage, now: DateTime<Utc>) -> Value {
    let finding = &message.finding;
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
    if finding.status == FindingStatus::Withdrawn {
        alert["endsAt"] = json!(now.to_rfc3339());
    }
    alert
}

#[async_trait]
impl Sink for AlertmanagerSink {
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn deliver(
        &mut self,
        messages: &[OutboxMessage],
        now: DateTime<Utc>,
    ) -> Vec<DeliveryOutcome> {
        let alerts: Vec<Value> = messages.iter().map(|message| alert(message, now)).collect();
        let body = Value::Array(alerts).to_string();
        let posted = self.0.post(self.0.url().clone(), HeaderMap::new(), body, now).await;
        let outcome = posted.map_or_else(|outcome| outcome, |response| response.outcome());
        same_outcome(messages, &outcome)
    }
}
