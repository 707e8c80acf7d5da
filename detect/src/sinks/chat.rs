//! Robots of chat groups: DingTalk, Feishu, WeCom, Slack. A burst becomes one message; the text is plain, so that nothing in it is markup.

use super::address::Allowed;
use super::post::{Answer, Post};
use super::words::message;
use super::{Sink, all};
use crate::finding::Finding;
use crate::finding::language::Language;
use crate::store::outbox::{Delivery, OutboxMessage, ReportMessage};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::time::Duration;

/// Findings of one message.
const MOST: usize = 5000;
/// Bytes of one message, which every service takes.
const BYTES_MAX: usize = 2000;
/// The pause that a service is given which says that messages come too fast.
const TOO_FAST: Duration = Duration::from_secs(60);

/// Which service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// 钉钉 custom robot.
    Dingtalk,
    /// 飞书 (Lark) custom bot.
    Feishu,
    /// 企业微信 group robot.
    Wecom,
    /// Slack incoming webhook.
    Slack,
}

/// The sink.
pub struct Chat {
    service: Service,
    post: Post,
    secret: Option<String>,
    language: Language,
}

impl Chat {
    /// A robot of `service` at `url`; DingTalk's and Feishu's sign with `secret` where it is set.
    ///
    /// # Errors
    /// A sentence that repeats no secret.
    pub fn new(
        service: Service,
        url: Url,
        allowed: Allowed,
        ca: Option<&[u8]>,
        secret: Option<String>,
        language: Language,
    ) -> Result<Self, String> {
        if secret.is_some() && matches!(service, Service::Wecom | Service::Slack) {
            return Err("this service signs nothing; take `secret` out".to_owned());
        }
        Ok(Self { service, post: Post::new(url, allowed, ca)?, secret, language })
    }

    fn url(&self, now: chrono::DateTime<chrono::Utc>) -> Url {
        let mut url = self.post.url().clone();
        if let (Service::Dingtalk, Some(secret)) = (self.service, &self.secret) {
            let timestamp = now.timestamp_millis().to_string();
            let sign = signed(secret.as_bytes(), format!("{timestamp}\n{secret}").as_bytes());
            url.query_pairs_mut().append_pair("timestamp", &timestamp).append_pair("sign", &sign);
        }
        url
    }

    fn body(&self, text: &str, now: chrono::DateTime<chrono::Utc>) -> Value {
        match self.service {
            Service::Dingtalk | Service::Wecom => {
                json!({"msgtype": "text", "text": {"content": text}})
            }
            Service::Feishu => {
                let mut body = json!({"msg_type": "text", "content": {"text": text}});
                if let Some(secret) = &self.secret {
                    let timestamp = now.timestamp().to_string();
                    // Here the text that is elsewhere signed is the key.
                    body["sign"] = json!(signed(format!("{timestamp}\n{secret}").as_bytes(), b""));
                    body["timestamp"] = json!(timestamp);
                }
                body
            }
            Service::Slack => {
                let shown = text.replace('&', "&amp;");
                json!({"text": shown, "blocks": [{"type": "section", "text": {"type": "plain_text", "text": text, "emoji": false}}]})
            }
        }
    }

    async fn say(&self, text: &str) -> Delivery {
        let now = chrono::Utc::now();
        match self
            .post
            .send(self.url(now), HeaderMap::new(), self.body(text, now).to_string())
            .await
        {
            Ok(answer) => self.judged(&answer),
            Err(delivery) => delivery,
        }
    }

    /// What the service says in the body, which has the last word.
    fn judged(&self, answer: &Answer) -> Delivery {
        let judged = answer.judged();
        if !matches!(judged, Delivery::Delivered(_)) {
            return judged;
        }
        let code = |name: &str| {
            serde_json::from_str::<Value>(&answer.body)
                .ok()
                .and_then(|body| body.get(name).and_then(Value::as_i64))
        };
        let (code, too_fast): (_, &[i64]) = match self.service {
            Service::Dingtalk => (code("errcode"), &[-1, 130_101, 130_102, 410_100]),
            Service::Wecom => (code("errcode"), &[-1, 45_009, 45_033]),
            Service::Feishu => {
                (code("code").or_else(|| code("StatusCode")), &[9499, 11_232, 99_991_400])
            }
            Service::Slack => (if answer.body.trim() == "ok" { Some(0) } else { None }, &[]),
        };
        match code {
            Some(0) => judged,
            Some(code) if too_fast.contains(&code) => Delivery::Retry {
                reason: answer.said(),
                after: Some(answer.after().unwrap_or(TOO_FAST)),
                unsure: false,
            },
            _ => Delivery::Parked(answer.said()),
        }
    }
}

fn signed(key: &[u8], text: &[u8]) -> String {
    BASE64.encode(ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key), text))
}

#[async_trait]
impl Sink for Chat {
    fn most(&self) -> usize {
        MOST
    }

    fn pace(&self) -> Duration {
        match self.service {
            // Twenty messages a minute, or the robot is muted.
            Service::Dingtalk | Service::Wecom => Duration::from_millis(3100),
            Service::Feishu => Duration::from_millis(700),
            Service::Slack => Duration::from_millis(1100),
        }
    }

    async fn deliver(&mut self, parcels: &[OutboxMessage]) -> Vec<Delivery> {
        let findings: Vec<&Finding> = parcels.iter().map(|parcel| &parcel.finding).collect();
        all(parcels, &self.say(&message(&findings, self.language, BYTES_MAX)).await)
    }

    async fn report(&mut self, report: &ReportMessage) -> Delivery {
        self.say(&report.notice.text(BYTES_MAX)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_services() {
        // Computed with Python's hmac from the services' own descriptions.
        assert_eq!(
            signed(b"SECabc", b"1700000000000\nSECabc"),
            "jcUpW0QmtKduN03n4JqQ0PBosVjqnM8gU7fIIvsDmCM="
        );
        assert_eq!(
            signed(b"1700000000\nSECabc", b""),
            "XprR1de+0SSBnwWyU/4k6x2TL+Q2SJlM5NNEdAv7MWg="
        );
    }
}
