//! The chat sinks: robots of DingTalk, Feishu, WeCom and Slack groups. All findings of a delivery
//! become one message, a digest if there are several. The message is plain text, so that nothing in
//! it is markup.

use crate::finding::Finding;
use crate::sinks::address::AddressPolicy;
use crate::sinks::http::{HttpPoster, HttpResponse};
use crate::sinks::message_text::{MessageStyle, message_text};
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
use trailhound_datasets::sanitize::sanitize;

/// The most findings of one message.
const BATCH_MAX: usize = 5000;
/// The longest keyword, in bytes.
const KEYWORD_BYTES_MAX: usize = 100;
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
    style: MessageStyle,
    keyword: Option<String>,
}

/// What a chat robot is given beside its address.
#[derive(Debug, Clone, Default)]
pub struct ChatOptions {
    /// The secret that requests to DingTalk and Feishu are signed with.
    pub secret: Option<String>,
    /// A word that every message begins with. DingTalk and Feishu can be set to accept only messages
    /// that contain it (自定义关键词).
    pub keyword: Option<String>,
    /// Language and time zone of messages.
    pub style: MessageStyle,
    /// Additional root certificates, in PEM.
    pub ca: Option<Vec<u8>>,
}

impl ChatSink {
    /// Makes a sink for the robot of `service` at `url`.
    ///
    /// # Errors
    /// A sentence where the service does not sign, the keyword is none, `ca` holds no certificates,
    /// or the client cannot be made. It quotes no secret.
    pub fn new(
        service: ChatService,
        url: Url,
        policy: AddressPolicy,
        options: ChatOptions,
    ) -> Result<Self, String> {
        let ChatOptions { secret, keyword, style, ca } = options;
        if secret.is_some() && matches!(service, ChatService::Wecom | ChatService::Slack) {
            return Err("this service signs nothing; take `secret` out".to_owned());
        }
        if let Some(keyword) = &keyword {
            check_keyword(keyword)?;
        }
        let poster = HttpPoster::new(url, policy, ca.as_deref())?;
        Ok(Self { service, poster, secret, style, keyword })
    }

    /// The most bytes of a text, without the keyword in front of it. The request counts in bytes of
    /// JSON, in which a character takes up to twice the bytes that it has in the text.
    fn bytes_max(&self) -> usize {
        let bytes_max = match self.service {
            // Of 20,000 and 30,000 bytes of the request.
            ChatService::Dingtalk | ChatService::Feishu => 8000,
            // Of 2048 bytes of the text.
            ChatService::Wecom => 2000,
            // Of 3000 characters of the block.
            ChatService::Slack => 2900,
        };
        bytes_max - self.keyword.as_ref().map_or(0, |keyword| keyword.len() + 1)
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
        let body = match &self.keyword {
            Some(keyword) => self.body(&format!("{keyword} {text}"), now),
            None => self.body(text, now),
        };
        let body = body.to_string();
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
                .and_then(|body| body.get(name).and_then(whole_number))
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
            _ => DeliveryOutcome::DeadLettered(self.refusal(code, response)),
        }
    }

    /// The answer of a service that refuses the message, with what to do where that is known.
    fn refusal(&self, code: Option<i64>, response: &HttpResponse) -> String {
        let is_about_keyword = match self.service {
            // This code also stands for a wrong signature and a wrong address.
            ChatService::Dingtalk => {
                code == Some(310_000) && response.body().to_lowercase().contains("keyword")
            }
            ChatService::Feishu => code == Some(19_024),
            ChatService::Wecom | ChatService::Slack => false,
        };
        let summary = response.summary();
        match (is_about_keyword, &self.keyword) {
            (false, _) => summary,
            (true, None) => format!(
                "{summary}: the robot takes only messages that contain its keyword; write `keyword = \"...\"` for this sink"
            ),
            (true, Some(keyword)) => format!(
                "{summary}: the robot's keyword is not `{keyword}`, which this sink has as its `keyword`"
            ),
        }
    }
}

/// Checks that a keyword is a short text on one line.
fn check_keyword(keyword: &str) -> Result<(), String> {
    let is_text = !keyword.trim().is_empty() && sanitize(keyword) == keyword;
    if is_text && keyword.len() <= KEYWORD_BYTES_MAX {
        return Ok(());
    }
    Err(format!(
        "keyword: write a word of at most {KEYWORD_BYTES_MAX} bytes, without line breaks and control characters"
    ))
}

/// A whole number, also one that is written as text.
fn whole_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
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
        let text = message_text(&findings, self.style, self.bytes_max());
        same_outcome(messages, &self.post_text(&text, now).await)
    }

    async fn deliver_report(
        &mut self,
        report: &ReportMessage,
        now: DateTime<Utc>,
    ) -> DeliveryOutcome {
        self.post_text(&report.notice.text(self.bytes_max()), now).await
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
