//! Deduplication: which records the lake already holds. The check is exact, because it compares full event keys.
//!
//! Keys are held per time bucket of ten minutes of event time. When the first event of a bucket arrives, the keys that the
//! lake stores for that bucket are read from its files; after a commit, the buckets unused for longest are evicted. So
//! memory follows the busiest minutes (about 25 bytes an event) and not the size of the lake. For example:
//!
//! ```text
//! source  event (identity, facts)  time   bucket        index before           outcome
//! sls     (7, a)                   10:03  10:00-10:10   loaded from the lake   New        stored
//! sls     (7, a)                   10:03  10:00-10:10   (7, a) by sls          Duplicate  counted only
//! oss     (7, a)                   10:03  10:00-10:10   (7, a) by sls          Copy       noted: oss has it too
//! oss     (7, b)                   10:03  10:00-10:10   (7, a)                 Conflict   stored, flagged `id_conflict`
//! ```
//!
//! Several processes may write one lake in turn. Before a commit, the index reads the keys that
//! other processes have committed since the last commit. It refuses the commit if another process
//! has stored a record of this commit.

use crate::lake::{CatalogError, Commit, KeyFile, Lake, Table, read_keys};
use crate::lock::lock;
use crate::reject_keys::{RejectKeys, RejectOutcome};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Mutex;
use tokio::runtime::Handle;
use trailhound_datasets::layout;

/// Length of a time bucket, in microseconds. Most events that arrive are a few minutes old, so few keys are needed at a
/// time however many events a day has. A day is a whole number of buckets.
const BUCKET_MICROS: i64 = 600_000_000;
/// Event times that have a bucket of their own: 2010 to 2060. All others share
/// [`TimeBucket::NoValidTime`], because wrong times could create any number of buckets.
const VALID_TIMES: std::ops::Range<i64> = 1_262_304_000_000_000..2_840_140_800_000_000;

/// A bucket of event keys, by event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TimeBucket {
    /// Ten minutes, by their number since 1970.
    TenMinutes(i64),
    /// All events without a time or with one outside of [`VALID_TIMES`].
    NoValidTime,
}

impl TimeBucket {
    pub(crate) fn of(event_time: Option<i64>) -> Self {
        match event_time.filter(|time| VALID_TIMES.contains(time)) {
            Some(time) => Self::TenMinutes(time.div_euclid(BUCKET_MICROS)),
            None => Self::NoValidTime,
        }
    }

    /// The time range `[from, to)` in microseconds since 1970 UTC.
    fn times(self) -> Option<(i64, i64)> {
        match self {
            Self::TenMinutes(number) => {
                Some((number * BUCKET_MICROS, (number + 1) * BUCKET_MICROS))
            }
            Self::NoValidTime => None,
        }
    }

    /// The day that contains the bucket, as days since 1970.
    fn day(self) -> Option<i32> {
        self.times().map(|(from, _)| layout::day_of(from))
    }
}

/// Result of looking up an event key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DedupOutcome {
    /// The event is new.
    New,
    /// The event is new, but another event has the same account and event id.
    Conflict,
    /// The event is known from other sources, but not from this one.
    Copy,
    /// The event is known from this source.
    Duplicate,
}

/// A source as one bit of 32. The first 31 sources have a bit of their own; all further ones share the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceBit(u32);

impl SourceBit {
    fn of(index: usize) -> Self {
        Self(1 << index.min(31))
    }
}

/// A hasher that returns its input: event keys are hashes already.
#[derive(Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// One half of an event key, as bytes so that map entries need no padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeyHalf([u8; 8]);

impl Hash for KeyHalf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from_be_bytes(self.0));
    }
}

/// Entry of the index for one identity half: the facts half, and the sources of the event.
#[derive(Debug, Clone, Copy)]
struct KeyEntry {
    facts: KeyHalf,
    /// The sources that delivered the event, one bit each.
    sources: [u8; 4],
}

impl KeyEntry {
    fn new(facts: KeyHalf, SourceBit(source): SourceBit) -> Self {
        Self { facts, sources: source.to_ne_bytes() }
    }

    /// Adds a source that delivered the event again.
    fn add_source(&mut self, SourceBit(source): SourceBit) -> DedupOutcome {
        let sources = u32::from_ne_bytes(self.sources);
        self.sources = (sources | source).to_ne_bytes();
        if sources & source == 0 { DedupOutcome::Copy } else { DedupOutcome::Duplicate }
    }
}

type IdentityMap<V> = HashMap<KeyHalf, V, BuildHasherDefault<IdentityHasher>>;

/// The keys of one time bucket.
#[derive(Default)]
struct BucketKeys {
    /// The first event of each identity, by the identity half of its key.
    first: IdentityMap<KeyEntry>,
    /// Further events of each identity, by the identity half of their keys.
    more: IdentityMap<Vec<KeyEntry>>,
    count: usize,
    /// Value of [`KeyIndex::lookups`] at the last use.
    last_used: u64,
}

impl BucketKeys {
    fn insert(&mut self, key: [u8; 16], source: SourceBit) -> DedupOutcome {
        let (identity, facts) = halves(&key);
        match self.first.entry(identity) {
            Entry::Vacant(slot) => {
                slot.insert(KeyEntry::new(facts, source));
                self.count += 1;
                DedupOutcome::New
            }
            Entry::Occupied(slot) if slot.get().facts == facts => {
                slot.into_mut().add_source(source)
            }
            Entry::Occupied(_) => {
                let more = self.more.entry(identity).or_default();
                if let Some(known) = more.iter_mut().find(|entry| entry.facts == facts) {
                    return known.add_source(source);
                }
                more.push(KeyEntry::new(facts, source));
                self.count += 1;
                DedupOutcome::Conflict
            }
        }
    }
}

/// Event keys in memory, by time bucket.
pub(crate) struct KeyIndex {
    buckets: HashMap<TimeBucket, BucketKeys>,
    lookups: u64,
    keys_max: usize,
}

impl KeyIndex {
    /// An index that keeps at most about `keys_max` keys after a commit.
    pub(crate) fn new(keys_max: usize) -> Self {
        Self { buckets: HashMap::new(), lookups: 0, keys_max }
    }

    /// Looks `key` up and adds it with its `source`. `load` is called for a bucket that is not in memory; it returns the
    /// keys that the lake holds in that bucket, once for each source that delivered them.
    pub(crate) fn insert<E>(
        &mut self,
        bucket: TimeBucket,
        key: [u8; 16],
        source: SourceBit,
        load: impl FnOnce(TimeBucket) -> Result<Vec<([u8; 16], SourceBit)>, E>,
    ) -> Result<DedupOutcome, E> {
        self.lookups += 1;
        let last_used = self.lookups;
        if let Some(keys) = self.buckets.get_mut(&bucket) {
            keys.last_used = last_used;
            return Ok(keys.insert(key, source));
        }
        let mut keys = BucketKeys { last_used, ..BucketKeys::default() };
        for (stored, by) in load(bucket)? {
            keys.insert(stored, by);
        }
        let outcome = keys.insert(key, source);
        self.buckets.insert(bucket, keys);
        Ok(outcome)
    }

    /// Adds a key that the lake holds, if its bucket is in memory.
    pub(crate) fn add_stored(&mut self, bucket: TimeBucket, key: [u8; 16], source: SourceBit) {
        if let Some(keys) = self.buckets.get_mut(&bucket) {
            keys.insert(key, source);
        }
    }

    /// Evicts the buckets unused for longest until the limit holds. Only allowed after a commit, when the lake holds every
    /// key of the index.
    pub(crate) fn evict_to_limit(&mut self) {
        while self.buckets.values().map(|keys| keys.count).sum::<usize>() > self.keys_max
            && self.buckets.len() > 1
        {
            let oldest = self.buckets.iter().min_by_key(|(_, keys)| keys.last_used);
            let Some(oldest) = oldest.map(|(&bucket, _)| bucket) else { return };
            self.buckets.remove(&oldest);
        }
    }
}

/// The deduplication index of one ingest, shared by all threads that write.
pub(crate) struct DedupIndex {
    runtime: Handle,
    events: Mutex<KeyIndex>,
    /// Names of the sources seen, in the order of their bits.
    sources: Mutex<Vec<String>>,
    /// Keys of quarantined records. Loaded with the first reject, because most runs have none.
    rejects: Mutex<Option<RejectKeys>>,
    keys_max: usize,
    /// The files that hold keys, by day (days since 1970), as read since the last commit.
    files: Mutex<HashMap<Option<i32>, Vec<KeyFile>>>,
    /// Set where other processes may write the lake too.
    uncommitted: Option<Mutex<UncommittedKeys>>,
}

/// Keys of this process that are not committed yet, to be compared with the commits of other processes.
struct UncommittedKeys {
    /// Commits up to this snapshot have been compared.
    compared: i64,
    /// Identity halves of the event keys that were new, or that a further source delivered.
    events: HashSet<KeyHalf>,
    /// Keys of the rejects that were new.
    rejects: HashSet<[u8; 16]>,
}

impl DedupIndex {
    /// An index that keeps about `keys_max` event keys after a commit. `runtime` is used to read the lake. Blocks, like
    /// every method here; must not be called on an async thread.
    pub(crate) fn new(runtime: Handle, lake: &Lake, keys_max: usize) -> Result<Self, CatalogError> {
        let uncommitted = if lake.is_shared() {
            let compared = runtime.block_on(lake.snapshot())?;
            let (events, rejects) = (HashSet::new(), HashSet::new());
            Some(Mutex::new(UncommittedKeys { compared, events, rejects }))
        } else {
            None
        };
        Ok(Self {
            runtime,
            events: Mutex::new(KeyIndex::new(keys_max)),
            sources: Mutex::default(),
            rejects: Mutex::new(None),
            keys_max,
            files: Mutex::default(),
            uncommitted,
        })
    }

    /// The bit of the source `name`.
    pub(crate) fn source(&self, name: &str) -> SourceBit {
        let mut sources = lock(&self.sources);
        let index = sources.iter().position(|source| source == name).unwrap_or_else(|| {
            sources.push(name.to_owned());
            sources.len() - 1
        });
        SourceBit::of(index)
    }

    /// Looks up and adds the event `key` of `source`. `event_time` is in microseconds since 1970 UTC.
    pub(crate) fn event(
        &self,
        lake: &Lake,
        event_time: Option<i64>,
        key: [u8; 16],
        source: SourceBit,
    ) -> Result<DedupOutcome, CatalogError> {
        let bucket = TimeBucket::of(event_time);
        let outcome = lock(&self.events)
            .insert(bucket, key, source, |bucket| self.stored_keys(lake, bucket))?;
        if let (Some(uncommitted), false) = (&self.uncommitted, outcome == DedupOutcome::Duplicate)
        {
            lock(uncommitted).events.insert(halves(&key).0);
        }
        Ok(outcome)
    }

    /// The keys that the lake holds in `bucket`, once for each source.
    fn stored_keys(
        &self,
        lake: &Lake,
        bucket: TimeBucket,
    ) -> Result<Vec<([u8; 16], SourceBit)>, CatalogError> {
        let mut files = lock(&self.files);
        let files = match files.entry(bucket.day()) {
            Entry::Occupied(listed) => listed.into_mut(),
            Entry::Vacant(slot) => {
                slot.insert(self.runtime.block_on(lake.key_files(bucket.day()))?)
            }
        };
        let may_hold = |file: &&KeyFile| bucket.times().is_none_or(|times| file.may_hold(times));
        let mut keys = Vec::new();
        for file in files.iter().filter(may_hold) {
            read_keys(&file.path, file.table, bucket.times(), |row| {
                if TimeBucket::of(row.time) == bucket {
                    keys.push((row.key, self.source(row.source)));
                }
            })?;
        }
        Ok(keys)
    }

    /// Adds the key of a reject that came from `source` on `day` (days since 1970).
    pub(crate) fn reject(
        &self,
        lake: &Lake,
        key: [u8; 16],
        source: &str,
        day: i32,
    ) -> Result<RejectOutcome, CatalogError> {
        let mut rejects = lock(&self.rejects);
        let keys = match &mut *rejects {
            Some(keys) => keys,
            None => rejects.insert(RejectKeys::load(&self.runtime, lake, day)?),
        };
        let outcome = keys.add(key, source, day);
        if let (Some(uncommitted), RejectOutcome::New) = (&self.uncommitted, outcome) {
            lock(uncommitted).rejects.insert(key);
        }
        Ok(outcome)
    }

    /// Adds the key of the reject that stands for those beyond the limit; true where it is new. Where a commit has just
    /// forgotten the keys, a second row is better than none.
    pub(crate) fn summing_reject(&self, key: [u8; 16]) -> bool {
        let is_new = lock(&self.rejects).as_mut().is_none_or(|keys| keys.add_uncounted(key));
        if let (Some(uncommitted), true) = (&self.uncommitted, is_new) {
            lock(uncommitted).rejects.insert(key);
        }
        is_new
    }

    /// Commits the records whose keys were added. Where other processes have committed since, their keys are compared
    /// first. `now` is in microseconds since 1970 UTC. Returns the new snapshot.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if another process has stored a record of this commit, and the
    /// errors of [`Lake::commit`].
    pub(crate) fn commit(
        &self,
        lake: &Lake,
        commit: &Commit,
        now: i64,
    ) -> Result<i64, CatalogError> {
        loop {
            let compared = self.uncommitted.as_ref().map(|uncommitted| lock(uncommitted).compared);
            match self.runtime.block_on(lake.commit(commit, compared, now)) {
                Err(CatalogError::Behind { snapshot }) => {
                    match self.compare_up_to(lake, snapshot) {
                        Ok(()) => {}
                        Err(error) => return Err(self.discard_files(lake, commit, error)),
                    }
                }
                Err(error) => return Err(self.discard_files(lake, commit, error)),
                Ok(snapshot) => {
                    lock(&self.events).evict_to_limit();
                    lock(&self.files).clear();
                    lock(&self.rejects).take_if(|keys| keys.is_large());
                    if let Some(uncommitted) = &self.uncommitted {
                        let (events, rejects) = (HashSet::new(), HashSet::new());
                        *lock(uncommitted) =
                            UncommittedKeys { compared: snapshot, events, rejects };
                    }
                    return Ok(snapshot);
                }
            }
        }
    }

    /// Removes the files of a commit that failed with `error`, so that a service that fails again and again does not fill the
    /// disk with them. Where it is unknown whether the database has stored the commit, they stay for the sweep.
    fn discard_files(&self, lake: &Lake, commit: &Commit, error: CatalogError) -> CatalogError {
        if error.proves_no_commit() {
            commit.files.iter().for_each(|file| file.discard(lake));
        }
        error
    }

    /// Adds the keys that other processes have committed up to `snapshot`, and compares them with the uncommitted ones.
    fn compare_up_to(&self, lake: &Lake, snapshot: i64) -> Result<(), CatalogError> {
        let Some(uncommitted) = &self.uncommitted else { return Ok(()) };
        let mut uncommitted = lock(uncommitted);
        let added = |table, after| self.runtime.block_on(lake.files_added(table, after, snapshot));
        let mut stored_by_both = 0_u64;
        for table in [Table::Events, Table::EventCopies] {
            for path in added(table, uncommitted.compared)? {
                let mut events = lock(&self.events);
                read_keys(&path, table, None, |row| {
                    let identity = halves(&row.key).0;
                    stored_by_both += u64::from(uncommitted.events.contains(&identity));
                    events.add_stored(TimeBucket::of(row.time), row.key, self.source(row.source));
                })?;
            }
        }
        for path in added(Table::Quarantine, uncommitted.compared)? {
            let mut rejects = lock(&self.rejects);
            read_keys(&path, Table::Quarantine, None, |row| {
                stored_by_both += u64::from(uncommitted.rejects.contains(&row.key));
                if let Some(keys) = &mut *rejects {
                    keys.add_uncounted(row.key);
                }
            })?;
        }
        lock(&self.files).clear();
        uncommitted.compared = snapshot;
        if stored_by_both == 0 {
            Ok(())
        } else {
            Err(CatalogError::Conflict {
                what: format!("another writer has stored {stored_by_both} of the same records"),
            })
        }
    }

    /// Forgets all keys, after records were discarded whose keys had been added. The keys that the lake holds are read
    /// again when they are needed.
    pub(crate) fn clear(&self) {
        *lock(&self.events) = KeyIndex::new(self.keys_max);
        *lock(&self.rejects) = None;
        lock(&self.files).clear();
        if let Some(uncommitted) = &self.uncommitted {
            let mut uncommitted = lock(uncommitted);
            uncommitted.events.clear();
            uncommitted.rejects.clear();
        }
    }
}

/// The identity half and the facts half of an event key.
fn halves(key: &[u8; 16]) -> (KeyHalf, KeyHalf) {
    let half = |bytes: &[u8]| KeyHalf(bytes.try_into().expect("eight bytes"));
    (half(&key[..8]), half(&key[8..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(identity: u64, facts: u64) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&identity.to_be_bytes());
        key[8..].copy_from_slice(&facts.to_be_bytes());
        key
    }

    #[test]
    fn stored_keys_are_loaded_once_and_evicted_after_commits() {
        let bucket = TimeBucket::TenMinutes;
        assert_eq!(size_of::<(KeyHalf, KeyEntry)>(), 20, "no padding");
        let mut index = KeyIndex::new(2);
        let mut loads = 0;
        let (sls, oss) = (SourceBit::of(0), SourceBit::of(40));
        let mut look_up = |index: &mut KeyIndex, bucket, k| {
            index
                .insert::<()>(bucket, k, sls, |_| {
                    loads += 1;
                    Ok(vec![(key(1, 1), sls), (key(1, 3), oss)])
                })
                .expect("loads")
        };
        assert_eq!(look_up(&mut index, bucket(1), key(1, 1)), DedupOutcome::Duplicate);
        assert_eq!(look_up(&mut index, bucket(1), key(1, 2)), DedupOutcome::Conflict);
        assert_eq!(look_up(&mut index, bucket(1), key(1, 2)), DedupOutcome::Duplicate);
        assert_eq!(look_up(&mut index, bucket(1), key(1, 3)), DedupOutcome::Copy);
        assert_eq!(look_up(&mut index, bucket(1), key(1, 3)), DedupOutcome::Duplicate);
        assert_eq!(look_up(&mut index, bucket(2), key(9, 9)), DedupOutcome::New);
        index.evict_to_limit();
        assert!(
            !index.buckets.contains_key(&bucket(1)),
            "the bucket unused for longest goes first"
        );
        assert_eq!(look_up(&mut index, bucket(2), key(9, 9)), DedupOutcome::Duplicate);
        assert_eq!(loads, 2);
    }

    #[test]
    fn a_commit_that_fails_leaves_no_files() {
        use crate::batch::Provenance;
        use crate::lake::{Position, SourceCommit};
        use crate::staging::Staging;
        use trailhound_datasets::event::Event;
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let lake = runtime.block_on(Lake::create_or_open(&folder.path().join("lake"), &[], 0));
        let lake = lake.expect("a lake");
        let dedup = DedupIndex::new(runtime.handle().clone(), &lake, 1000).expect("an index");
        let mut staging = Staging::new(&lake, &dedup);
        let from =
            Provenance { source: "s", object: "o", partition: None, record: 0, ingested_at: 0 };
        staging.event(&Event::empty("{}"), &from, None).expect("staged");
        let files = staging.finish(0).expect("files").files;
        let paths: Vec<_> = files.iter().map(|file| file.path_in(&lake)).collect();
        assert!(!paths.is_empty() && paths.iter().all(|path| path.is_file()));
        // Another process has moved the position.
        let position = Position {
            object: "o".to_owned(),
            source_version: "v".to_owned(),
            records: 1,
            done: true,
            notes: String::new(),
        };
        let positions = vec![(position, Some(7))];
        let source = SourceCommit { source: "s".to_owned(), positions, ..SourceCommit::default() };
        let commit = Commit { files, sources: vec![source] };
        let failed = dedup.commit(&lake, &commit, 0).expect_err("the position is another");
        assert!(matches!(failed, CatalogError::Conflict { .. }), "{failed}");
        assert!(paths.iter().all(|path| !path.exists()), "{paths:?}");
    }
}
