//! Any HTTP server: one request a finding, signed as Standard Webhooks say (<https://www.standardwebhooks.com>).

use super::address::Allowed;
use super::post::Post;
use super::{Form, Sink};
use crate::store::outbox::{Delivery, OutboxMessage, ReportMessage};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

/// Findings that are taken at a time.
const MOST: usize = 32;
/// What a secret in Standard Webhooks' form begins with.
const SECRET_PREFIX: &str = "whsec_";

/// The sink.
pub struct Webhook {
    post: Post,
    form: Form,
    key: Option<ring::hmac::Key>,
    authorization: Option<HeaderValue>,
}

impl Webhook {
    /// A sink at `url`. With `secret` (base64, `whsec_` before it or not) requests are signed; `authorization` is sent as it is.
    ///
    /// # Errors
    /// A sentence that repeats no secret.
    pub fn new(
        url: Url,
        allowed: Allowed,
        ca: Option<&[u8]>,
        form: Form,
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
            post: Post::new(url, allowed, ca)?,
            form,
            key: key.transpose()?,
            authorization: authorization.transpose()?,
        })
    }

    async fn send(&self, id: &str, body: String) -> Delivery {
        let headers = match self.headers(id, &body) {
            Ok(headers) => headers,
            Err(reason) => return Delivery::Parked(reason),
        };
        match self.post.send(self.post.url().clone(), headers, body).await {
            Ok(answer) => answer.judged(),
            Err(delivery) => delivery,
        }
    }

    fn headers(&self, id: &str, body: &str) -> Result<HeaderMap, String> {
        let timestamp = chrono::Utc::now().timestamp().to_string();
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).map_err(|e| format!("{name}: {e}"))?;
            headers.insert(HeaderName::from_static(name), value);
            Ok::<_, String>(())
        };
        set("webhook-id", id)?;
        set("idempotency-key", id)?;
        set("webhook-timestamp", &timestamp)?;
        if let Some(key) = &self.key {
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
impl Sink for Webhook {
    fn most(&self) -> usize {
        MOST
    }

    async fn deliver(&mut self, parcels: &[OutboxMessage]) -> Vec<Delivery> {
        let mut deliveries = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            let delivery = self.send(&parcel.key(), self.form.text(parcel)).await;
            let failed = matches!(delivery, Delivery::Retry { .. });
            deliveries.push(delivery);
            if failed {
                break;
            }
        }
        deliveries.resize(parcels.len(), Delivery::Untried);
        deliveries
    }

    async fn report(&mut self, report: &ReportMessage) -> Delivery {
        let notice = &report.notice;
        let body =
            json!({"report": notice.subject, "figures": notice.figures, "places": notice.places});
        self.send(&report.id, body.to_string()).await
    }
}
