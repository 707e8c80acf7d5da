//! Looks at a bucket without a lake: whether it can be reached, signed in to and listed, and what its newest objects are.

use super::client::{BucketClient, bounded_content};
use super::discovery::{BucketMap, discover};
use super::options::{OssError, OssOptions};
use crate::source::object_name::ObjectName;
use crate::survey::SourceSurvey;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::client::{HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};
use std::collections::HashSet;
use std::time::Duration;

/// Roots in which the newest objects are looked for.
const ROOTS_MAX: usize = 64;
/// Objects of a folder without days that are looked at.
const OBJECTS_MAX: usize = 20_000;
/// Time limit of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Larger objects are not fetched.
const SAMPLE_BYTES_MAX: u64 = 32 << 20;

/// A client that looks at one bucket.
pub struct BucketProbe {
    client: BucketClient,
    map: BucketMap,
}

/// An object that the probe has fetched.
#[derive(Debug, Clone)]
pub struct ProbedObject {
    /// Its key.
    pub key: String,
    /// When it was written: the time in its name, else the time at which the store received it.
    pub written_at: DateTime<Utc>,
    /// Its content; `None` where it is too large for a look.
    pub content: Option<Vec<u8>>,
}

/// Why a store refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreRefusal {
    /// The key is unknown, expired or does not match its secret.
    SignIn,
    /// The key may not do this.
    Permission,
    /// The region of the signature or of the endpoint is another than that of the bucket.
    Region,
    /// There is no such bucket.
    Bucket,
    /// The clocks differ by too much.
    Clock,
    /// The store cannot be reached.
    Unreachable,
    /// Any other reason.
    Other,
}

impl StoreRefusal {
    /// The reason in the text of an answer: its code, as S3 and OSS write it.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let has = |codes: &[&str]| codes.iter().any(|code| text.contains(code));
        if has(&["RequestTimeTooSkewed", "RequestExpired"]) {
            Self::Clock
        } else if has(&[
            "AuthorizationHeaderMalformed",
            "InvalidRegion",
            "PermanentRedirect",
            "specified endpoint",
            "IllegalLocationConstraint",
            "301 Moved",
        ]) {
            Self::Region
        } else if has(&[
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "InvalidSecurityToken",
            "SecurityTokenExpired",
            "ExpiredToken",
            "InvalidToken",
            "401 Unauthorized",
        ]) {
            Self::SignIn
        } else if has(&["NoSuchBucket", "InvalidBucketName"]) {
            Self::Bucket
        } else if has(&["AccessDenied", "403 Forbidden", "UserDisable"]) {
            Self::Permission
        } else if has(&["error sending request", "connect", "dns", "timed out", "timeout"]) {
            Self::Unreachable
        } else {
            Self::Other
        }
    }
}

impl BucketProbe {
    /// A probe of the bucket that `options` name.
    ///
    /// # Errors
    /// [`OssError`] where the options are invalid.
    pub fn new(options: &OssOptions) -> Result<Self, OssError> {
        let retry =
            RetryConfig { max_retries: 1, retry_timeout: REQUEST_TIMEOUT, ..Default::default() };
        Ok(Self {
            client: BucketClient::with_retry(options, retry, REQUEST_TIMEOUT)?,
            map: BucketMap::default(),
        })
    }

    /// The store's time, from the answer to a request that is not signed; `None` where the answer has none.
    ///
    /// # Errors
    /// Why the store does not answer.
    pub async fn store_time(&self) -> Result<Option<DateTime<Utc>>, String> {
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_timeout(REQUEST_TIMEOUT)
            .with_connect_timeout(REQUEST_TIMEOUT);
        let client = ReqwestConnector::default().connect(&options).map_err(|e| e.to_string())?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        let failed = |e: &dyn std::fmt::Display| e.to_string();
        *request.method_mut() = "HEAD".parse().map_err(|_| "no method".to_owned())?;
        *request.uri_mut() = self.client.url.parse().map_err(|_| "no address".to_owned())?;
        let response = client.execute(request).await.map_err(|e| failed(&e))?;
        let date = response.headers().get("date").and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| Some(DateTime::parse_from_rfc2822(date).ok()?.to_utc())))
    }

    /// Lists the folders of the bucket.
    ///
    /// # Errors
    /// [`OssError`].
    pub async fn look(&mut self) -> Result<SourceSurvey, OssError> {
        let prefix = &self.client.options.prefix;
        self.map = discover(&self.client.store, prefix, &mut HashSet::new()).await?;
        Ok(self.map.survey())
    }

    /// Fetches up to `count` of the newest objects below the roots that [`Self::look`] found, the newest first.
    ///
    /// # Errors
    /// [`OssError`].
    pub async fn newest(&self, count: usize) -> Result<Vec<ProbedObject>, OssError> {
        let mut objects = self.map.loose.clone();
        if self.map.roots.is_empty() {
            for folder in &self.map.start {
                objects.extend(self.objects(folder).await?);
            }
        }
        for root in self.map.roots.iter().take(ROOTS_MAX) {
            if let Some(day) = self.newest_day(root).await? {
                objects.extend(self.objects(&day).await?);
            }
        }
        objects.retain(|object| object.size > 0);
        objects.sort_by_cached_key(|object| std::cmp::Reverse(written_at(object)));
        objects.truncate(count);
        let mut fetched = Vec::new();
        for object in objects {
            let content = if object.size > SAMPLE_BYTES_MAX {
                None
            } else {
                let response = self.client.store.get(&object.location).await?;
                Some(bounded_content(response, object.size).await?.to_vec())
            };
            let (key, written_at) = (object.location.to_string(), written_at(&object));
            fetched.push(ProbedObject { key, written_at, content });
        }
        Ok(fetched)
    }

    /// The newest day folder below `root`.
    async fn newest_day(&self, root: &Path) -> Result<Option<Path>, OssError> {
        let mut folder = root.clone();
        for length in [4, 2, 2] {
            let below = self.client.store.list_with_delimiter(Some(&folder)).await?;
            let is_number = |path: &&Path| {
                let name = path.filename().unwrap_or_default();
                name.len() == length && name.bytes().all(|b| b.is_ascii_digit())
            };
            match below.common_prefixes.iter().filter(is_number).max() {
                Some(newest) => folder = newest.clone(),
                None => return Ok(None),
            }
        }
        Ok(Some(folder))
    }

    async fn objects(&self, folder: &Path) -> Result<Vec<ObjectMeta>, OssError> {
        let listed = self.client.store.list(Some(folder)).take(OBJECTS_MAX);
        Ok(listed.try_collect().await?)
    }
}

/// When an object was written: the time in its name, else the time at which the store received it.
fn written_at(object: &ObjectMeta) -> DateTime<Utc> {
    let named = ObjectName::parse(object.location.as_ref())
        .and_then(|name| chrono::NaiveDateTime::parse_from_str(&name.time, "%Y%m%d%H%M%S").ok());
    named.map_or(object.last_modified, |time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_answer_says_what_is_wrong() {
        for (text, refusal) in [
            ("403 Forbidden: <Code>InvalidAccessKeyId</Code>", StoreRefusal::SignIn),
            ("403 Forbidden: <Code>SignatureDoesNotMatch</Code>", StoreRefusal::SignIn),
            ("400 Bad Request: <Code>AuthorizationHeaderMalformed</Code>", StoreRefusal::Region),
            (
                "403 Forbidden: <Code>AccessDenied</Code><Message>The bucket you are attempting to access must be addressed using the specified endpoint.</Message>",
                StoreRefusal::Region,
            ),
            ("403 Forbidden: <Code>AccessDenied</Code>", StoreRefusal::Permission),
            ("403 Forbidden: <Code>RequestTimeTooSkewed</Code>", StoreRefusal::Clock),
            ("404 Not Found: <Code>NoSuchBucket</Code>", StoreRefusal::Bucket),
            ("error sending request for url (http://127.0.0.1:1/)", StoreRefusal::Unreachable),
            ("something else", StoreRefusal::Other),
        ] {
            assert_eq!(StoreRefusal::of(text), refusal, "{text}");
        }
    }
}
