//! The clock as an input, and how far the clock of a machine is believed.
//!
//! A wall clock may be wrong at the start and may jump at any time, in either direction. [`CheckedClock`] holds it against
//! monotonic time: a jump does not change what it tells. Reading, storing and detecting go by that time. What removes something
//! because of its age goes by [`CheckedClock::confirmed_now`], which is `None` until another clock has agreed or a day has passed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Returns the present in microseconds since 1970 UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

const SECOND: i64 = 1_000_000;
/// A wall clock that moves by more than this against monotonic time has jumped, in microseconds. Clocks that differ by less agree.
const DIFFERENCE_MAX: i64 = 300 * SECOND;
/// A wall clock is believed after so many microseconds of monotonic time without a contradiction.
const BELIEVED_AFTER: i64 = 86_400 * SECOND;

/// A wall clock that is held against monotonic time and against the clocks of other machines. Clones share what is known.
#[derive(Clone)]
pub struct CheckedClock(Arc<Inner>);

struct Inner {
    wall: Clock,
    /// Microseconds since any fixed moment; never goes back.
    monotonic: Clock,
    /// The time was told by a person and stands still.
    is_told: bool,
    state: Mutex<State>,
}

struct State {
    /// Wall and monotonic time at a moment at which the wall clock was believed.
    anchor: (i64, i64),
    /// Monotonic time of the start.
    started: i64,
    /// Another clock, or a day, has confirmed the time.
    is_confirmed: bool,
    /// The jump of the wall clock that is not believed.
    jump: Option<Jump>,
    /// What another clock says that does not agree.
    contradiction: Option<String>,
}

#[derive(Clone, Copy)]
struct Jump {
    /// How far the wall clock is off, in microseconds.
    offset: i64,
    /// Monotonic time at which it was seen first.
    since: i64,
}

/// The times of one look.
struct Look {
    wall: i64,
    monotonic: i64,
    /// The anchor's time plus the monotonic time since.
    steady: i64,
}

impl CheckedClock {
    /// A clock that believes `wall` (microseconds since 1970 UTC) at its start, and holds it against `monotonic` (microseconds,
    /// never going back) from then on.
    #[must_use]
    pub fn new(wall: Clock, monotonic: Clock) -> Self {
        let (anchor, started) = ((wall(), monotonic()), monotonic());
        let state = State { anchor, started, is_confirmed: false, jump: None, contradiction: None };
        Self(Arc::new(Inner { wall, monotonic, is_told: false, state: Mutex::new(state) }))
    }

    /// A clock that holds `wall` against the monotonic time of the process.
    #[must_use]
    pub fn of_process(wall: Clock) -> Self {
        let begun = Instant::now();
        let monotonic = move || i64::try_from(begun.elapsed().as_micros()).unwrap_or(i64::MAX);
        Self::new(wall, Arc::new(monotonic))
    }

    /// The time `now` (microseconds since 1970 UTC), which a person has told. It stands still and needs no confirmation.
    #[must_use]
    pub fn told(now: i64) -> Self {
        let state = State {
            anchor: (now, 0),
            started: 0,
            is_confirmed: true,
            jump: None,
            contradiction: None,
        };
        let (wall, monotonic): (Clock, Clock) = (Arc::new(move || now), Arc::new(|| 0));
        Self(Arc::new(Inner { wall, monotonic, is_told: true, state: Mutex::new(state) }))
    }

    /// The clock as an input.
    #[must_use]
    pub fn reader(&self) -> Clock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }

    fn look(&self) -> (Look, MutexGuard<'_, State>) {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall, monotonic) = ((self.0.wall)(), (self.0.monotonic)());
        let steady = state.anchor.0.saturating_add(monotonic.saturating_sub(state.anchor.1));
        (Look { wall, monotonic, steady }, state)
    }

    /// The present in microseconds since 1970 UTC. A jump of the wall clock does not change it.
    #[must_use]
    pub fn now(&self) -> i64 {
        let (look, mut state) = self.look();
        state.update(&look)
    }

    /// The present in microseconds since 1970 UTC, for what removes something because of its age. `None` while nothing but the wall
    /// clock says what time it is.
    #[must_use]
    pub fn confirmed_now(&self) -> Option<i64> {
        let (look, mut state) = self.look();
        let now = state.update(&look);
        state.is_confirmed.then_some(now)
    }

    /// Microseconds of monotonic time since the start.
    #[must_use]
    pub fn age(&self) -> i64 {
        let (look, state) = self.look();
        look.monotonic - state.started
    }

    /// Takes in that the clock of `whose` shows `theirs` (microseconds since 1970 UTC) now.
    pub fn compare(&self, whose: &str, theirs: i64) {
        if self.0.is_told {
            return;
        }
        let (look, mut state) = self.look();
        let agrees = |ours: i64| ours.saturating_sub(theirs).saturating_abs() <= DIFFERENCE_MAX;
        let wall_agrees = agrees(look.wall);
        if wall_agrees {
            state.believe(&look);
        }
        state.is_confirmed = wall_agrees || agrees(look.steady);
        state.contradiction = (!state.is_confirmed).then(|| {
            let seconds = look.wall.saturating_sub(theirs) / SECOND;
            format!("the clock of this machine is {seconds} s ahead of the clock of {whose}")
        });
        state.update(&look);
    }

    /// Takes in that the time was confirmed at `then` (microseconds since 1970 UTC), by an earlier process. A wall clock that has
    /// moved on by less than a day since cannot be far off.
    pub fn confirmed_at(&self, then: i64) {
        let (look, mut state) = self.look();
        if (0..=BELIEVED_AFTER).contains(&look.wall.saturating_sub(then)) {
            state.is_confirmed = true;
        }
    }

    /// What is wrong with the clock of the machine; `None` if nothing is known to be.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let (look, mut state) = self.look();
        state.update(&look);
        let jumped = |jump: Jump| {
            let (seconds, direction) = (
                (jump.offset / SECOND).unsigned_abs(),
                if jump.offset > 0 { "ahead" } else { "back" },
            );
            format!(
                "the clock of this machine has jumped {seconds} s {direction}; the time before the jump is counted on instead"
            )
        };
        state.jump.map(jumped).or_else(|| state.contradiction.clone())
    }
}

impl State {
    /// Believes the wall clock.
    fn believe(&mut self, look: &Look) {
        (self.anchor, self.jump) = ((look.wall, look.monotonic), None);
    }

    /// Takes in a look. Returns the present.
    fn update(&mut self, look: &Look) -> i64 {
        let offset = look.wall.saturating_sub(look.steady);
        // Another clock has just agreed with the wall clock: the look is older than the anchor.
        if self.anchor == (look.wall, look.monotonic) {
            return look.wall;
        }
        if offset.saturating_abs() > DIFFERENCE_MAX {
            let is_known =
                |jump: &Jump| jump.offset.saturating_sub(offset).saturating_abs() <= DIFFERENCE_MAX;
            let known = self.jump.filter(is_known);
            let jump = known.unwrap_or(Jump { offset, since: look.monotonic });
            if look.monotonic - jump.since < BELIEVED_AFTER || self.contradiction.is_some() {
                self.jump = Some(jump);
                return look.steady;
            }
            self.believe(look);
            self.is_confirmed = true;
            return look.wall;
        }
        self.jump = None;
        if look.monotonic - self.started >= BELIEVED_AFTER && self.contradiction.is_none() {
            self.is_confirmed = true;
        }
        look.wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    const NOW: i64 = 1_790_000_000 * SECOND;
    const DAY: i64 = 86_400 * SECOND;
    const TEN_YEARS: i64 = 3652 * DAY;

    /// A clock whose wall and monotonic time the test moves.
    struct Bench {
        clock: CheckedClock,
        wall: Arc<AtomicI64>,
        monotonic: Arc<AtomicI64>,
    }

    impl Bench {
        fn at(wall: i64) -> Self {
            let (wall, monotonic) = (Arc::new(AtomicI64::new(wall)), Arc::new(AtomicI64::new(7)));
            let read = |cell: &Arc<AtomicI64>| -> Clock {
                let cell = Arc::clone(cell);
                Arc::new(move || cell.load(Ordering::Relaxed))
            };
            let clock = CheckedClock::new(read(&wall), read(&monotonic));
            Self { clock, wall, monotonic }
        }

        fn pass(&self, micros: i64) {
            self.wall.fetch_add(micros, Ordering::Relaxed);
            self.monotonic.fetch_add(micros, Ordering::Relaxed);
        }

        fn jump(&self, micros: i64) {
            self.wall.fetch_add(micros, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_jump_in_either_direction_does_not_change_the_time_and_is_told() {
        for by in [TEN_YEARS, 500 * DAY, 3600 * SECOND, -3600 * SECOND, -500 * DAY, -TEN_YEARS] {
            let bench = Bench::at(NOW);
            bench.clock.compare("the catalog", NOW);
            bench.pass(60 * SECOND);
            bench.jump(by);
            bench.pass(8 * SECOND);
            assert_eq!(bench.clock.now(), NOW + 68 * SECOND, "{by}");
            assert_eq!(bench.clock.confirmed_now(), Some(NOW + 68 * SECOND), "{by}");
            let told = bench.clock.problem().expect("a jump");
            let direction = if by > 0 { "ahead" } else { "back" };
            assert!(told.contains(direction), "{by}: {told}");
            bench.jump(-by);
            assert_eq!((bench.clock.problem(), bench.clock.now()), (None, NOW + 68 * SECOND));
        }
    }

    #[test]
    fn small_corrections_are_followed() {
        let bench = Bench::at(NOW);
        bench.jump(-20 * SECOND);
        bench.pass(SECOND);
        assert_eq!((bench.clock.now(), bench.clock.problem()), (NOW - 19 * SECOND, None));
    }

    #[test]
    fn a_jump_is_believed_when_another_clock_agrees_or_after_a_day() {
        let bench = Bench::at(NOW);
        bench.jump(DAY);
        assert_eq!(bench.clock.now(), NOW);
        bench.clock.compare("the catalog", NOW + DAY);
        assert_eq!((bench.clock.now(), bench.clock.problem()), (NOW + DAY, None));
        let bench = Bench::at(NOW);
        bench.jump(DAY);
        assert_eq!(bench.clock.now(), NOW);
        bench.pass(DAY - SECOND);
        assert_eq!(bench.clock.now(), NOW + DAY - SECOND);
        bench.pass(SECOND);
        assert_eq!(bench.clock.confirmed_now(), Some(NOW + 2 * DAY));
        assert_eq!(bench.clock.problem(), None);
    }

    #[test]
    fn nothing_is_removed_by_a_wall_clock_alone() {
        let bench = Bench::at(NOW + TEN_YEARS);
        assert_eq!(bench.clock.now(), NOW + TEN_YEARS, "believed for reading and storing");
        assert_eq!(bench.clock.confirmed_now(), None);
        bench.clock.compare("a store", NOW);
        assert_eq!(bench.clock.confirmed_now(), None);
        assert!(bench.clock.problem().expect("told").contains("ahead of the clock of a store"));
        // Not even after a day, while another clock says otherwise.
        bench.pass(2 * DAY);
        assert_eq!(bench.clock.confirmed_now(), None);
        bench.jump(-TEN_YEARS);
        bench.clock.compare("a store", NOW + 2 * DAY);
        assert_eq!(bench.clock.confirmed_now(), Some(NOW + 2 * DAY));
        assert_eq!(bench.clock.problem(), None);
    }

    #[test]
    fn a_clock_is_confirmed_by_a_day_or_by_an_earlier_process() {
        let bench = Bench::at(NOW);
        bench.pass(DAY - SECOND);
        assert_eq!(bench.clock.confirmed_now(), None);
        bench.pass(SECOND);
        assert_eq!(bench.clock.confirmed_now(), Some(NOW + DAY));
        for (then, is_confirmed) in [
            (NOW - 90 * DAY, false),
            (NOW - DAY - SECOND, false),
            (NOW - DAY + SECOND, true),
            (NOW, true),
            (NOW + SECOND, false),
            (i64::MIN, false),
        ] {
            let bench = Bench::at(NOW);
            bench.clock.confirmed_at(then);
            assert_eq!(bench.clock.confirmed_now().is_some(), is_confirmed, "{then}");
        }
    }

    #[test]
    fn a_time_that_a_person_tells_needs_no_confirmation() {
        let clock = CheckedClock::told(NOW);
        clock.compare("the catalog", 0);
        assert_eq!((clock.confirmed_now(), clock.problem()), (Some(NOW), None));
    }
}
