//! The everyday company, "the neighbour": benign traffic of an ordinary company, which was written down before the rules were
//! measured against it and is not adapted to them. `docs/everyday-company.md` describes it; [`everyday_company_page`] writes that page from
//! the tables here.

mod cast;
mod company;
mod compute;
mod containers;
mod data;
mod fill;
mod operations;
mod page;
mod people;
mod pipelines;
mod routine;
mod run;
mod sign_in;

pub use operations::EVERYDAY_OPERATIONS;
pub use page::everyday_company_page;

use super::event::GeneratedEvent;
use crate::layout::{DAY_MICROS, day_of};
use cast::Cast;
pub(super) use company::CONFIGURATION;
use company::DEPARTMENTS;
use rand_pcg::Pcg64;

/// The traffic of the everyday company, planned and generated one day at a time.
pub(super) struct Neighbour {
    seed: u64,
    cast: Cast,
    /// Start and end of the traffic, microseconds since 1970 UTC.
    start_micros: i64,
    end_micros: i64,
}

impl Neighbour {
    /// Plans the `days` days before `end_micros`, microseconds since 1970 UTC.
    pub(super) fn new(seed: u64, days: u32, end_micros: i64) -> Self {
        let start_micros = end_micros.saturating_sub(i64::from(days.max(1)) * DAY_MICROS);
        Self { seed, cast: Cast::new(seed), start_micros, end_micros }
    }

    /// The days, since 1970, on which there are events.
    pub(super) fn days(&self) -> std::ops::RangeInclusive<i32> {
        // What starts late on a day ends on the next one.
        day_of(self.start_micros)..=day_of(self.end_micros)
    }

    /// The events of what starts on `day`, days since 1970, in order of time.
    pub(super) fn events(&self, day: i32) -> Vec<GeneratedEvent> {
        let mut rng = self.stream(day, usize::MAX);
        let mut events = sign_in::of_day(&self.cast, day, &mut rng);
        let routines = DEPARTMENTS.iter().flat_map(|department| department.routines);
        for (number, routine) in routines.enumerate() {
            let mut rng = self.stream(day, number);
            for start in run::starts(routine.when, day, &mut rng) {
                run::run(&self.cast, self.seed, routine, (day, start), &mut events, &mut rng);
            }
        }
        events.retain(|event| (self.start_micros..self.end_micros).contains(&event.time_micros));
        events.sort_by(|a, b| (a.time_micros, &a.event_id).cmp(&(b.time_micros, &b.event_id)));
        events
    }

    /// Random numbers of their own for each day and routine, so that a change of one routine leaves the others as they are.
    fn stream(&self, day: i32, routine: usize) -> Pcg64 {
        let stream = (u128::from(day.unsigned_abs()) << 64) | routine as u128;
        Pcg64::new(u128::from(self.seed), stream)
    }
}
