//! Follows a bucket: lists it at intervals, fetches the objects that the lake does not hold, and hands them to the engine.

use super::options::Observer;
use crate::clock::Clock;
use crate::lake::Lake;
use crate::source::oss::{
    BucketClient, FetchedObject, OssError, OssOptions, days_to_list, sort_by_name_time,
};
use chrono::DateTime;
use futures::StreamExt;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Objects fetched ahead of the engine.
const FETCHED_AHEAD: usize = 4;
/// Objects handed to the engine and not released yet. Bounds the channel of released objects, so that the engine never
/// waits for a follower.
const IN_FLIGHT_MAX: usize = 4096;

/// The engine's side of the channels to the follower of a bucket.
pub(super) struct BucketFeed {
    /// Name of the source.
    pub(super) name: String,
    objects: mpsc::Receiver<FetchedObject>,
    released: mpsc::Sender<ReleasedObject>,
}

impl BucketFeed {
    /// The next fetched object, if there is one.
    pub(super) fn next(&mut self) -> Option<FetchedObject> {
        self.objects.try_recv().ok()
    }

    /// Notifies the follower that the engine has finished with an object. Does not block.
    pub(super) fn release(&self, object: ReleasedObject) {
        match self.released.try_send(object) {
            // A follower that has ended does not need to know.
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(object)) => {
                tracing::error!(key = object.key, "more objects released than handed out");
            }
        }
    }
}

/// An object that the engine is done with.
pub(super) struct ReleasedObject {
    pub(super) key: String,
    /// The object is in the lake. Otherwise it was discarded and must be fetched again.
    pub(super) committed: bool,
}

/// Starts to follow a bucket. Ends when the returned feed is dropped.
///
/// # Errors
/// [`OssError`] where the client refuses the options.
pub(super) fn start(
    options: &OssOptions,
    lake: &Lake,
    clock: &Clock,
    observer: &Arc<dyn Observer>,
) -> Result<BucketFeed, OssError> {
    let bucket = Arc::new(BucketClient::new(options)?);
    let (sender, objects) = mpsc::channel(FETCHED_AHEAD);
    let (released, finished) = mpsc::channel(IN_FLIGHT_MAX);
    let follower = BucketFollower {
        bucket,
        options: options.clone(),
        lake: lake.clone(),
        clock: Arc::clone(clock),
        observer: Arc::clone(observer),
        in_flight: HashSet::new(),
        list_everything: true,
        sender,
        finished,
    };
    tokio::spawn(follower.run());
    Ok(BucketFeed { name: options.name.clone(), objects, released })
}

struct BucketFollower {
    bucket: Arc<BucketClient>,
    options: OssOptions,
    lake: Lake,
    clock: Clock,
    observer: Arc<dyn Observer>,
    /// Keys of the objects handed to the engine and not released yet.
    in_flight: HashSet<String>,
    /// The next listing covers all days and not only the window, because an older object may be missing.
    list_everything: bool,
    sender: mpsc::Sender<FetchedObject>,
    finished: mpsc::Receiver<ReleasedObject>,
}

impl BucketFollower {
    async fn run(mut self) {
        while !self.sender.is_closed() {
            let result = self.list_and_fetch().await;
            self.observer.source(&self.options.name, result.as_ref().err().map(String::as_str));
            tokio::select! {
                () = tokio::time::sleep(self.options.every) => {}
                () = self.sender.closed() => return,
            }
        }
    }

    /// Lists the bucket once and fetches the new objects. A folder or object that cannot be read is
    /// tried again at the next listing and does not hold up the others.
    ///
    /// # Errors
    /// A description of the last error.
    async fn list_and_fetch(&mut self) -> Result<(), String> {
        while let Ok(object) = self.finished.try_recv() {
            self.object_released(&object);
        }
        let now = DateTime::from_timestamp_micros((self.clock)()).unwrap_or_default();
        let (first, last) = days_to_list(&self.options, now, self.list_everything);
        let (mut objects, mut failed) = (Vec::new(), None);
        for folder in self.bucket.folders(first, last).await.map_err(|e| e.to_string())? {
            let known = self
                .lake
                .source_versions(&self.options.name, folder.as_ref())
                .await
                .map_err(|e| e.to_string())?;
            match self.bucket.list_changed(&folder, &known).await {
                Ok(mut found) => objects.append(&mut found),
                Err(error) => failed = Some(error.to_string()),
            }
        }
        sort_by_name_time(&mut objects);
        objects.retain(|object| !self.in_flight.contains(object.location.as_ref()));
        // A handle of its own, because the stream borrows the bucket while this follower changes.
        let bucket = Arc::clone(&self.bucket);
        let mut fetched = std::pin::pin!(bucket.fetch(objects));
        while let Some((key, result)) = fetched.next().await {
            match result {
                Ok(object) => {
                    if !self.hand_over(key, object).await {
                        return Ok(());
                    }
                }
                // The object was deleted between listing and fetching, so nobody can read it any more.
                Err(OssError::Store(object_store::Error::NotFound { .. })) => {
                    tracing::warn!(key, "the object was deleted before it was fetched")
                }
                Err(error) => {
                    tracing::warn!(key, %error, "an object could not be fetched; the next listing tries it again");
                    failed = Some(error.to_string());
                }
            }
        }
        self.list_everything &= failed.is_some();
        failed.map_or(Ok(()), Err)
    }

    /// Passes an object to the engine. Waits while too many objects are in flight. Returns false if
    /// the engine has ended.
    async fn hand_over(&mut self, key: String, object: FetchedObject) -> bool {
        while self.in_flight.len() >= IN_FLIGHT_MAX {
            match self.finished.recv().await {
                Some(object) => self.object_released(&object),
                None => return false,
            }
        }
        self.in_flight.insert(key);
        self.sender.send(object).await.is_ok()
    }

    fn object_released(&mut self, object: &ReleasedObject) {
        self.in_flight.remove(&object.key);
        self.list_everything |= !object.committed;
    }
}
