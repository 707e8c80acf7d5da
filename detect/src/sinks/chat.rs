//! The chat sinks: robots of DingTalk, Feishu, WeCom and Slack groups. All findings of a delivery
//! become one message, a digest if there are several. The message is plain text, so that nothing in
//! it is markup.

use crate::finding::Finding;
use crate::finding::language::Language;
use crate::sinks::address::AddressPolicy;
use crate::sinks::http::{HttpPoster, HttpResponse};
use crate::sinks::message_text::message_text;
use crate::sinks::sink::{Sink, same_outcome};
use crate::store::outbox::{DeliveryOutcome, OutboxMessage, ReportMessage};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::time::Duration;

/// The most findings of one message.
const BATCH_MAX: usize = 5000;
/// The most bytes of one message; every service accepts this size.
const BYTES_MAX: usize = 2000;
/// The pause after a service's rate limit was hit, where the service does not name one.
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(60);

/// A chat service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatService {
    /// 钉钉 custom robot.
    Dingtalk,
    /// 飞书 (Lark) custom bot.
    Feishu,
    /// 企业微信 group robot.
    Wecom,
    /// Slack incoming webhook.
    Slack,
}

/// A sink that posts messages to a robot of a chat group.
pub struct ChatSink {
    service: ChatService,
    poster: HttpPoster,
    secret: Option<String>,
    language: Language,
}

impl ChatSink {
    /// Makes a sink for the robot of `service` at `url`. With `secret`, requests to DingTalk and
    /// Feishu are signed. `ca` are additional root certificates, in PEM.
    ///
    /// # Errors
    /// A sentence where the service does not sign, `ca` holds no certificates, or the client cannot
    /// be made. It quotes no secret.
    pub fn new(
        service: ChatService,
        url: Url,
        policy: AddressPolicy,
        ca: Option<&[u8]>,
        secret: Option<String>,
        language: Language,
    ) -> Result<Self, String> {
        if secret.is_some() && matches!(service, ChatService::Wecom | ChatService::Slack) {
            return Err("this service signs nothing; take `secret` out".to_owned());
        }
        Ok(Self { service, poster: HttpPoster::new(url, policy, ca)?, secret, language })
    }

    /// The URL of the robot, with DingTalk's signature.
    fn signed_url(&self, now: DateTime<Utc>) -> Url {
        let mut url = self.poster.url().clone();
        if let (ChatService::Dingtalk, Some(secret)) = (self.service, &self.secret) {
            let timestamp = now.timestamp_millis().to_string();
            let sign = hmac_base64(secret.as_bytes(), format!("{timestamp}\n{secret}").as_bytes());
            url.query_pairs_mut().append_pair("timestamp", &timestamp).append_pair("sign", &sign);
        }
        url
    }

    /// The request body that posts `text`, with Feishu's signature.
    fn body(&self, text: &str, now: DateTime<Utc>) -> Value {
        match self.service {
            ChatService::Dingtalk | ChatService::Wecom => {
                json!({"msgtype": "text", "text": {"content": text}})
            }
            ChatService::Feishu => {
                let mut body = json!({"msg_type": "text", "content": {"text": text}});
                if let Some(secret) = &self.secret {
                    let timestamp = now.timestamp().to_string();
                    // Feishu uses the string to sign as the key, and signs an empty text.
                    body["sign"] =
                        json!(hmac_base64(format!("{timestamp}\n{secret}").as_bytes(), b""));
                    body["timestamp"] = json!(timestamp);
                }
                body
            }
            ChatService::Slack => {
                let escaped = text.replace('&', "&amp;");
                json!({"text": escaped, "blocks": [{"type": "section", "text": {"type": "plain_text", "text": text, "emoji": false}}]})
            }
        }
    }

    /// Posts `text` to the group.
    async fn post_text(&self, text: &str, now: DateTime<Utc>) -> DeliveryOutcome {
        let body = self.body(text, now).to_string();
        let posted = self.poster.post(self.signed_url(now), HeaderMap::new(), body, now).await;
        posted.map_or_else(|outcome| outcome, |response| self.outcome(&response))
    }

    /// The outcome by the status and by the service's error code in the body: these services report
    /// errors with status 200.
    fn outcome(&self, response: &HttpResponse) -> DeliveryOutcome {
        let by_status = response.outcome();
        if !matches!(by_status, DeliveryOutcome::Delivered(_)) {
            return by_status;
        }
        let code = |name: &str| {
            serde_json::from_str::<Value>(response.body())
                .ok()
                .and_then(|body| body.get(name).and_then(Value::as_i64))
        };
        let (code, rate_limited): (_, &[i64]) = match self.service {
            ChatService::Dingtalk => (code("errcode"), &[-1, 130_101, 130_102, 410_100]),
            ChatService::Wecom => (code("errcode"), &[-1, 45_009, 45_033]),
            ChatService::Feishu => {
                (code("code").or_else(|| code("StatusCode")), &[9499, 11_232, 99_991_400])
            }
            ChatService::Slack => {
                (if response.body().trim() == "ok" { Some(0) } else { None }, &[])
            }
        };
        match code {
            Some(0) => by_status,
            Some(code) if rate_limited.contains(&code) => DeliveryOutcome::Retry {
                reason: response.summary(),
                after: Some(response.retry_after().unwrap_or(RATE_LIMIT_PAUSE)),
                unsure: false,
            },
            _ => DeliveryOutcome::DeadLettered(response.summary()),
        }
    }
}

/// Returns the HMAC-SHA256 of `text` in base64.
fn hmac_base64(key: &[u8], text: &[u8]) -> String {
    BASE64.encode(ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key), text))
}

#[async_trait]
impl Sink for ChatSink {
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    fn min_pause(&self) -> Duration {
        match self.service {
            // The services mute a robot that posts more than 20 messages a minute.
            ChatService::Dingtalk | ChatService::Wecom => Duration::from_millis(3100),
            ChatService::Feishu => Duration::from_millis(700),
            ChatService::Slack => Duration::from_millis(1100),
        }
    }

    async fn deliver(
        &mut self,
        messages: &[OutboxMessage],
        now: DateTime<Utc>,
    ) -> Vec<DeliveryOutcome> {
        let findings: Vec<&Finding> = messages.iter().map(|message| &message.finding).collect();
        let text = message_text(&findings, self.language, BYTES_MAX);
        same_outcome(messages, &self.post_text(&text, now).await)
    }

    async fn deliver_report(
        &mut self,
        report: &ReportMessage,
        now: DateTime<Utc>,
    ) -> DeliveryOutcome {
        self.post_text(&report.notice.text(BYTES_MAX), now).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_match_those_of_the_services() {
        // Computed with Python's hmac from the services' documentation.
        assert_eq!(
            hmac_base64(b"SECabc", b"1700000000000\nSECabc"),
            "jcUpW0QmtKduN03n4JqQ0PBosVjqnM8gU7fIIvsDmCM="
        );
        assert_eq!(
            hmac_base64(b"1700000000\nSECabc", b""),
            "XprR1de+0SSBnwWyU/4k6x2TL+Q2SJlM5NNEdAv7MWg="
        );
    }
}
