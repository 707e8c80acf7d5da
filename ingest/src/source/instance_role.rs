//! Temporary keys of an ECS instance's role, from the instance metadata service.

use crate::clock::Clock;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use object_store::ClientOptions;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use object_store::client::{
    HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector,
};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Largest response of the metadata service, in bytes.
const RESPONSE_BYTES_MAX: usize = 64 << 10;
/// Address of the metadata service as seen from an instance.
pub const METADATA_ENDPOINT: &str = "http://100.100.100.200";
/// Time before their expiry at which keys are renewed.
const RENEW_BEFORE: TimeDelta = TimeDelta::minutes(10);
/// Validity of a token of the metadata service, in seconds.
const TOKEN_SECONDS: &str = "21600";

/// Provides the keys of an instance's role. They are fetched when they are first needed and renewed before they expire.
pub(crate) struct InstanceRole {
    client: HttpClient,
    endpoint: String,
    /// Name of the role; `None` asks the metadata service for it.
    role: Option<String>,
    /// Compared with the expiry of the keys.
    clock: Clock,
    /// The keys in use, with their expiry.
    cached: Mutex<Option<(Arc<AwsCredential>, DateTime<Utc>)>>,
}

/// The metadata service's response.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleCredentials {
    code: String,
    access_key_id: String,
    access_key_secret: String,
    security_token: String,
    expiration: DateTime<Utc>,
}

impl std::fmt::Debug for InstanceRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstanceRole").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl InstanceRole {
    /// A provider of the keys of `role` (`None`: the instance's role) from the metadata service at `endpoint`.
    pub(crate) fn new(
        endpoint: &str,
        role: Option<String>,
        clock: Clock,
    ) -> object_store::Result<Self> {
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_timeout(Duration::from_secs(5))
            .with_connect_timeout(Duration::from_secs(2));
        let client = ReqwestConnector::default().connect(&options)?;
        Ok(Self {
            client,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            role,
            clock,
            cached: Mutex::new(None),
        })
    }

    /// Fetches the keys, with their expiry.
    async fn fetch(&self) -> Result<(Arc<AwsCredential>, DateTime<Utc>), String> {
        // Instances may require a token for every request; where they do not, the request works without.
        let token = self
            .request(
                "PUT",
                "/latest/api/token",
                Some(("x-aliyun-ecs-metadata-token-ttl-seconds", TOKEN_SECONDS)),
            )
            .await
            .ok();
        let token = token.as_deref().map(|token| ("x-aliyun-ecs-metadata-token", token));
        let roles = "/latest/meta-data/ram/security-credentials/";
        let role = match &self.role {
            Some(role) => role.clone(),
            None => self.request("GET", roles, token).await?.trim().to_owned(),
        };
        let response = self.request("GET", &format!("{roles}{role}"), token).await?;
        let response: RoleCredentials = serde_json::from_str(&response).map_err(|e| {
            format!(
                "the metadata service's response with the keys of the role `{role}` is invalid: {e}"
            )
        })?;
        if response.code != "Success" {
            return Err(format!("the keys of the role `{role}`: {}", response.code));
        }
        let keys = AwsCredential {
            key_id: response.access_key_id,
            secret_key: response.access_key_secret,
            token: Some(response.security_token),
        };
        Ok((Arc::new(keys), response.expiration))
    }

    async fn request(
        &self,
        method: &str,
        path: &str,
        header: Option<(&'static str, &str)>,
    ) -> Result<String, String> {
        let url = format!("{}{path}", self.endpoint);
        let failed = |e: &dyn std::fmt::Display| format!("`{url}`: {e}");
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method.parse().map_err(|e| failed(&e))?;
        *request.uri_mut() = url.parse().map_err(|e| failed(&e))?;
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value.trim().parse().map_err(|e| failed(&e))?);
        }
        let response = self.client.execute(request).await.map_err(|e| failed(&e))?;
        if !response.status().is_success() {
            return Err(failed(&response.status()));
        }
        let (mut body, mut chunks) = (Vec::new(), response.into_body().bytes_stream());
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.map_err(|e| failed(&e))?);
            if body.len() > RESPONSE_BYTES_MAX {
                return Err(failed(&format!("more than {RESPONSE_BYTES_MAX} bytes")));
            }
        }
        String::from_utf8(body).map_err(|e| failed(&e))
    }
}

#[async_trait]
impl CredentialProvider for InstanceRole {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut cached = self.cached.lock().await;
        let now = DateTime::from_timestamp_micros((self.clock)()).unwrap_or_default();
        if let Some((keys, expiry)) = &*cached
            && *expiry > now + RENEW_BEFORE
        {
            return Ok(Arc::clone(keys));
        }
        match self.fetch().await {
            Ok((keys, expiry)) => {
                *cached = Some((Arc::clone(&keys), expiry));
                Ok(keys)
            }
            // The cached keys are valid until their expiry.
            Err(reason) => match &*cached {
                Some((keys, expiry)) if *expiry > now => Ok(Arc::clone(keys)),
                _ => Err(object_store::Error::Generic {
                    store: "instance role",
                    source: reason.into(),
                }),
            },
        }
    }
}
