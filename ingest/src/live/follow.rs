//! Follows a bucket: lists it at intervals, fetches the objects that the lake does not hold, and hands them to the engine.

use super::options::Observer;
use crate::clock::Clock;
use crate::lake::{CatalogError, Lake};
use crate::source::oss::{
    BucketClient, BucketMap, FetchedObject, FolderListing, OssError, OssOptions, days_to_list,
    folders_to_list, sort_by_name_time,
};
use crate::supervisor::{Pulse, Supervisor, TaskPolicy};
use crate::survey::SourceSurvey;
use chrono::{DateTime, NaiveDate, Utc};
use futures::{FutureExt, StreamExt};
use object_store::ObjectMeta;
use object_store::path::Path;
use std::any::Any;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Objects fetched ahead of the engine.
const FETCHED_AHEAD: usize = 4;
/// Objects handed to the engine and not released yet. Bounds the channel of released objects, so that the engine never
/// waits for a follower.
const IN_FLIGHT_MAX: usize = 4096;

/// Listing takes at most this long between two signs of life, beside the interval between two listings.
const SILENCE_MAX: Duration = Duration::from_secs(1800);

/// Folders are looked for again after this many times the time that it took. The folders of a usual trail are looked for in
/// every round; those of a bucket with thousands of them are not.
const DISCOVERY_SHARE: u32 = 10;

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

/// Starts to follow a bucket, as a task of the supervisor. It ends when the returned feed is dropped, and may end when the flag
/// is true.
///
/// # Errors
/// [`OssError`] where the client refuses the options.
pub(super) fn start(
    options: &OssOptions,
    lake: &Lake,
    clock: &Clock,
    observer: &Arc<dyn Observer>,
    budget: &Arc<Semaphore>,
    (supervisor, stop): (&Supervisor, &Arc<AtomicBool>),
) -> Result<BucketFeed, OssError> {
    let bucket = Arc::new(BucketClient::new(options)?);
    let (sender, objects) = mpsc::channel(FETCHED_AHEAD);
    let (released, finished) = mpsc::channel(IN_FLIGHT_MAX);
    let follower = BucketFollower {
        bucket,
        budget: Arc::clone(budget),
        options: options.clone(),
        lake: lake.clone(),
        clock: Arc::clone(clock),
        observer: Arc::clone(observer),
        in_flight: HashSet::new(),
        list_everything: true,
        listed_in_full: None,
        years: HashSet::new(),
        map: None,
        survey: SourceSurvey::default(),
        read_root: None,
        failed_before: false,
        sender,
        finished,
    };
    let policy = TaskPolicy::restarting(options.every + SILENCE_MAX).until(stop);
    // One life after the other goes on with the same follower.
    let follower = Arc::new(tokio::sync::Mutex::new(follower));
    supervisor.spawn(&format!("bucket {}", options.name), policy, move |pulse| {
        let follower = Arc::clone(&follower);
        async move {
            follower.lock().await.run(&pulse).await;
            Ok(())
        }
    });
    Ok(BucketFeed { name: options.name.clone(), objects, released })
}

struct BucketFollower {
    bucket: Arc<BucketClient>,
    /// Bytes that the objects of all buckets may take.
    budget: Arc<Semaphore>,
    options: OssOptions,
    lake: Lake,
    clock: Clock,
    observer: Arc<dyn Observer>,
    /// Keys of the objects handed to the engine and not released yet.
    in_flight: HashSet<String>,
    /// The next listing covers all days and not only the window, because an older object may be missing.
    list_everything: bool,
    /// The day of the last listing of all days.
    listed_in_full: Option<NaiveDate>,
    /// Folders known to be years.
    years: HashSet<Path>,
    /// The folders that were found last, when, and how long that took.
    map: Option<(Arc<BucketMap>, Instant, Duration)>,
    /// What was seen at the last listing.
    survey: SourceSurvey,
    /// A root of which the lake has events.
    read_root: Option<String>,
    /// The last round failed in part.
    failed_before: bool,
    sender: mpsc::Sender<FetchedObject>,
    finished: mpsc::Receiver<ReleasedObject>,
}

impl BucketFollower {
    async fn run(&mut self, pulse: &Pulse) {
        // A life before this one may have ended anywhere.
        self.list_everything = true;
        while !self.sender.is_closed() {
            pulse.worked();
            let trouble = match AssertUnwindSafe(self.list_and_fetch(pulse)).catch_unwind().await {
                Ok(result) => result.err(),
                // The bucket would otherwise be followed no more, and nobody would know.
                Err(panic) => {
                    self.list_everything = true;
                    Some(format!(
                        "reading it failed because of a bug, and starts over at the next listing: {}",
                        panic_text(panic.as_ref())
                    ))
                }
            };
            self.observer.source(&self.options.name, trouble.as_deref());
            self.failed_before = trouble.is_some();
            tokio::select! {
                () = pulse.sleep(self.options.every) => {}
                () = self.sender.closed() => return,
            }
        }
    }

    /// Lists the bucket once and fetches the new objects. A folder or object that cannot be read is
    /// tried again at the next listing and does not hold up the others.
    ///
    /// # Errors
    /// A description of the last error.
    async fn list_and_fetch(&mut self, pulse: &Pulse) -> Result<(), String> {
        while let Ok(object) = self.finished.try_recv() {
            self.object_released(&object);
        }
        let now = DateTime::from_timestamp_micros((self.clock)()).unwrap_or_default();
        let map = pulse.while_waiting(self.find_folders(now.date_naive())).await?;
        let mut failed = map.failed.clone();
        let mut objects = self.list(&map, now, &mut failed, pulse).await?;
        sort_by_name_time(&mut objects);
        objects.retain(|object| !self.in_flight.contains(object.location.as_ref()));
        // A handle of its own, because the stream borrows the bucket while this follower changes.
        let (bucket, budget) = (Arc::clone(&self.bucket), Arc::clone(&self.budget));
        let mut fetched = std::pin::pin!(bucket.fetch(objects, &budget));
        while let Some((key, result)) = fetched.next().await {
            pulse.alive();
            match result {
                Ok(object) => {
                    if !self.hand_over(key, object, pulse).await {
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

    /// The folders of the bucket. They are looked for in every round, unless that takes long. Once a day everything is listed,
    /// because objects may come later than the window is long.
    async fn find_folders(&mut self, today: NaiveDate) -> Result<Arc<BucketMap>, String> {
        if self.listed_in_full != Some(today) {
            self.list_everything = true;
            self.listed_in_full = Some(today);
            // A year may hold other folders than months by now.
            self.years.clear();
            self.map = None;
        }
        if let Some((map, at, took)) = &self.map
            && at.elapsed() < *took * DISCOVERY_SHARE
            && map.failed.is_none()
        {
            return Ok(Arc::clone(map));
        }
        let begun = Instant::now();
        let found = self.bucket.discover(&mut self.years).await.map_err(|e| e.to_string())?;
        let map = Arc::new(found);
        self.map = Some((Arc::clone(&map), Instant::now(), begun.elapsed()));
        Ok(map)
    }

    /// Lists the folders of `map` and reports what was seen. Returns the objects to fetch.
    async fn list(
        &mut self,
        map: &BucketMap,
        now: DateTime<Utc>,
        failed: &mut Option<String>,
        pulse: &Pulse,
    ) -> Result<Vec<ObjectMeta>, String> {
        let (first, last) = days_to_list(&self.options, now, self.list_everything);
        let mut whole = FolderListing::default();
        for folder in folders_to_list(map, first, last) {
            pulse.alive();
            let known = self
                .lake
                .source_versions(&self.options.name, folder.as_ref())
                .await
                .map_err(|e| e.to_string())?;
            match self.bucket.list_changed(&folder, &known).await {
                Ok(listing) => whole.add(listing),
                Err(error) => *failed = Some(error.to_string()),
            }
        }
        if map.roots.is_empty() && !map.loose.is_empty() {
            let known = self.lake.source_versions(&self.options.name, "").await;
            let known = known.map_err(|e| e.to_string())?;
            map.loose.iter().for_each(|object| whole.push(object.clone(), &known));
        }
        whole.left_out = self.bucket.take_left_out();
        self.report(map, &whole, (first, last)).await.map_err(|e| e.to_string())?;
        // Fetching what was found may take hours, and the source works meanwhile.
        if failed.is_none() && !self.failed_before {
            self.observer.source(&self.options.name, None);
        }
        Ok(whole.changed)
    }

    /// Reports what was seen to the observer, to the log where it differs from the last time, and to the lake.
    async fn report(
        &mut self,
        map: &BucketMap,
        listing: &FolderListing,
        (first, last): (NaiveDate, NaiveDate),
    ) -> Result<(), CatalogError> {
        let mut survey = survey(map, listing);
        if !map.roots.is_empty() {
            survey.days = Some((first.to_string(), last.to_string()));
        }
        // Asking the lake takes longer the more it holds, so what was read once is remembered.
        survey.is_read = self.read_root.as_ref().is_some_and(|root| survey.roots.contains(root));
        for root in survey.roots.iter().filter(|_| !survey.is_read) {
            if self.lake.has_events_of(&self.options.name, root).await? {
                self.read_root = Some(root.clone());
                break;
            }
        }
        survey.is_read |= self.read_root.as_ref().is_some_and(|root| survey.roots.contains(root));
        if survey.lasting() != self.survey.lasting() {
            tracing::info!(source = self.options.name, "listed: {}", survey.describe());
        }
        self.observer.surveyed(&self.options.name, &survey);
        if survey != self.survey {
            // Where the lake cannot be written, the next listing tries it again; the engine reports why.
            if self.lake.store_survey(&self.options.name, &survey, (self.clock)()).await.is_ok() {
                self.survey = survey;
            }
        }
        Ok(())
    }

    /// Passes an object to the engine. Waits while too many objects are in flight. Returns false if
    /// the engine has ended.
    async fn hand_over(&mut self, key: String, object: FetchedObject, pulse: &Pulse) -> bool {
        let sender = self.sender.clone();
        loop {
            // The engine may commit for long: waiting for it is no silence.
            tokio::select! {
                released = self.finished.recv() => match released {
                    Some(object) => self.object_released(&object),
                    None => return false,
                },
                place = sender.reserve(), if self.in_flight.len() < IN_FLIGHT_MAX => {
                    let Ok(place) = place else { return false };
                    // In flight from the moment it is sent: a life that ends before has not handed it over.
                    self.in_flight.insert(key);
                    place.send(object);
                    return true;
                }
                () = pulse.sleep(SILENCE_MAX) => {}
            }
        }
    }

    fn object_released(&mut self, object: &ReleasedObject) {
        self.in_flight.remove(&object.key);
        self.list_everything |= !object.committed;
    }
}

/// What was seen of a bucket.
fn survey(map: &BucketMap, listing: &FolderListing) -> SourceSurvey {
    let unread = listing.changed.len() as u64;
    let read = listing.listed.saturating_sub(unread);
    let mut survey = SourceSurvey { listed: listing.listed, read, unread, ..map.survey() };
    let (left_out, example) = (listing.left_out.count, listing.left_out.example.as_deref());
    let why = "objects whose key has an empty name, `.`, `..` or a control character";
    survey.pass_over(why, left_out, example);
    survey.pass_over("empty objects", listing.empty.count, listing.empty.example.as_deref());
    survey
}

/// The text that a panic was raised with.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::{TaskFailure, TaskFaults, TaskObserver};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Keeps the troubles of the source.
    #[derive(Default)]
    struct Recorder(Mutex<Vec<String>>);

    impl Observer for Recorder {
        fn committed(&self, _: &super::super::CommitSummary) {}
        fn refused(&self, _: &str) {}
        fn stalled(&self, _: Option<&str>) {}
        fn source(&self, _: &str, trouble: Option<&str>) {
            self.0.lock().expect("whole").extend(trouble.map(str::to_owned));
        }
        fn gap(&self, _: &str, _: &str, _: u64, _: u64, _: &str) {}
    }

    /// A panic in a listing is no end of the task.
    struct Untold;

    impl TaskObserver for Untold {
        fn task_failed(&self, failure: &TaskFailure) {
            unreachable!("{failure:?}");
        }
        fn end_is_overdue(&self) {}
    }

    #[tokio::test]
    async fn a_follower_that_panics_is_told_and_starts_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = Lake::create_or_open(&folder.path().join("lake"), &[], 0).await.expect("a lake");
        let options = OssOptions {
            name: "bucket".to_owned(),
            bucket: "trail".to_owned(),
            endpoint: "http://127.0.0.1:1".to_owned(),
            region: "r".to_owned(),
            prefix: String::new(),
            virtual_hosted: false,
            credentials: None,
            window_days: 2,
            since: None,
            every: Duration::from_millis(1),
        };
        let rounds = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&rounds);
        let (reached, second_round) = tokio::sync::oneshot::channel();
        let reached = Mutex::new(Some(reached));
        // Each round asks for the time first.
        let clock: Clock = Arc::new(move || {
            if counted.fetch_add(1, Ordering::Relaxed) == 0 {
                panic!("a bug");
            }
            if let Some(reached) = reached.lock().expect("whole").take() {
                let _ = reached.send(());
            }
            0
        });
        let recorder = Arc::new(Recorder::default());
        let budget = Arc::new(Semaphore::new(1));
        let observer = Arc::clone(&recorder) as Arc<dyn Observer>;
        let supervisor = Supervisor::new(Arc::new(Untold), TaskFaults::default());
        let (supervisor, stop) = (supervisor.expect("a thread"), Arc::default());
        let tasks = (&supervisor, &stop);
        let feed = start(&options, &lake, &clock, &observer, &budget, tasks).expect("started");
        second_round.await.expect("a second round");
        let told = recorder.0.lock().expect("whole").clone();
        assert!(told[0].contains("because of a bug") && told[0].contains("a bug"), "{told:?}");
        drop(feed);
    }
}
