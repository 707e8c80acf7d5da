//! Which records the lake already holds. Exact: every key of the stretches of time an ingest touches is known, those of others
//! are let go. Memory follows the busiest minutes, about 20 bytes an event, not the lake.

use crate::lake::{CatalogError, Commit, EVENTS_ID, KeyFile, Lake, QUARANTINE_ID, read_keys};
use crate::lock::lock;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
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
pub(crate) enum Group {
    /// A stretch of ten minutes, counted from 1970.
    Stretch(i64),
    /// Events without a sensible time.
    Nonsense,
}

impl Group {
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
    /// This very event is there.
    Duplicate,
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

type Map<V> = HashMap<u64, V, BuildHasherDefault<AsIs>>;

#[derive(Default)]
struct Keys {
    /// Identity half to facts half of each key.
    first: Map<u64>,
    /// Further facts under an identity that is taken.
    more: Map<Vec<u64>>,
    count: usize,
    touched: u64,
}

impl Keys {
    fn insert(&mut self, key: [u8; 16]) -> Seen {
        let identity = identity(&key);
        let facts = u64::from_be_bytes(key[8..].try_into().expect("eight bytes"));
        match self.first.entry(identity) {
            Entry::Vacant(slot) => {
                slot.insert(facts);
                self.count += 1;
                Seen::New
            }
            Entry::Occupied(slot) if *slot.get() == facts => Seen::Duplicate,
            Entry::Occupied(_) => {
                let more = self.more.entry(identity).or_default();
                if more.contains(&facts) {
                    return Seen::Duplicate;
                }
                more.push(facts);
                self.count += 1;
                Seen::Conflict
            }
        }
    }
}

/// The keys of the groups at hand.
pub(crate) struct KeyIndex {
    groups: HashMap<Group, Keys>,
    clock: u64,
    keys_max: usize,
}

impl KeyIndex {
    /// An index that keeps at most about `keys_max` keys between commits.
    pub(crate) fn new(keys_max: usize) -> Self {
        Self { groups: HashMap::new(), clock: 0, keys_max }
    }

    /// Notes `key`; `load` gives the keys the lake holds in a group that is not at hand yet.
    pub(crate) fn insert<E>(
        &mut self,
        group: Group,
        key: [u8; 16],
        load: impl FnOnce(Group) -> Result<Vec<[u8; 16]>, E>,
    ) -> Result<Seen, E> {
        self.clock += 1;
        let clock = self.clock;
        if let Some(keys) = self.groups.get_mut(&group) {
            keys.touched = clock;
            return Ok(keys.insert(key));
        }
        let mut keys = Keys { touched: clock, ..Keys::default() };
        for stored in load(group)? {
            keys.insert(stored);
        }
        let seen = keys.insert(key);
        self.groups.insert(group, keys);
        Ok(seen)
    }

    /// Notes a key that is in the lake, where its group is at hand.
    pub(crate) fn note_stored(&mut self, group: Group, key: [u8; 16]) {
        if let Some(keys) = self.groups.get_mut(&group) {
            keys.insert(key);
        }
    }

    /// After a commit every key is in the lake, so groups can be let go: those unused for longest, down to the bound.
    pub(crate) fn committed(&mut self) {
        while self.groups.values().map(|keys| keys.count).sum::<usize>() > self.keys_max && self.groups.len() > 1 {
            let Some(oldest) = self.groups.iter().min_by_key(|(_, keys)| keys.touched).map(|(&group, _)| group) else { return };
            self.groups.remove(&oldest);
        }
    }
}

/// Everything known of what the lake holds, shared by all threads that write.
pub(crate) struct Known {
    runtime: Handle,
    events: Mutex<KeyIndex>,
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
    /// Identity halves of the event keys noted as new since the last commit.
    events: HashSet<u64>,
    /// Reject keys likewise.
    rejects: HashSet<[u8; 16]>,
}

impl Known {
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
            rejects: Mutex::new(None),
            keys_max,
            files: Mutex::default(),
            others,
        })
    }

    /// Notes the event `key`.
    pub(crate) fn event(&self, lake: &Lake, event_time: Option<i64>, key: [u8; 16]) -> Result<Seen, CatalogError> {
        let seen = lock(&self.events).insert(Group::of(event_time), key, |group| self.stored(lake, group))?;
        if let (Some(others), Seen::New | Seen::Conflict) = (&self.others, seen) {
            lock(others).events.insert(identity(&key));
        }
        Ok(seen)
    }

    /// Keys of `group` that the lake holds.
    fn stored(&self, lake: &Lake, group: Group) -> Result<Vec<[u8; 16]>, CatalogError> {
        let mut files = lock(&self.files);
        let files = match files.entry(group.day()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(self.runtime.block_on(lake.key_files(group.day()))?),
        };
        let mut keys = Vec::new();
        for file in files.iter().filter(|file| group.times().is_none_or(|times| file.may_hold(times))) {
            read_keys(&file.path, "event_key", Some("event_time"), group.times(), |(key, time)| {
                if Group::of(time) == group {
                    keys.push(key);
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
            None => rejects.insert(self.runtime.block_on(lake.quarantine_keys())?.into_iter().collect()),
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
    pub(crate) fn commit(&self, lake: &Lake, commit: &Commit, now: i64) -> Result<i64, CatalogError> {
        loop {
            let seen = self.others.as_ref().map(|others| lock(others).seen);
            match self.runtime.block_on(lake.commit(commit, seen, now)) {
                Err(CatalogError::Behind { snapshot }) => self.catch_up(lake, snapshot)?,
                Err(error) => return Err(error),
                Ok(snapshot) => {
                    lock(&self.events).committed();
                    lock(&self.files).clear();
                    if let Some(others) = &self.others {
                        *lock(others) = Others { seen: snapshot, events: HashSet::new(), rejects: HashSet::new() };
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
        for path in self.runtime.block_on(lake.added(EVENTS_ID, others.seen, snapshot))? {
            let mut events = lock(&self.events);
            read_keys(&path, "event_key", Some("event_time"), None, |(key, time)| {
                both += u64::from(others.events.contains(&identity(&key)));
                events.note_stored(Group::of(time), key);
            })?;
        }
        for path in self.runtime.block_on(lake.added(QUARANTINE_ID, others.seen, snapshot))? {
            let mut rejects = lock(&self.rejects);
            read_keys(&path, "quarantine_key", None, None, |(key, _)| {
                both += u64::from(others.rejects.contains(&key));
                rejects.iter_mut().for_each(|known| {
                    known.insert(key);
                });
            })?;
        }
        lock(&self.files).clear();
        others.seen = snapshot;
        if both == 0 {
            Ok(())
        } else {
            Err(CatalogError::Conflict { what: format!("another writer has stored {both} of the same records") })
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

fn identity(key: &[u8; 16]) -> u64 {
    u64::from_be_bytes(key[..8].try_into().expect("eight bytes"))
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
        let day = Group::Stretch;
        let mut index = KeyIndex::new(2);
        let mut loads = 0;
        let mut see = |index: &mut KeyIndex, group, k| {
            index
                .insert::<()>(group, k, |_| {
                    loads += 1;
                    Ok(vec![key(1, 1)])
                })
                .expect("loads")
        };
        assert_eq!(see(&mut index, day(1), key(1, 1)), Seen::Duplicate);
        assert_eq!(see(&mut index, day(1), key(1, 2)), Seen::Conflict);
        assert_eq!(see(&mut index, day(1), key(1, 2)), Seen::Duplicate);
        assert_eq!(see(&mut index, day(2), key(9, 9)), Seen::New);
        index.committed();
        assert!(!index.groups.contains_key(&day(1)), "the group unused for longest goes first");
        assert_eq!(see(&mut index, day(2), key(9, 9)), Seen::Duplicate);
        assert_eq!(loads, 2);
    }
}
