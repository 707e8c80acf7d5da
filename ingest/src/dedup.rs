//! Which records the lake already holds. Exact: every key of the stretches of time an ingest touches is known, those of others
//! are let go. Memory follows the busiest minutes, about 25 bytes an event, not the lake.

use crate::lake::{CatalogError, Commit, KeyFile, Lake, Table, read_keys};
use crate::lock::lock;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Mutex;
use tokio::runtime::Handle;
use trailhound_datasets::layout;

/// Length of the stretches of time whose keys are held together, in microseconds: what comes is mostly of the last few
/// minutes, and so few keys are all that a check needs however much a day brings. A day is made of whole stretches.
const STRETCH: i64 = 600_000_000;
/// Times that an event can have: 2010 to 2060. Those outside are nonsense, and as many stretches as somebody likes to send.
const SENSIBLE: std::ops::Range<i64> = 1_262_304_000_000_000..2_840_140_800_000_000;

/// Keys grouped by the event's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TimeBucket {
    /// A stretch of ten minutes, counted from 1970.
    Stretch(i64),
    /// Events without a sensible time.
    Nonsense,
}

impl TimeBucket {
    pub(crate) fn of(event_time: Option<i64>) -> Self {
        match event_time.filter(|time| SENSIBLE.contains(time)) {
            Some(time) => Self::Stretch(time.div_euclid(STRETCH)),
            None => Self::Nonsense,
        }
    }

    /// Its first instant and the first after it.
    fn times(self) -> Option<(i64, i64)> {
        match self {
            Self::Stretch(number) => Some((number * STRETCH, (number + 1) * STRETCH)),
            Self::Nonsense => None,
        }
    }

    /// The day it lies in, as days since 1970.
    fn day(self) -> Option<i32> {
        self.times().map(|(from, _)| layout::day_of(from))
    }
}

/// What a key turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Never seen.
    New,
    /// An event with the same account and id but other facts is there.
    Conflict,
    /// This very event is there, from other sources.
    Copy,
    /// This very event is there, from this source.
    Duplicate,
}

/// A source as one bit of 32; beyond 31 sources the further ones share the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source(u32);

impl Source {
    fn of(index: usize) -> Self {
        Self(1 << index.min(31))
    }
}

/// The keys are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
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

/// One half of a key, as bytes so that entries need no padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeyHalf([u8; 8]);

impl Hash for KeyHalf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from_be_bytes(self.0));
    }
}

/// What is known of an event beside its identity.
#[derive(Debug, Clone, Copy)]
struct Facts {
    half: KeyHalf,
    /// The sources that have brought it, a bit each.
    sources: [u8; 4],
}

impl Facts {
    fn new(half: KeyHalf, Source(source): Source) -> Self {
        Self { half, sources: source.to_ne_bytes() }
    }

    /// The event has come again.
    fn again(&mut self, Source(source): Source) -> Seen {
        let sources = u32::from_ne_bytes(self.sources);
        self.sources = (sources | source).to_ne_bytes();
        if sources & source == 0 { Seen::Copy } else { Seen::Duplicate }
    }
}

type Map<V> = HashMap<KeyHalf, V, BuildHasherDefault<AsIs>>;

#[derive(Default)]
struct Keys {
    /// Identity half to the rest of each key.
    first: Map<Facts>,
    /// Further facts under an identity that is taken.
    more: Map<Vec<Facts>>,
    count: usize,
    touched: u64,
}

impl Keys {
    fn insert(&mut self, key: [u8; 16], source: Source) -> Seen {
        let (identity, half) = halves(&key);
        match self.first.entry(identity) {
            Entry::Vacant(slot) => {
                slot.insert(Facts::new(half, source));
                self.count += 1;
                Seen::New
            }
            Entry::Occupied(slot) if slot.get().half == half => slot.into_mut().again(source),
            Entry::Occupied(_) => {
                let more = self.more.entry(identity).or_default();
                if let Some(known) = more.iter_mut().find(|facts| facts.half == half) {
                    return known.again(source);
                }
                more.push(Facts::new(half, source));
                self.count += 1;
                Seen::Conflict
            }
        }
    }
}

/// The keys of the groups at hand.
pub(crate) struct KeyIndex {
    groups: HashMap<TimeBucket, Keys>,
    clock: u64,
    keys_max: usize,
}

impl KeyIndex {
    /// An index that keeps at most about `keys_max` keys between commits.
    pub(crate) fn new(keys_max: usize) -> Self {
        Self { groups: HashMap::new(), clock: 0, keys_max }
    }

    /// Notes `key` of `source`; `load` gives the keys the lake holds in a group that is not at hand yet, once for each source
    /// that has brought them.
    pub(crate) fn insert<E>(
        &mut self,
        group: TimeBucket,
        key: [u8; 16],
        source: Source,
        load: impl FnOnce(TimeBucket) -> Result<Vec<([u8; 16], Source)>, E>,
    ) -> Result<Seen, E> {
        self.clock += 1;
        let clock = self.clock;
        if let Some(keys) = self.groups.get_mut(&group) {
            keys.touched = clock;
            return Ok(keys.insert(key, source));
        }
        let mut keys = Keys { touched: clock, ..Keys::default() };
        for (stored, by) in load(group)? {
            keys.insert(stored, by);
        }
        let seen = keys.insert(key, source);
        self.groups.insert(group, keys);
        Ok(seen)
    }

    /// Notes a key that is in the lake, where its group is at hand.
    pub(crate) fn note_stored(&mut self, group: TimeBucket, key: [u8; 16], source: Source) {
        if let Some(keys) = self.groups.get_mut(&group) {
            keys.insert(key, source);
        }
    }

    /// After a commit every key is in the lake, so groups can be let go: those unused for longest, down to the bound.
    pub(crate) fn committed(&mut self) {
        while self.groups.values().map(|keys| keys.count).sum::<usize>() > self.keys_max
            && self.groups.len() > 1
        {
            let Some(oldest) =
                self.groups.iter().min_by_key(|(_, keys)| keys.touched).map(|(&group, _)| group)
            else {
                return;
            };
            self.groups.remove(&oldest);
        }
    }
}

/// Everything known of what the lake holds, shared by all threads that write.
pub(crate) struct DedupIndex {
    runtime: Handle,
    events: Mutex<KeyIndex>,
    /// Names of the sources met, in the order of their bits.
    sources: Mutex<Vec<String>>,
    /// Loaded with the first reject: most runs have none.
    rejects: Mutex<Option<HashSet<[u8; 16]>>>,
    keys_max: usize,
    /// Files that hold keys, by day, as they were when first asked for since the last commit.
    files: Mutex<HashMap<Option<i32>, Vec<KeyFile>>>,
    /// Where other processes write the lake too.
    others: Option<Mutex<Others>>,
}

/// What must be known to notice that another process has stored the same.
struct Others {
    /// Everything up to this snapshot is known.
    seen: i64,
    /// Identity halves of the event keys noted since the last commit, as new or as a copy.
    events: HashSet<KeyHalf>,
    /// Reject keys likewise.
    rejects: HashSet<[u8; 16]>,
}

impl DedupIndex {
    /// Keeps about `keys_max` event keys between commits; `runtime` reads the lake. Blocks; must be called off the async
    /// threads, as everything here.
    pub(crate) fn new(runtime: Handle, lake: &Lake, keys_max: usize) -> Result<Self, CatalogError> {
        let others = if lake.is_shared() {
            let seen = runtime.block_on(lake.snapshot())?;
            Some(Mutex::new(Others { seen, events: HashSet::new(), rejects: HashSet::new() }))
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
            others,
        })
    }

    /// The source called `name`.
    pub(crate) fn source(&self, name: &str) -> Source {
        let mut sources = lock(&self.sources);
        let index = sources.iter().position(|source| source == name).unwrap_or_else(|| {
            sources.push(name.to_owned());
            sources.len() - 1
        });
        Source::of(index)
    }

    /// Notes the event `key` of `source`.
    pub(crate) fn event(
        &self,
        lake: &Lake,
        event_time: Option<i64>,
        key: [u8; 16],
        source: Source,
    ) -> Result<Seen, CatalogError> {
        let seen = lock(&self.events)
            .insert(TimeBucket::of(event_time), key, source, |group| self.stored(lake, group))?;
        if let (Some(others), Seen::New | Seen::Conflict | Seen::Copy) = (&self.others, seen) {
            lock(others).events.insert(halves(&key).0);
        }
        Ok(seen)
    }

    /// Keys of `group` that the lake holds, once for each source.
    fn stored(
        &self,
        lake: &Lake,
        group: TimeBucket,
    ) -> Result<Vec<([u8; 16], Source)>, CatalogError> {
        let mut files = lock(&self.files);
        let files = match files.entry(group.day()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                unknown.insert(self.runtime.block_on(lake.key_files(group.day()))?)
            }
        };
        let mut keys = Vec::new();
        for file in
            files.iter().filter(|file| group.times().is_none_or(|times| file.may_hold(times)))
        {
            read_keys(&file.path, file.table, group.times(), |row| {
                if TimeBucket::of(row.time) == group {
                    keys.push((row.key, self.source(row.source)));
                }
            })?;
        }
        Ok(keys)
    }

    /// Notes the reject `key`; true where it is new.
    pub(crate) fn reject(&self, lake: &Lake, key: [u8; 16]) -> Result<bool, CatalogError> {
        let mut rejects = lock(&self.rejects);
        let known = match &mut *rejects {
            Some(known) => known,
            None => {
                rejects.insert(self.runtime.block_on(lake.quarantine_keys())?.into_iter().collect())
            }
        };
        let is_new = known.insert(key);
        if let (Some(others), true) = (&self.others, is_new) {
            lock(others).rejects.insert(key);
        }
        Ok(is_new)
    }

    /// Commits what was noted. Where other processes have committed meanwhile, what they stored is looked at first.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] where one of them has stored a record that is about to be stored here, and what
    /// [`Lake::commit`] says.
    pub(crate) fn commit(
        &self,
        lake: &Lake,
        commit: &Commit,
        now: i64,
    ) -> Result<i64, CatalogError> {
        loop {
            let seen = self.others.as_ref().map(|others| lock(others).seen);
            match self.runtime.block_on(lake.commit(commit, seen, now)) {
                Err(CatalogError::Behind { snapshot }) => self.catch_up(lake, snapshot)?,
                Err(error) => return Err(error),
                Ok(snapshot) => {
                    lock(&self.events).committed();
                    lock(&self.files).clear();
                    if let Some(others) = &self.others {
                        *lock(others) = Others {
                            seen: snapshot,
                            events: HashSet::new(),
                            rejects: HashSet::new(),
                        };
                    }
                    return Ok(snapshot);
                }
            }
        }
    }

    /// Takes up what other processes have committed up to `snapshot`.
    fn catch_up(&self, lake: &Lake, snapshot: i64) -> Result<(), CatalogError> {
        let Some(others) = &self.others else { return Ok(()) };
        let mut others = lock(others);
        let mut both = 0_u64;
        for table in [Table::Events, Table::Copies] {
            for path in self.runtime.block_on(lake.added(table, others.seen, snapshot))? {
                let mut events = lock(&self.events);
                read_keys(&path, table, None, |row| {
                    both += u64::from(others.events.contains(&halves(&row.key).0));
                    events.note_stored(TimeBucket::of(row.time), row.key, self.source(row.source));
                })?;
            }
        }
        for path in self.runtime.block_on(lake.added(Table::Quarantine, others.seen, snapshot))? {
            let mut rejects = lock(&self.rejects);
            read_keys(&path, Table::Quarantine, None, |row| {
                both += u64::from(others.rejects.contains(&row.key));
                rejects.iter_mut().for_each(|known| {
                    known.insert(row.key);
                });
            })?;
        }
        lock(&self.files).clear();
        others.seen = snapshot;
        if both == 0 {
            Ok(())
        } else {
            Err(CatalogError::Conflict {
                what: format!("another writer has stored {both} of the same records"),
            })
        }
    }

    /// After records were noted that will not be committed: what the lake holds is read again.
    pub(crate) fn forget(&self) {
        *lock(&self.events) = KeyIndex::new(self.keys_max);
        *lock(&self.rejects) = None;
        lock(&self.files).clear();
        if let Some(others) = &self.others {
            let mut others = lock(others);
            others.events.clear();
            others.rejects.clear();
        }
    }
}

/// Identity and facts.
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
    fn stored_keys_are_loaded_once_and_let_go_after_commits() {
        let day = TimeBucket::Stretch;
        assert_eq!(size_of::<(KeyHalf, Facts)>(), 20, "no padding");
        let mut index = KeyIndex::new(2);
        let mut loads = 0;
        let (sls, oss) = (Source::of(0), Source::of(40));
        let mut see = |index: &mut KeyIndex, group, k| {
            index
                .insert::<()>(group, k, sls, |_| {
                    loads += 1;
                    Ok(vec![(key(1, 1), sls), (key(1, 3), oss)])
                })
                .expect("loads")
        };
        assert_eq!(see(&mut index, day(1), key(1, 1)), Seen::Duplicate);
        assert_eq!(see(&mut index, day(1), key(1, 2)), Seen::Conflict);
        assert_eq!(see(&mut index, day(1), key(1, 2)), Seen::Duplicate);
        assert_eq!(see(&mut index, day(1), key(1, 3)), Seen::Copy);
        assert_eq!(see(&mut index, day(1), key(1, 3)), Seen::Duplicate);
        assert_eq!(see(&mut index, day(2), key(9, 9)), Seen::New);
        index.committed();
        assert!(!index.groups.contains_key(&day(1)), "the group unused for longest goes first");
        assert_eq!(see(&mut index, day(2), key(9, 9)), Seen::Duplicate);
        assert_eq!(loads, 2);
    }
}
