//! Objects of a bucket, through the S3 interface that OSS and others offer: found by listing, fetched in parallel, handed
//! to the engine whole. What has been read is told by the lake's positions.

use super::instance_role::InstanceRole;
use super::object_name::ObjectName;
use bytes::Bytes;
use chrono::{DateTime, Days, NaiveDate, Utc};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};
use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use trailhound_datasets::reject::{Code, Reject};

/// Objects fetched at a time.
const FETCHES: usize = 4;
/// Times a listing is asked for before the round goes on without it, and the pause between.
const ANSWERS_TRIED: u32 = 4;
const TRIED_AFTER: Duration = Duration::from_millis(200);
/// Folders above the years that are looked into: trail, kind, resource directory, account, region.
const FOLDERS_DEEP: usize = 6;
/// Larger objects are set aside: no trail writes them.
const OBJECT_BYTES_MAX: u64 = 256 << 20;
/// What is kept of them, in bytes.
const TOO_LARGE_KEPT: u64 = 64 << 10;

/// How to reach a bucket.
#[derive(Debug, Clone)]
pub struct OssOptions {
    /// Name of the source in positions and rows.
    pub name: String,
    /// Bucket.
    pub bucket: String,
    /// Endpoint with its scheme, for instance `https://oss-cn-hangzhou.aliyuncs.com`.
    pub endpoint: String,
    /// Region for signing.
    pub region: String,
    /// Keys start with this.
    pub prefix: String,
    /// Bucket in the host name, as OSS demands, and not in the path.
    pub virtual_hosted: bool,
    /// What signs requests; they are unsigned without.
    pub credentials: Option<Credentials>,
    /// Days listed again each time, counted back from the present: late objects are found within them.
    pub window_days: u32,
    /// First day to read when the source begins.
    pub since: Option<NaiveDate>,
    /// Pause between two listings.
    pub every: Duration,
}

/// What signs requests.
#[derive(Clone)]
pub enum Credentials {
    /// A key that was given.
    Key {
        /// AccessKey id.
        id: String,
        /// AccessKey secret.
        secret: String,
        /// Security token of temporary keys.
        token: Option<String>,
    },
    /// The keys of the instance's role, renewed before they end.
    InstanceRole {
        /// Where the metadata service is.
        endpoint: String,
        /// Name of the role; the service is asked for it without.
        role: Option<String>,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// Why a bucket cannot be read.
#[derive(Debug, Error)]
pub enum OssError {
    /// The store said no, or could not be reached.
    #[error(transparent)]
    Store(#[from] object_store::Error),
    /// An object came in another length than it was listed with, though it is the same.
    #[error("{got} bytes came of an object that is listed with {listed}")]
    Cut {
        /// Bytes that came.
        got: u64,
        /// Bytes it has.
        listed: u64,
    },
}

/// An object fetched.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) key: String,
    /// Which content this is: entity tag, else size and time of change.
    pub(crate) incarnation: String,
    pub(crate) name: Option<ObjectName>,
    pub(crate) content: Content,
}

/// What an object holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Whole(Bytes),
    /// Too large to be an export: only its beginning was looked at.
    TooLarge(Reject),
}

/// A bucket.
pub(crate) struct Bucket {
    store: AmazonS3,
    options: OssOptions,
}

impl Bucket {
    pub(crate) fn new(options: &OssOptions) -> Result<Self, OssError> {
        let client = ClientOptions::new()
            .with_allow_http(options.endpoint.starts_with("http://"))
            .with_timeout(Duration::from_secs(120))
            .with_connect_timeout(Duration::from_secs(10));
        let retry = RetryConfig {
            max_retries: 5,
            retry_timeout: Duration::from_secs(60),
            ..RetryConfig::default()
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&options.bucket)
            .with_region(&options.region)
            .with_endpoint(endpoint(options))
            .with_virtual_hosted_style_request(options.virtual_hosted)
            .with_client_options(client)
            .with_retry(retry);
        builder = match &options.credentials {
            Some(Credentials::Key { id, secret, token }) => {
                let signed = builder.with_access_key_id(id).with_secret_access_key(secret);
                match token {
                    Some(token) => signed.with_token(token),
                    None => signed,
                }
            }
            Some(Credentials::InstanceRole { endpoint, role }) => {
                builder.with_credentials(Arc::new(InstanceRole::new(endpoint, role.clone())?))
            }
            None => builder.with_skip_signature(true),
        };
        Ok(Self { store: builder.build()?, options: options.clone() })
    }

    /// Folders in which objects of the days from `first` to `last` lie.
    pub(crate) async fn folders(
        &self,
        first: NaiveDate,
        last: NaiveDate,
    ) -> Result<Vec<Path>, OssError> {
        Ok(prefixes(&self.prefix(), &self.day_roots().await?, first, last))
    }

    /// Objects below `folder` that `known` (key to incarnation) does not hold as they are.
    pub(crate) async fn find(
        &self,
        folder: &Path,
        known: &HashMap<String, String>,
    ) -> Result<Vec<ObjectMeta>, OssError> {
        let is_wanted = |object: &ObjectMeta| {
            object.size > 0 && known.get(object.location.as_ref()) != Some(&incarnation(object))
        };
        tried(|| {
            self.store
                .list(Some(folder))
                .try_filter(|object| ready(is_wanted(object)))
                .try_collect()
                .boxed()
        })
        .await
    }

    fn prefix(&self) -> Path {
        Path::from(self.options.prefix.as_str())
    }

    /// Folders whose folders are years: where a trail lays its days.
    async fn day_roots(&self) -> Result<Vec<Path>, OssError> {
        let mut roots = Vec::new();
        let mut level = vec![self.prefix()];
        for _ in 0..FOLDERS_DEEP {
            let mut next = Vec::new();
            for folder in level {
                let below = tried(|| self.store.list_with_delimiter(Some(&folder)).boxed())
                    .await?
                    .common_prefixes;
                let years =
                    below.iter().any(|path| path.filename().is_some_and(|name| is_number(name, 4)));
                if years {
                    roots.push(folder);
                } else {
                    next.extend(below);
                }
            }
            level = next;
        }
        Ok(roots)
    }

    /// Fetches `objects`, some at a time, in order.
    pub(crate) fn fetch(
        &self,
        objects: Vec<ObjectMeta>,
    ) -> impl futures::Stream<Item = (String, Result<Fetched, OssError>)> + '_ {
        futures::stream::iter(objects)
            .map(move |object| async move {
                (object.location.to_string(), self.fetch_one(&object).await)
            })
            .buffered(FETCHES)
    }

    async fn fetch_one(&self, object: &ObjectMeta) -> Result<Fetched, OssError> {
        let key = object.location.to_string();
        let name = ObjectName::parse(&key);
        if object.size > OBJECT_BYTES_MAX {
            let raw = self.store.get_range(&object.location, 0..TOO_LARGE_KEPT).await?;
            return Ok(Fetched {
                key,
                incarnation: incarnation(object),
                name,
                content: Content::TooLarge(too_large(object.size, &raw)),
            });
        }
        let (mut incarnation, mut content) = self.get(object).await?;
        if name.as_ref().is_some_and(|name| !matches_name(name, &content)) {
            // Perhaps it was being written: looked at once more, and then taken as it is.
            (incarnation, content) = self.get(object).await?;
        }
        Ok(Fetched { key, incarnation, name, content: Content::Whole(content) })
    }

    /// Which content an object has now, and the content.
    async fn get(&self, object: &ObjectMeta) -> Result<(String, Bytes), OssError> {
        let answer = self.store.get(&object.location).await?;
        let incarnation = incarnation(&answer.meta);
        let content = answer.bytes().await?;
        // The same content has the same length: something on the way has cut it.
        if incarnation == self::incarnation(object) && content.len() as u64 != object.size {
            return Err(OssError::Cut { got: content.len() as u64, listed: object.size });
        }
        Ok((incarnation, content))
    }
}

/// Writing to a bucket: sample traffic, for trying the live service.
pub struct Writer(Bucket);

impl Writer {
    /// A writer to the bucket of `options`.
    ///
    /// # Errors
    /// What the client says of the settings.
    pub fn new(options: &OssOptions) -> Result<Self, OssError> {
        Bucket::new(options).map(Self)
    }

    /// Puts an object, in the place of what has been there.
    ///
    /// # Errors
    /// What the store says.
    pub async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), OssError> {
        self.0.store.put(&Path::from(key), content.into()).await?;
        Ok(())
    }
}

/// Asks again where an answer broke off: the client itself repeats only what was refused.
async fn tried<'f, T>(
    ask: impl Fn() -> BoxFuture<'f, object_store::Result<T>>,
) -> Result<T, OssError> {
    for _ in 1..ANSWERS_TRIED {
        match ask().await {
            Err(object_store::Error::Generic { .. }) => tokio::time::sleep(TRIED_AFTER).await,
            answer => return Ok(answer?),
        }
    }
    Ok(ask().await?)
}

/// Puts objects in the order of the times in their names, each once.
pub(crate) fn in_order(objects: &mut Vec<ObjectMeta>) {
    let mut seen = HashSet::new();
    objects.retain(|object| seen.insert(object.location.clone()));
    objects.sort_by_cached_key(|object| {
        let name = ObjectName::parse(object.location.as_ref()).map(|name| name.time);
        (name.unwrap_or_default(), object.location.to_string())
    });
}

/// Days whose folders are listed at `now`: the window, or everything from the first day wanted on the first time.
pub(crate) fn days(
    options: &OssOptions,
    now: DateTime<Utc>,
    first_time: bool,
) -> (NaiveDate, NaiveDate) {
    let today = now.date_naive();
    let window = today.checked_sub_days(Days::new(options.window_days.into())).unwrap_or(today);
    let first =
        if first_time { options.since.map_or(window, |since| since.min(window)) } else { window };
    (first, today.succ_opt().unwrap_or(today))
}

/// The folders to list: one a day below each root; the whole prefix where nothing lies by days.
fn prefixes(whole: &Path, roots: &[Path], first: NaiveDate, last: NaiveDate) -> Vec<Path> {
    if roots.is_empty() {
        return vec![whole.clone()];
    }
    let days: Vec<NaiveDate> = first.iter_days().take_while(|day| *day <= last).collect();
    roots
        .iter()
        .flat_map(|root| {
            days.iter().map(move |day| Path::from(format!("{root}/{}", day.format("%Y/%m/%d"))))
        })
        .collect()
}

fn is_number(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit())
}

fn endpoint(options: &OssOptions) -> String {
    // The library wants the bucket in the endpoint's host where the style demands it there.
    match options.endpoint.split_once("://") {
        Some((scheme, host))
            if options.virtual_hosted && !host.starts_with(&format!("{}.", options.bucket)) =>
        {
            format!("{scheme}://{}.{host}", options.bucket)
        }
        _ => options.endpoint.clone(),
    }
}

fn too_large(bytes: u64, raw: &[u8]) -> Reject {
    Reject {
        code: Code::TooLarge,
        byte_offset: 0,
        expected: format!("an object of at most {OBJECT_BYTES_MAX} bytes"),
        found: format!("{bytes} bytes"),
        hint: "no trail writes such objects; if it is an export all the same, fetch it and run `trailhound ingest` on it",
        raw: raw.to_vec(),
        raw_length: Some(bytes),
    }
}

fn incarnation(object: &ObjectMeta) -> String {
    object
        .e_tag
        .clone()
        .unwrap_or_else(|| format!("{}:{}", object.size, object.last_modified.timestamp_micros()))
}

fn matches_name(name: &ObjectName, content: &[u8]) -> bool {
    use md5::{Digest, Md5};
    name.bytes == content.len() as u64 && format!("{:x}", Md5::digest(content)) == name.md5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn a_window_of_days_is_listed_below_each_root() {
        let roots = [
            Path::from("AliyunLogs/Actiontrail/cn-hangzhou"),
            Path::from("AliyunLogs/Actiontrail/cn-beijing"),
        ];
        let listed =
            prefixes(&Path::from("AliyunLogs"), &roots, day("2026-09-30"), day("2026-10-01"));
        let listed: Vec<&str> = listed.iter().map(AsRef::as_ref).collect();
        assert_eq!(
            listed,
            [
                "AliyunLogs/Actiontrail/cn-hangzhou/2026/09/30",
                "AliyunLogs/Actiontrail/cn-hangzhou/2026/10/01",
                "AliyunLogs/Actiontrail/cn-beijing/2026/09/30",
                "AliyunLogs/Actiontrail/cn-beijing/2026/10/01"
            ]
        );
        assert_eq!(
            prefixes(&Path::from("flat"), &[], day("2026-09-30"), day("2026-10-01")),
            [Path::from("flat")]
        );
    }
}
