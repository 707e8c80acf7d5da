//! Objects of a bucket, read through the S3 interface of OSS and other stores: listed, then fetched whole and in parallel.
//! The positions in the lake record which objects were read already.

use super::instance_role::InstanceRole;
use super::object_name::ObjectName;
use crate::clock::Clock;
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
use trailhound_datasets::reject::{Reject, RejectCode};

/// Number of objects fetched in parallel.
const PARALLEL_FETCHES: usize = 4;
/// Attempts of a listing, and the pause between two of them.
const LISTING_ATTEMPTS: u32 = 4;
const LISTING_RETRY_DELAY: Duration = Duration::from_millis(200);
/// Levels of folders searched for those that hold years: trail, kind, resource directory, account, region.
const FOLDER_DEPTH_MAX: usize = 6;
/// Larger objects are quarantined, because no trail writes such objects.
const OBJECT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of them that the quarantine keeps.
const TOO_LARGE_KEPT_BYTES: u64 = 64 << 10;

/// Options of a bucket source.
#[derive(Debug, Clone)]
pub struct OssOptions {
    /// Name of the source, as stored in positions and rows.
    pub name: String,
    /// Name of the bucket.
    pub bucket: String,
    /// Endpoint with its scheme, for instance `https://oss-cn-hangzhou.aliyuncs.com`.
    pub endpoint: String,
    /// Region, which signatures contain.
    pub region: String,
    /// Prefix of the keys to read.
    pub prefix: String,
    /// The bucket is part of the host name, as OSS requires, and not of the path.
    pub virtual_hosted: bool,
    /// Credentials that sign requests; `None` leaves requests unsigned.
    pub credentials: Option<Credentials>,
    /// Days before the present that every listing covers, so that late objects are found.
    pub window_days: u32,
    /// First day to read when the source is new.
    pub since: Option<NaiveDate>,
    /// Interval between two listings.
    pub every: Duration,
}

/// Credentials that sign requests.
#[derive(Clone)]
pub enum Credentials {
    /// A fixed key.
    Key {
        /// AccessKey id.
        id: String,
        /// AccessKey secret.
        secret: String,
        /// Security token of temporary keys.
        token: Option<String>,
    },
    /// The temporary keys of the instance's role, renewed before they expire.
    InstanceRole {
        /// Address of the metadata service.
        endpoint: String,
        /// Name of the role; `None` asks the metadata service for it.
        role: Option<String>,
        /// Compared with the expiry of the keys.
        clock: Clock,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// Why a bucket could not be read or written.
#[derive(Debug, Error)]
pub enum OssError {
    /// The store refused the request or could not be reached.
    #[error(transparent)]
    Store(#[from] object_store::Error),
    /// The content of an object was truncated in transit.
    #[error("an object of {listed} bytes arrived with {got} bytes")]
    LengthMismatch {
        /// Bytes received.
        got: u64,
        /// Size in the listing, in bytes.
        listed: u64,
    },
}

/// A fetched object.
#[derive(Debug, Clone)]
pub(crate) struct FetchedObject {
    pub(crate) key: String,
    /// Version of the content: the entity tag, else size and modification time.
    pub(crate) content_version: String,
    pub(crate) name: Option<ObjectName>,
    pub(crate) content: ObjectContent,
}

/// The content of an object.
#[derive(Debug, Clone)]
pub(crate) enum ObjectContent {
    Whole(Bytes),
    /// Too large for an export; only its beginning was fetched.
    TooLarge(Reject),
}

/// A client of one bucket.
pub(crate) struct BucketClient {
    store: AmazonS3,
    options: OssOptions,
}

impl BucketClient {
    /// A client with `options`.
    ///
    /// # Errors
    /// [`OssError::Store`] where the options are invalid.
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
            Some(Credentials::InstanceRole { endpoint, role, clock }) => {
                let role = InstanceRole::new(endpoint, role.clone(), Arc::clone(clock))?;
                builder.with_credentials(Arc::new(role))
            }
            None => builder.with_skip_signature(true),
        };
        Ok(Self { store: builder.build()?, options: options.clone() })
    }

    /// Folders that hold the objects of the days from `first` to `last`.
    pub(crate) async fn folders(
        &self,
        first: NaiveDate,
        last: NaiveDate,
    ) -> Result<Vec<Path>, OssError> {
        Ok(folders_to_list(&self.prefix(), &self.day_roots().await?, first, last))
    }

    /// Objects below `folder` that are new or whose content version differs from the one in `known`, by key.
    pub(crate) async fn list_changed(
        &self,
        folder: &Path,
        known: &HashMap<String, String>,
    ) -> Result<Vec<ObjectMeta>, OssError> {
        let is_wanted = |object: &ObjectMeta| {
            object.size > 0 && known.get(object.location.as_ref()) != Some(&content_version(object))
        };
        with_retries(|| {
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

    /// Folders whose subfolders are years: below them, a trail stores its objects by day.
    async fn day_roots(&self) -> Result<Vec<Path>, OssError> {
        let mut roots = Vec::new();
        let mut level = vec![self.prefix()];
        for _ in 0..FOLDER_DEPTH_MAX {
            let mut next = Vec::new();
            for folder in level {
                let below = with_retries(|| self.store.list_with_delimiter(Some(&folder)).boxed())
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

    /// Fetches `objects`, several in parallel, and yields them in their order: key and object.
    pub(crate) fn fetch(
        &self,
        objects: Vec<ObjectMeta>,
    ) -> impl futures::Stream<Item = (String, Result<FetchedObject, OssError>)> + '_ {
        futures::stream::iter(objects)
            .map(move |object| async move {
                (object.location.to_string(), self.fetch_one(&object).await)
            })
            .buffered(PARALLEL_FETCHES)
    }

    async fn fetch_one(&self, object: &ObjectMeta) -> Result<FetchedObject, OssError> {
        let key = object.location.to_string();
        let name = ObjectName::parse(&key);
        if object.size > OBJECT_BYTES_MAX {
            let raw = self.store.get_range(&object.location, 0..TOO_LARGE_KEPT_BYTES).await?;
            return Ok(FetchedObject {
                key,
                content_version: content_version(object),
                name,
                content: ObjectContent::TooLarge(too_large(object.size, &raw)),
            });
        }
        let (mut content_version, mut content) = self.get(object).await?;
        if name.as_ref().is_some_and(|name| !matches_name(name, &content)) {
            // It may have been in the middle of being written. It is fetched once more and then accepted as it is.
            (content_version, content) = self.get(object).await?;
        }
        Ok(FetchedObject { key, content_version, name, content: ObjectContent::Whole(content) })
    }

    /// Fetches an object: its current content version and content.
    async fn get(&self, object: &ObjectMeta) -> Result<(String, Bytes), OssError> {
        let response = self.store.get(&object.location).await?;
        let content_version = content_version(&response.meta);
        let content = response.bytes().await?;
        // Equal content has equal length, so this content was cut off on the way.
        if content_version == self::content_version(object) && content.len() as u64 != object.size {
            return Err(OssError::LengthMismatch {
                got: content.len() as u64,
                listed: object.size,
            });
        }
        Ok((content_version, content))
    }
}

/// Writes sample traffic to a bucket, for trying the live ingest.
pub struct BucketWriter(BucketClient);

impl BucketWriter {
    /// A writer to the bucket that `options` name.
    ///
    /// # Errors
    /// [`OssError::Store`] where the options are invalid.
    pub fn new(options: &OssOptions) -> Result<Self, OssError> {
        BucketClient::new(options).map(Self)
    }

    /// Writes an object; replaces an existing one.
    ///
    /// # Errors
    /// [`OssError::Store`] where the store refuses it.
    pub async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), OssError> {
        self.0.store.put(&Path::from(key), content.into()).await?;
        Ok(())
    }
}

/// Repeats a request whose response ended early. The client itself repeats refused requests only.
async fn with_retries<'f, T>(
    request: impl Fn() -> BoxFuture<'f, object_store::Result<T>>,
) -> Result<T, OssError> {
    for _ in 1..LISTING_ATTEMPTS {
        match request().await {
            Err(object_store::Error::Generic { .. }) => {
                tokio::time::sleep(LISTING_RETRY_DELAY).await
            }
            response => return Ok(response?),
        }
    }
    Ok(request().await?)
}

/// Sorts objects by the time in their name, and removes duplicates.
pub(crate) fn sort_by_name_time(objects: &mut Vec<ObjectMeta>) {
    let mut seen = HashSet::new();
    objects.retain(|object| seen.insert(object.location.clone()));
    objects.sort_by_cached_key(|object| {
        let name = ObjectName::parse(object.location.as_ref()).map(|name| name.time);
        (name.unwrap_or_default(), object.location.to_string())
    });
}

/// First and last day of a listing at `now`: the window, or every day since the first wanted one if `everything` is set.
pub(crate) fn days_to_list(
    options: &OssOptions,
    now: DateTime<Utc>,
    everything: bool,
) -> (NaiveDate, NaiveDate) {
    let today = now.date_naive();
    let window = today.checked_sub_days(Days::new(options.window_days.into())).unwrap_or(today);
    let first =
        if everything { options.since.map_or(window, |since| since.min(window)) } else { window };
    (first, today.succ_opt().unwrap_or(today))
}

/// The folders to list: one for each day below each root, or the whole prefix where objects are not stored by day.
fn folders_to_list(whole: &Path, roots: &[Path], first: NaiveDate, last: NaiveDate) -> Vec<Path> {
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
    // With virtual-hosted style, the library expects the bucket in the endpoint's host name.
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
        code: RejectCode::TooLarge,
        byte_offset: 0,
        expected: format!("an object of at most {OBJECT_BYTES_MAX} bytes"),
        found: format!("{bytes} bytes"),
        hint: "trails do not write objects of this size; if it is an export, download it and run `trailhound ingest` on it",
        raw: raw.to_vec(),
        raw_length: Some(bytes),
    }
}

fn content_version(object: &ObjectMeta) -> String {
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
        let listed = folders_to_list(
            &Path::from("AliyunLogs"),
            &roots,
            day("2026-09-30"),
            day("2026-10-01"),
        );
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
            folders_to_list(&Path::from("flat"), &[], day("2026-09-30"), day("2026-10-01")),
            [Path::from("flat")]
        );
    }
}
