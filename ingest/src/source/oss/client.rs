//! The client of a bucket: objects are listed, then fetched whole and in parallel. The positions in the lake record which
//! objects were read already.

use super::discovery::{self, BucketMap, Tally};
use super::endpoint;
use super::keys::{LeftOutKeys, ListingFilter};
use super::options::{Credentials, OssError, OssOptions};
use super::retry::with_retries;
use crate::source::instance_role::InstanceRole;
use crate::source::object_name::ObjectName;
use bytes::Bytes;
use chrono::{DateTime, Days, NaiveDate, Utc};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::{Path, PathPart};
use object_store::{
    ClientOptions, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt,
    RetryConfig,
};
use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trailhound_datasets::reject::{Reject, RejectCode};

/// Bytes of all objects that are fetched and not decoded, over all buckets. The largest object must have room in it.
pub(crate) const DOWNLOAD_BYTES_MAX: usize = 512 << 20;
/// Number of objects fetched in parallel.
const PARALLEL_FETCHES: usize = 4;
/// Larger objects are quarantined, because no trail writes such objects.
const OBJECT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of them that the quarantine keeps.
const TOO_LARGE_KEPT_BYTES: u64 = 64 << 10;

/// A fetched object.
#[derive(Debug, Clone)]
pub(crate) struct FetchedObject {
    pub(crate) key: String,
    /// Version of the content: the entity tag, else size and modification time.
    pub(crate) content_version: String,
    pub(crate) name: Option<ObjectName>,
    pub(crate) content: ObjectContent,
    /// Its part of the budget of all downloads, given back when the object is dropped.
    _room: Option<Arc<OwnedSemaphorePermit>>,
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
    pub(super) store: AmazonS3,
    pub(super) options: OssOptions,
    /// The address of the bucket, or of the store where the bucket is part of the path.
    pub(super) url: String,
    /// Keys that the client cannot hold, left out of listings.
    left_out: LeftOutKeys,
}

impl BucketClient {
    /// A client with `options`.
    ///
    /// # Errors
    /// [`OssError::Options`] or [`OssError::Store`] where the options are invalid.
    pub(crate) fn new(options: &OssOptions) -> Result<Self, OssError> {
        let retry = RetryConfig {
            max_retries: 5,
            retry_timeout: Duration::from_secs(60),
            ..RetryConfig::default()
        };
        Self::with_retry(options, retry, Duration::from_secs(120))
    }

    /// A client that repeats refused requests as `retry` says, and ends a request after `timeout`.
    pub(super) fn with_retry(
        options: &OssOptions,
        retry: RetryConfig,
        timeout: Duration,
    ) -> Result<Self, OssError> {
        options.check().map_err(OssError::Options)?;
        let OssOptions { bucket, virtual_hosted, .. } = options;
        let url = endpoint::bucket_url(&options.endpoint, bucket, *virtual_hosted)
            .map_err(OssError::Options)?;
        let client = ClientOptions::new()
            .with_allow_http(options.endpoint.starts_with("http://"))
            .with_timeout(timeout)
            .with_connect_timeout(Duration::from_secs(10));
        let left_out = LeftOutKeys::default();
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&options.bucket)
            .with_region(&options.region)
            .with_endpoint(&url)
            .with_virtual_hosted_style_request(options.virtual_hosted)
            .with_client_options(client)
            .with_http_connector(ListingFilter(left_out.clone()))
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
        Ok(Self { store: builder.build()?, options: options.clone(), url, left_out })
    }

    /// Looks into the folders below the prefix. `years` are folders known to be years from an earlier look.
    pub(crate) async fn discover(&self, years: &mut HashSet<Path>) -> Result<BucketMap, OssError> {
        Ok(discovery::discover(&self.store, &self.options.prefix, years).await?)
    }

    /// Objects below `folder` that are new or whose content version differs from the one in `known`, by key.
    pub(crate) async fn list_changed(
        &self,
        folder: &Path,
        known: &HashMap<String, String>,
    ) -> Result<FolderListing, OssError> {
        // One object after the other, because a folder may hold any number of them.
        let listing = || {
            self.store.list(Some(folder)).try_fold(
                FolderListing::default(),
                |mut listing, object| {
                    listing.push(object, known);
                    ready(Ok(listing))
                },
            )
        };
        Ok(with_retries(|| listing().boxed()).await?)
    }

    /// The number of objects that were listed since the last call and whose keys the client cannot hold, and one of them.
    pub(crate) fn take_left_out(&self) -> Tally {
        self.left_out.take()
    }

    /// Fetches `objects`, several in parallel, and yields them in their order: key and object. All objects that are fetched
    /// and not dropped take their size out of `budget`, which others may share.
    pub(crate) fn fetch<'s>(
        &'s self,
        objects: Vec<ObjectMeta>,
        budget: &'s Arc<Semaphore>,
    ) -> impl futures::Stream<Item = (String, Result<FetchedObject, OssError>)> + 's {
        futures::stream::iter(objects)
            .map(move |object| async move {
                (object.location.to_string(), self.fetch_one(&object, budget).await)
            })
            .buffered(PARALLEL_FETCHES)
    }

    async fn fetch_one(
        &self,
        object: &ObjectMeta,
        budget: &Arc<Semaphore>,
    ) -> Result<FetchedObject, OssError> {
        let key = object.location.to_string();
        let name = ObjectName::parse(&key);
        if object.size > OBJECT_BYTES_MAX {
            let head = GetRange::Bounded(0..TOO_LARGE_KEPT_BYTES);
            let options = GetOptions { range: Some(head), ..GetOptions::default() };
            let response = self.store.get_opts(&object.location, options).await?;
            let raw = bounded_content(response, TOO_LARGE_KEPT_BYTES).await?;
            return Ok(FetchedObject {
                key,
                content_version: content_version(object),
                name,
                content: ObjectContent::TooLarge(too_large(object.size, &raw)),
                _room: None,
            });
        }
        let bytes = u32::try_from(object.size).unwrap_or(u32::MAX);
        // The budget is never closed; without room nothing is fetched.
        let room = Arc::clone(budget).acquire_many_owned(bytes).await.map_err(OssError::Budget)?;
        let (mut content_version, mut content) = self.get(object).await?;
        if name.as_ref().is_some_and(|name| !matches_name(name, &content)) {
            // It may have been in the middle of being written. It is fetched once more and then accepted as it is.
            (content_version, content) = self.get(object).await?;
        }
        let content = ObjectContent::Whole(content);
        Ok(FetchedObject { key, content_version, name, content, _room: Some(Arc::new(room)) })
    }

    /// Fetches an object: its current content version and content.
    async fn get(&self, object: &ObjectMeta) -> Result<(String, Bytes), OssError> {
        let response = self.store.get(&object.location).await?;
        let content_version = content_version(&response.meta);
        let content = bounded_content(response, object.size).await?;
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

/// The content of `response`, at most `listed` bytes. What a store sends beyond that is not received: an object that has grown
/// since it was listed is fetched after the next listing.
pub(super) async fn bounded_content(response: GetResult, listed: u64) -> Result<Bytes, OssError> {
    let (mut content, mut chunks) = (Vec::new(), response.into_stream());
    while let Some(chunk) = chunks.try_next().await? {
        let got = content.len() as u64 + chunk.len() as u64;
        if got > listed {
            return Err(OssError::LengthMismatch { got, listed });
        }
        content.extend_from_slice(&chunk);
    }
    Ok(content.into())
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

/// The objects of a folder.
#[derive(Debug, Default)]
pub(crate) struct FolderListing {
    /// Those that are new or have changed.
    pub(crate) changed: Vec<ObjectMeta>,
    /// Number of all objects with content.
    pub(crate) listed: u64,
    /// Objects without content.
    pub(crate) empty: Tally,
    /// Objects whose keys the client cannot hold.
    pub(crate) left_out: Tally,
}

impl FolderListing {
    /// Adds an object. `known` are the content versions that the lake holds, by key.
    pub(crate) fn push(&mut self, object: ObjectMeta, known: &HashMap<String, String>) {
        if object.size == 0 {
            self.empty.add(&object.location);
            return;
        }
        self.listed += 1;
        if known.get(object.location.as_ref()) != Some(&content_version(&object)) {
            self.changed.push(object);
        }
    }

    /// Adds the objects of another folder.
    pub(crate) fn add(&mut self, other: Self) {
        self.changed.extend(other.changed);
        self.listed += other.listed;
        self.empty.count += other.empty.count;
        self.empty.example = self.empty.example.take().or(other.empty.example);
    }
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

/// The folders to list: one for each day below each root, or what the prefix names where objects are not stored by day.
pub(crate) fn folders_to_list(map: &BucketMap, first: NaiveDate, last: NaiveDate) -> Vec<Path> {
    if map.roots.is_empty() {
        return map.start.clone();
    }
    let days: Vec<NaiveDate> = first.iter_days().take_while(|day| *day <= last).collect();
    map.roots
        .iter()
        .flat_map(|root| {
            let days = days.iter();
            days.map(move |day| root.parts().chain(day_parts(*day)).collect())
        })
        .collect()
}

/// The folders of a day below a root: year, month, day.
fn day_parts<'p>(day: NaiveDate) -> impl Iterator<Item = PathPart<'p>> {
    ["%Y", "%m", "%d"].into_iter().map(move |part| PathPart::from(day.format(part).to_string()))
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
        let map = |roots: &[&str]| BucketMap {
            roots: roots.iter().map(|root| Path::from(*root)).collect(),
            start: vec![Path::from("start")],
            ..BucketMap::default()
        };
        let days = (day("2026-09-30"), day("2026-10-01"));
        let roots = ["AliyunLogs/Actiontrail/cn-hangzhou", "AliyunLogs/Actiontrail/cn-beijing"];
        let listed = folders_to_list(&map(&roots), days.0, days.1);
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
        assert_eq!(folders_to_list(&map(&[]), days.0, days.1), [Path::from("start")]);
        // The root of the bucket may be a root of days.
        assert_eq!(folders_to_list(&map(&[""]), days.0, days.0), [Path::from("2026/09/30")]);
    }
}
