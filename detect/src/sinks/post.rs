//! HTTP requests of the sinks: to allowed addresses only, without redirects, within a time, and with what is answered read as far as it matters.

use super::address::Allowed;
use crate::store::outbox::Delivery;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use std::time::Duration;

/// For a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// For a request with its answer.
const REQUEST_MAX: Duration = Duration::from_secs(20);
/// What is read of an answer.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// What is told of one.
const TOLD_BYTES_MAX: usize = 200;
/// No longer is waited, whatever a server asks for.
const ASKED_MAX: Duration = Duration::from_secs(3600);

/// Posts JSON to one URL.
pub(super) struct Post {
    client: Client,
    allowed: Allowed,
    url: Url,
}

/// What a server has said.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
    after: Option<Duration>,
}

impl Post {
    /// A client for `url`. `ca` are further authorities that are believed, in PEM.
    pub(super) fn new(url: Url, allowed: Allowed, ca: Option<&[u8]>) -> Result<Self, String> {
        let mut client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would look names up itself, out of our sight.
            .no_proxy()
            .dns_resolver(std::sync::Arc::new(allowed.clone()))
            .connect_timeout(CONNECT_MAX)
            .timeout(REQUEST_MAX)
            .user_agent(concat!("trailhound/", env!("CARGO_PKG_VERSION")));
        for certificate in ca
            .map(reqwest::Certificate::from_pem_bundle)
            .transpose()
            .map_err(|e| told(&e))?
            .into_iter()
            .flatten()
        {
            client = client.add_root_certificate(certificate);
        }
        Ok(Self { client: client.build().map_err(|e| told(&e))?, allowed, url })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Posts `body` to `url`, which is the sink's with what a service wants signed in it.
    pub(super) async fn send(
        &self,
        url: Url,
        headers: HeaderMap,
        body: String,
    ) -> Result<Answer, Delivery> {
        if let Err(reason) = self.allowed.literal(&url) {
            return Err(Delivery::Parked(reason));
        }
        let request = self
            .client
            .post(url)
            .headers(headers)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let mut response = request.send().await.map_err(|e| retry(&e))?;
        let (status, after) = (response.status(), after(response.headers()));
        let mut bytes = Vec::new();
        // A body that breaks off may have been about to say no.
        while bytes.len() < ANSWER_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(retry(&error)),
            }
        }
        bytes.truncate(ANSWER_BYTES_MAX);
        Ok(Answer { status, body: String::from_utf8_lossy(&bytes).into_owned(), after })
    }
}

impl Answer {
    /// What an answer means by its status alone.
    pub(super) fn judged(&self) -> Delivery {
        let said = self.said();
        match self.status {
            status if status.is_success() => Delivery::Delivered(said),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Delivery::Retry { reason: said, after: self.after, unsure: false }
            }
            // It may have taken it before it failed.
            status if status.is_server_error() => {
                Delivery::Retry { reason: said, after: self.after, unsure: true }
            }
            status if status.is_redirection() => Delivery::Parked(format!(
                "{said}: redirects are not followed; write the URL it leads to"
            )),
            _ => Delivery::Parked(said),
        }
    }

    /// Status and first words.
    pub(super) fn said(&self) -> String {
        let words = crate::finding::language::cut(
            &trailhound_datasets::sanitize::sanitize(self.body.trim()),
            TOLD_BYTES_MAX,
        );
        if words.is_empty() {
            format!("HTTP {}", self.status.as_u16())
        } else {
            format!("HTTP {}: {words}", self.status.as_u16())
        }
    }

    /// The pause that was asked for.
    pub(super) fn after(&self) -> Option<Duration> {
        self.after
    }
}

fn after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let until = chrono::DateTime::parse_from_rfc2822(text).ok()?.to_utc();
            u64::try_from((until - chrono::Utc::now()).num_seconds()).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds).min(ASKED_MAX))
}

/// A request that got no answer.
fn retry(error: &reqwest::Error) -> Delivery {
    // Whoever was not reached has got nothing.
    Delivery::Retry { reason: told(error), after: None, unsure: !error.is_connect() }
}

/// The error with its causes, without the URL, which may hold a secret.
fn told(error: &reqwest::Error) -> String {
    let mut told = if error.is_timeout() {
        "it did not answer in time".to_owned()
    } else {
        "it could not be asked".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if !told.ends_with(&words) {
            told.push_str(": ");
            told.push_str(&words);
        }
        cause = error.source();
    }
    told
}
