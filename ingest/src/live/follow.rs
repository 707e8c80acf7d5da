//! Following a bucket: lists it again and again, fetches what the lake does not hold, and hands it to the engine.

use super::{Clock, Observer};
use crate::lake::Lake;
use crate::source::oss::{Bucket, Fetched, OssError, OssOptions, days, in_order};
use chrono::DateTime;
use futures::StreamExt;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Objects fetched ahead of the engine.
const FETCHED_AHEAD: usize = 4;

/// The engine's end of a bucket being followed.
pub(super) struct Followed {
    pub(super) name: String,
    objects: mpsc::Receiver<Fetched>,
    released: mpsc::UnboundedSender<Released>,
}

impl Followed {
    /// The next object fetched, if there is one.
    pub(super) fn next(&mut self) -> Option<Fetched> {
        self.objects.try_recv().ok()
    }

    /// Tells the follower what became of an object.
    pub(super) fn release(&self, released: Released) {
        // A follower that has ended needs to know nothing.
        let _ = self.released.send(released);
    }
}

/// An object the engine is done with.
pub(super) struct Released {
    pub(super) key: String,
    /// In the lake; else it was thrown away and must be fetched again.
    pub(super) committed: bool,
}

/// Begins to follow a bucket. Ends when the engine drops its end.
pub(super) fn begin(
    options: &OssOptions,
    lake: &Lake,
    clock: &Clock,
    observer: &Arc<dyn Observer>,
) -> Result<Followed, OssError> {
    let bucket = Bucket::new(options)?;
    let (sender, objects) = mpsc::channel(FETCHED_AHEAD);
    let (released, finished) = mpsc::unbounded_channel();
    let follower = Follower {
        bucket,
        options: options.clone(),
        lake: lake.clone(),
        clock: Arc::clone(clock),
        observer: Arc::clone(observer),
        in_flight: HashSet::new(),
        everything: true,
        sender,
        finished,
    };
    tokio::spawn(follower.run());
    Ok(Followed { name: options.name.clone(), objects, released })
}

struct Follower {
    bucket: Bucket,
    options: OssOptions,
    lake: Lake,
    clock: Clock,
    observer: Arc<dyn Observer>,
    /// Keys handed over whose fate is not known yet.
    in_flight: HashSet<String>,
    /// The next round lists everything wanted and not only the window: something from before it may be missing.
    everything: bool,
    sender: mpsc::Sender<Fetched>,
    finished: mpsc::UnboundedReceiver<Released>,
}

impl Follower {
    async fn run(mut self) {
        while !self.sender.is_closed() {
            let round = self.round().await;
            self.observer.source(&self.options.name, round.as_ref().err().map(String::as_str));
            tokio::select! {
                () = tokio::time::sleep(self.options.every) => {}
                () = self.sender.closed() => return,
            }
        }
    }

    /// Lists and fetches once. A folder or an object that cannot be had is tried again in the next round; the others go on.
    async fn round(&mut self) -> Result<(), String> {
        while let Ok(released) = self.finished.try_recv() {
            self.in_flight.remove(&released.key);
            self.everything |= !released.committed;
        }
        let now = DateTime::from_timestamp_micros((self.clock)()).unwrap_or_default();
        let (first, last) = days(&self.options, now, self.everything);
        let (mut objects, mut trouble) = (Vec::new(), None);
        for folder in self.bucket.folders(first, last).await.map_err(|e| e.to_string())? {
            let known = self
                .lake
                .incarnations(&self.options.name, folder.as_ref())
                .await
                .map_err(|e| e.to_string())?;
            match self.bucket.find(&folder, &known).await {
                Ok(mut found) => objects.append(&mut found),
                Err(error) => trouble = Some(error.to_string()),
            }
        }
        in_order(&mut objects);
        objects.retain(|object| !self.in_flight.contains(object.location.as_ref()));
        let mut fetched = std::pin::pin!(self.bucket.fetch(objects));
        while let Some((key, result)) = fetched.next().await {
            match result {
                Ok(object) => {
                    self.in_flight.insert(key);
                    if self.sender.send(object).await.is_err() {
                        return Ok(());
                    }
                }
                // Between listing and fetching it was taken away: nobody can read it any more.
                Err(OssError::Store(object_store::Error::NotFound { .. })) => {
                    tracing::warn!(key, "the object is gone")
                }
                Err(error) => {
                    tracing::warn!(key, %error, "an object could not be fetched; tried again in the next round");
                    trouble = Some(error.to_string());
                }
            }
        }
        self.everything &= trouble.is_some();
        trouble.map_or(Ok(()), Err)
    }
}
