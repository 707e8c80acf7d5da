//! Generates sample traffic: background events and attack stories, as the files that a trail delivers to OSS, and the list
//! of the events that a correct detector must flag. The output depends on the specification alone, byte for byte.
//!
//! ```
//! use trailhound_datasets::generate::{Traffic, TrafficSpec};
//!
//! let spec = TrafficSpec {
//!     events: 200,
//!     seed: 1,
//!     company: None,
//!     stories: vec!["no_mfa_sign_in".to_owned()],
//!     end_micros: 1_790_812_800_000_000,
//!     days: 2,
//! };
//! let traffic = Traffic::new(spec).expect("the story exists");
//! assert_eq!(traffic.expected_findings()["expected"][0]["rule_id"], "AT-LOGIN-001");
//! let events: u64 = traffic.files().map(|file| file.events).sum();
//! assert_eq!(events, 200);
//! ```

mod background;
mod event;
mod names;
mod stories;

pub use stories::NAMES as STORY_NAMES;

/// Story name that stands for background traffic without any story.
pub const NO_STORY: &str = "none";

use crate::layout::{DAY_MICROS, day_of};
use chrono::DateTime;
use event::GeneratedEvent;
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;

/// Most events in one file. Files of real trails, which cover five minutes, hold fewer.
const FILE_EVENTS_MAX: usize = 20_000;

/// Specification of the traffic to generate.
#[derive(Debug, Clone)]
pub struct TrafficSpec {
    /// Number of events, stories included.
    pub events: u64,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Seed of the company: its people, keys and addresses. Traffic of one company with several seeds has the same
    /// principals. `None` takes a new company for each seed.
    pub company: Option<u64>,
    /// Names of the stories; empty for all.
    pub stories: Vec<String>,
    /// End of the traffic, microseconds since 1970 UTC.
    pub end_micros: i64,
    /// Days that the traffic covers.
    pub days: u32,
}

/// A file of generated events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Path below the output folder, as a trail names its objects.
    pub path: String,
    /// A gzip-compressed JSON array of events.
    pub content: Vec<u8>,
    /// Number of events.
    pub events: u64,
}

/// Planned traffic, generated one file at a time.
pub struct Traffic {
    spec: TrafficSpec,
    background: background::Background,
    /// Story events by `(day, region)`.
    story_events: BTreeMap<(i32, &'static str), Vec<GeneratedEvent>>,
    /// Number of background events by `(day, region)`.
    planned: Vec<((i32, &'static str), u64)>,
    expected: BTreeMap<&'static str, Vec<String>>,
}

impl Traffic {
    /// Plans the traffic that `spec` describes.
    ///
    /// # Errors
    /// The name of the first story that does not exist.
    pub fn new(spec: TrafficSpec) -> Result<Self, String> {
        let mut rng = Pcg64::seed_from_u64(spec.seed);
        let last_day = day_of(spec.end_micros);
        let first_day = last_day - i32::try_from(spec.days.max(1)).unwrap_or(i32::MAX) + 1;
        let chosen: Vec<&str> =
            match spec.stories.iter().find(|name| !STORY_NAMES.contains(&name.as_str())) {
                Some(none) if none == NO_STORY => Vec::new(),
                Some(unknown) => return Err(unknown.clone()),
                None if spec.stories.is_empty() => STORY_NAMES.to_vec(),
                None => spec.stories.iter().map(String::as_str).collect(),
            };
        let mut story_events: BTreeMap<_, Vec<GeneratedEvent>> = BTreeMap::new();
        let mut expected: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let mut story_event_count = 0;
        for iteration in 0..(spec.events / 20_000).max(1) {
            for name in &chosen {
                for made in stories::generate(name, iteration, first_day, last_day, &mut rng) {
                    if made.time_micros > spec.end_micros {
                        continue;
                    }
                    for rule in &made.expected {
                        expected.entry(rule).or_default().push(made.event_id.clone());
                    }
                    story_event_count += 1;
                    story_events
                        .entry((day_of(made.time_micros), made.region))
                        .or_default()
                        .push(made);
                }
            }
        }
        let background = match spec.company {
            Some(company) => background::Background::new(&mut Pcg64::seed_from_u64(company)),
            None => background::Background::new(&mut rng),
        };
        let planned = background.plan(
            spec.events.saturating_sub(story_event_count),
            first_day,
            spec.end_micros,
            &mut rng,
        );
        Ok(Self { spec, background, story_events, planned, expected })
    }

    /// The content of `truth.json`: ids of the events that a correct detector must flag, by rule.
    #[must_use]
    pub fn expected_findings(&self) -> Value {
        let expected: Vec<Value> = self
            .expected
            .iter()
            .map(|(rule, ids)| {
                let mut ids = ids.clone();
                ids.sort();
                json!({ "rule_id": rule, "event_ids": ids })
            })
            .collect();
        json!({ "expected": expected })
    }

    /// The content of `trailhound.toml`: the parameters for this traffic.
    #[must_use]
    pub fn configuration(&self) -> &'static str {
        stories::CONFIGURATION
    }

    /// Generates the files, in order of day and region.
    pub fn files(mut self) -> impl Iterator<Item = GeneratedFile> {
        let mut slots: BTreeMap<(i32, &'static str), u64> = self.planned.drain(..).collect();
        for slot in self.story_events.keys() {
            slots.entry(*slot).or_insert(0);
        }
        slots.into_iter().flat_map(move |((day, region), count)| self.files_of(day, region, count))
    }

    /// The files of one day and region, with `count` background events.
    fn files_of(&mut self, day: i32, region: &'static str, count: u64) -> Vec<GeneratedFile> {
        let stream = (i64::from(day) as u64).wrapping_mul(0x9e37_79b9)
            ^ region.bytes().fold(0u64, |h, b| h.wrapping_mul(31) + u64::from(b));
        let mut rng = Pcg64::new(u128::from(self.spec.seed), u128::from(stream));
        let start = i64::from(day) * DAY_MICROS;
        let length = (self.spec.end_micros - start).clamp(1_000_000, DAY_MICROS) / 1_000_000;
        let mut made = self.story_events.remove(&(day, region)).unwrap_or_default();
        for _ in 0..count {
            let time = start + rng.random_range(0..length) * 1_000_000;
            made.push(self.background.event(time, region, &mut rng));
        }
        made.sort_by(|a, b| (a.time_micros, &a.event_id).cmp(&(b.time_micros, &b.event_id)));
        made.chunks(FILE_EVENTS_MAX).map(|chunk| file(region, chunk)).collect()
    }
}

fn file(region: &str, events: &[GeneratedEvent]) -> GeneratedFile {
    let mut text =
        String::with_capacity(events.iter().map(|e| e.text.len() + 1).sum::<usize>() + 2);
    text.push('[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&event.text);
    }
    text.push(']');
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let content = gzip.write_all(text.as_bytes()).and_then(|()| gzip.finish()).unwrap_or_default();
    let newest = events
        .last()
        .and_then(|e| DateTime::from_timestamp_micros(e.time_micros))
        .unwrap_or_default();
    let path = format!(
        "AliyunLogs/Actiontrail/{region}/{}/Actiontrail_{region}_{}_1002_{}_{}_{:x}.gz",
        newest.format("%Y/%m/%d"),
        newest.format("%Y%m%d%H%M%S"),
        events.len(),
        content.len(),
        Md5::digest(&content)
    );
    GeneratedFile { path, content, events: events.len() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(seed: u64) -> TrafficSpec {
        TrafficSpec {
            events: 3_000,
            seed,
            company: None,
            stories: Vec::new(),
            end_micros: 1_790_812_800_000_000,
            days: 14,
        }
    }

    #[test]
    fn a_company_stays_the_same_from_seed_to_seed() {
        let keys = |company, seed| -> std::collections::BTreeSet<String> {
            let spec = TrafficSpec { company, stories: vec![NO_STORY.to_owned()], ..spec(seed) };
            let mut text = String::new();
            for file in Traffic::new(spec).expect("a company").files() {
                std::io::Read::read_to_string(
                    &mut flate2::read::GzDecoder::new(&file.content[..]),
                    &mut text,
                )
                .expect("text");
            }
            text.split("LTAI5t").skip(1).map(|rest| rest.chars().take(18).collect()).collect()
        };
        let shared = |company| keys(company, 1).intersection(&keys(company, 2)).count();
        assert_eq!((shared(Some(7)) > 3, shared(None)), (true, 0));
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let files =
            |seed| Traffic::new(spec(seed)).expect("all stories exist").files().collect::<Vec<_>>();
        assert_eq!(files(7), files(7));
        assert_ne!(files(7), files(8));
        assert_eq!(files(7).iter().map(|file| file.events).sum::<u64>(), 3_000);
    }

    #[test]
    fn every_story_tells_something_and_unknown_ones_are_refused() {
        for name in STORY_NAMES {
            let traffic = Traffic::new(TrafficSpec { stories: vec![name.to_owned()], ..spec(1) })
                .expect("exists");
            assert!(!traffic.expected.is_empty(), "{name}");
        }
        assert_eq!(
            Traffic::new(TrafficSpec { stories: vec!["x".to_owned()], ..spec(1) }).err().as_deref(),
            Some("x")
        );
    }
}
