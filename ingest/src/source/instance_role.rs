//! Temporary keys of the role that an ECS instance has been given, from the metadata service that the instance alone reaches.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
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

/// Where an instance finds the service.
pub const METADATA_ENDPOINT: &str = "http://100.100.100.200";
/// Keys are asked for anew so long before they end.
const RENEWED_BEFORE: TimeDelta = TimeDelta::minutes(10);
/// How long a token of the service is good for, in seconds.
const TOKEN_SECONDS: &str = "21600";

/// The keys of an instance's role, asked for when they are needed and again before they end.
#[derive(Debug)]
pub(crate) struct InstanceRole {
    client: HttpClient,
    endpoint: String,
    /// Name of the role; asked for where nobody has given it.
    role: Option<String>,
    held: Mutex<Option<(Arc<AwsCredential>, DateTime<Utc>)>>,
}

/// The service's answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    code: String,
    access_key_id: String,
    access_key_secret: String,
    security_token: String,
    expiration: DateTime<Utc>,
}

impl InstanceRole {
    /// The keys of `role`, or of whatever role the instance has, from the service at `endpoint`.
    pub(crate) fn new(endpoint: &str, role: Option<String>) -> object_store::Result<Self> {
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_timeout(Duration::from_secs(5))
            .with_connect_timeout(Duration::from_secs(2));
        let client = ReqwestConnector::default().connect(&options)?;
        Ok(Self {
            client,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            role,
            held: Mutex::new(None),
        })
    }

    async fn ask(&self) -> Result<(Arc<AwsCredential>, DateTime<Utc>), String> {
        // Instances may demand a token for every question; those that do not need none.
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
        let answer = self.request("GET", &format!("{roles}{role}"), token).await?;
        let answer: Answer = serde_json::from_str(&answer).map_err(|e| {
            format!("the keys of the role `{role}` are no JSON of the known form: {e}")
        })?;
        if answer.code != "Success" {
            return Err(format!("the keys of the role `{role}`: {}", answer.code));
        }
        let keys = AwsCredential {
            key_id: answer.access_key_id,
            secret_key: answer.access_key_secret,
            token: Some(answer.security_token),
        };
        Ok((Arc::new(keys), answer.expiration))
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
        let answer = self.client.execute(request).await.map_err(|e| failed(&e))?;
        if !answer.status().is_success() {
            return Err(failed(&answer.status()));
        }
        let body = answer.into_body().bytes().await.map_err(|e| failed(&e))?;
        String::from_utf8(body.to_vec()).map_err(|e| failed(&e))
    }
}

#[async_trait]
impl CredentialProvider for InstanceRole {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut held = self.held.lock().await;
        if let Some((keys, until)) = &*held
            && *until > Utc::now() + RENEWED_BEFORE
        {
            return Ok(Arc::clone(keys));
        }
        match self.ask().await {
            Ok((keys, until)) => {
                *held = Some((Arc::clone(&keys), until));
                Ok(keys)
            }
            // Those at hand are good to their very end.
            Err(reason) => match &*held {
                Some((keys, until)) if *until > Utc::now() => Ok(Arc::clone(keys)),
                _ => Err(object_store::Error::Generic {
                    store: "instance role",
                    source: reason.into(),
                }),
            },
        }
    }
}
