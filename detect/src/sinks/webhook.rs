//! The webhook sink: one HTTP request per finding, signed by the Standard Webhooks specification
//! (<https://www.standardwebhooks.com>).

use crate::sinks::address::AddressPolicy;
use crate::sinks::http::HttpPoster;
use crate::sinks::sink::{PayloadFormat, Sink};
use crate::store::outbox::{DeliveryOutcome, OutboxMessage, ReportMessage};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

/// The most findings of one delivery.
const BATCH_MAX: usize = 32;
/// The prefix of secrets in Standard Webhooks' format.
const SECRET_PREFIX: &str = "whsec_";

/// A sink that posts to any HTTP server.
pub struct WebhookSink {
    poster: HttpPoster,
    format: PayloadFormat,
    signing_key: Option<ring::hmac::Key>,
    authorization: Option<HeaderValue>,
}

impl WebhookSink {
    /// Makes a sink at `url`. With `secret` (base64, with or without the prefix `whsec_`) requests
    /// are signed. `authorization` is the value of the header of that name. `ca` are additional
    /// root certificates, in PEM.
    ///
    /// # Errors
    /// A sentence where the secret is not base64, `authorization` is not a header value, or `ca`
    /// holds no certificates. It quotes no secret.
    pub fn new(
        url: Url,
        policy: AddressPolicy,
        ca: Option<&[u8]>,
        format: PayloadFormat,
        secret: Option<&str>,
        authorization: Option<&str>,
    ) -> Result<Self, String> {
        let key = secret.map(|secret| {
            let bytes = BASE64.decode(secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret));
            bytes
                .map(|bytes| ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &bytes))
                .map_err(|_| "the secret must be base64".to_owned())
        });
        let authorization = authorization.map(|text| {
            let mut value = HeaderValue::from_str(text)
                .map_err(|_| "the authorization is no header value".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        });
        Ok(Self {
            poster: HttpPoster::new(url, policy, ca)?,
            format,
            signing_key: key.transpose()?,
            authorization: authorization.transpose()?,
        })
    }

    /// Posts `body`. `id` identifies the message and is the same when the message is sent again.
    async fn post(&self, id: &str, body: String, now: DateTime<Utc>) -> DeliveryOutcome {
        let headers = match self.headers(id, &body, now) {
            Ok(headers) => headers,
            Err(reason) => return DeliveryOutcome::DeadLettered(reason),
        };
        let posted = self.poster.post(self.poster.url().clone(), headers, body, now).await;
        posted.map_or_else(|outcome| outcome, |response| response.outcome())
    }

    /// The headers of Standard Webhooks: id, timestamp and signature.
    fn headers(&self, id: &str, body: &str, now: DateTime<Utc>) -> Result<HeaderMap, String> {
        let timestamp = now.timestamp().to_string();
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).map_err(|e| format!("{name}: {e}"))?;
            headers.insert(HeaderName::from_static(name), value);
            Ok::<_, String>(())
        };
        set("webhook-id", id)?;
        set("idempotency-key", id)?;
        set("webhook-timestamp", &timestamp)?;
        if let Some(key) = &self.signing_key {
            let tag = ring::hmac::sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
            set("webhook-signature", &format!("v1,{}", BASE64.encode(tag)))?;
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(reqwest::header::AUTHORIZATION, authorization.clone());
        }
        Ok(headers)
    }
}

#[async_trait]
impl Sink for WebhookSink {
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn deliver(
        &mut self,
        messages: &[OutboxMessage],
        now: DateTime<Utc>,
    ) -> Vec<DeliveryOutcome> {
        let mut outcomes = Vec::with_capacity(messages.len());
        for message in messages {
            let outcome = self.post(&message.key(), self.format.encode(message), now).await;
            let failed = matches!(outcome, DeliveryOutcome::Retry { .. });
            outcomes.push(outcome);
            if failed {
                break;
            }
        }
        outcomes.resize(messages.len(), DeliveryOutcome::NotAttempted);
        outcomes
    }

    async fn deliver_report(
        &mut self,
        report: &ReportMessage,
        now: DateTime<Utc>,
    ) -> DeliveryOutcome {
        let notice = &report.notice;
        let body =
            json!({"report": notice.subject, "figures": notice.figures, "places": notice.places});
        self.post(&report.id, body.to_string(), now).await
    }
}
