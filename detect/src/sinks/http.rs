//! HTTP requests of sinks. A request goes to allowed addresses only, follows no redirect, ends
//! within a time limit, and reads a bounded part of the response.

use crate::finding::language::cut;
use crate::sinks::address::AddressPolicy;
use crate::store::outbox::DeliveryOutcome;
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use std::time::Duration;
use trailhound_datasets::sanitize::sanitize;

/// Time limit of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of a request with its response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The most bytes read of a response.
const RESPONSE_BYTES_MAX: usize = 16 << 10;
/// The most bytes of a response that outcomes quote.
const QUOTE_BYTES_MAX: usize = 200;
/// The longest pause that a server can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Posts JSON to the URL of one sink.
pub(super) struct HttpPoster {
    client: Client,
    policy: AddressPolicy,
    url: Url,
}

/// The response of a server.
pub(super) struct HttpResponse {
    status: StatusCode,
    body: String,
    retry_after: Option<Duration>,
}

impl HttpPoster {
    /// Makes a client for `url`. `ca` are additional root certificates, in PEM.
    ///
    /// # Errors
    /// A sentence where `ca` holds no certificates or the client cannot be made.
    pub(super) fn new(url: Url, policy: AddressPolicy, ca: Option<&[u8]>) -> Result<Self, String> {
        let mut client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve names itself, past the address policy.
            .no_proxy()
            .dns_resolver(std::sync::Arc::new(policy.clone()))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("trailhound/", env!("CARGO_PKG_VERSION")));
        for certificate in ca
            .map(reqwest::Certificate::from_pem_bundle)
            .transpose()
            .map_err(|e| error_text(&e))?
            .into_iter()
            .flatten()
        {
            client = client.add_root_certificate(certificate);
        }
        Ok(Self { client: client.build().map_err(|e| error_text(&e))?, policy, url })
    }

    /// The URL of the sink.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Posts `body` to `url`: the URL of the sink, with a signature where the service wants one in
    /// the query. `now` is the present time.
    ///
    /// # Errors
    /// The outcome of a request without a complete response.
    pub(super) async fn post(
        &self,
        url: Url,
        headers: HeaderMap,
        body: String,
        now: DateTime<Utc>,
    ) -> Result<HttpResponse, DeliveryOutcome> {
        if let Err(reason) = self.policy.check_literal_host(&url) {
            return Err(DeliveryOutcome::DeadLettered(reason));
        }
        let request = self
            .client
            .post(url)
            .headers(headers)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let mut response = request.send().await.map_err(|e| failed_request(&e))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers(), now));
        let mut bytes = Vec::new();
        // A truncated body is a failure: the rest may have been an error message.
        while bytes.len() < RESPONSE_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(failed_request(&error)),
            }
        }
        bytes.truncate(RESPONSE_BYTES_MAX);
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Ok(HttpResponse { status, body, retry_after })
    }
}

impl HttpResponse {
    /// The outcome by the status alone.
    pub(super) fn outcome(&self) -> DeliveryOutcome {
        let summary = self.summary();
        match self.status {
            status if status.is_success() => DeliveryOutcome::Delivered(summary),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                DeliveryOutcome::Retry { reason: summary, after: self.retry_after, unsure: false }
            }
            // The server may have taken the message before it failed.
            status if status.is_server_error() => {
                DeliveryOutcome::Retry { reason: summary, after: self.retry_after, unsure: true }
            }
            status if status.is_redirection() => DeliveryOutcome::DeadLettered(format!(
                "{summary}: redirects are not followed; write the URL it leads to"
            )),
            _ => DeliveryOutcome::DeadLettered(summary),
        }
    }

    /// The status and the beginning of the body, sanitized.
    pub(super) fn summary(&self) -> String {
        let quote = cut(&sanitize(self.body.trim()), QUOTE_BYTES_MAX);
        if quote.is_empty() {
            format!("HTTP {}", self.status.as_u16())
        } else {
            format!("HTTP {}: {quote}", self.status.as_u16())
        }
    }

    /// The body, at most 16 KiB of it.
    pub(super) fn body(&self) -> &str {
        &self.body
    }

    /// The pause that the server asks for with `Retry-After`, at most an hour.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// Reads `Retry-After`: seconds, or a date that is compared with `now`.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let until = DateTime::parse_from_rfc2822(text).ok()?.to_utc();
            u64::try_from((until - now).num_seconds()).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// The outcome of a request without a complete response.
fn failed_request(error: &reqwest::Error) -> DeliveryOutcome {
    // A server that was not reached has received nothing.
    DeliveryOutcome::Retry { reason: error_text(error), after: None, unsure: !error.is_connect() }
}

/// The error with its causes, without the URL, which may hold a secret.
fn error_text(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "it did not answer in time".to_owned()
    } else {
        "it could not be asked".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}
