//! The queue of objects to read, which decides which object a worker reads next.

use crate::source::files::Input;
use crate::source::object_name::ObjectName;
use std::collections::VecDeque;

/// An object to read, with the day in its name.
pub(crate) struct QueuedInput {
    pub(crate) input: Input,
    /// The day as `YYYYMMDD`, where the name has one.
    pub(crate) day: Option<String>,
}

/// Queue of the objects that no worker has taken yet. A worker takes objects of the same day as
/// long as there are any. If two workers wrote one day, there would be two files of half the size,
/// and every dictionary would be stored twice.
pub(crate) struct InputQueue {
    waiting: VecDeque<QueuedInput>,
    /// Days that a worker is reading.
    active_days: Vec<String>,
}

impl InputQueue {
    /// A queue of `inputs`, in the order in which they are to be read.
    pub(crate) fn new(inputs: Vec<Input>) -> Self {
        let day = |input: &Input| match input {
            Input::File(path) => {
                ObjectName::parse(&path.to_string_lossy()).map(|name| name.time[..8].to_owned())
            }
            Input::Stdin => None,
        };
        Self {
            waiting: inputs
                .into_iter()
                .map(|input| QueuedInput { day: day(&input), input })
                .collect(),
            active_days: Vec::new(),
        }
    }

    /// The next object for a worker that has just read one of `day`: an object of the same day, else of a day that no worker
    /// is reading, else the first object.
    pub(crate) fn next(&mut self, day: Option<String>) -> Option<QueuedInput> {
        if let Some(at) = self.active_days.iter().position(|active| Some(active) == day.as_ref()) {
            self.active_days.swap_remove(at);
        }
        let same = |next: &QueuedInput| next.day.is_some() && next.day == day;
        let free = |next: &QueuedInput| {
            next.day.as_ref().is_none_or(|day| !self.active_days.contains(day))
        };
        let at = self
            .waiting
            .iter()
            .position(same)
            .or_else(|| self.waiting.iter().position(free))
            .unwrap_or(0);
        let next = self.waiting.remove(at)?;
        self.active_days.extend(next.day.clone());
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_worker_stays_with_its_day_and_helps_out_at_the_end() {
        let named = |day: u32, serial: u32| {
            let md5 = "8d2a62c7317236ee7bf50184a428d8a9";
            Input::File(PathBuf::from(format!(
                "Actiontrail_cn-hangzhou_202609{day}070451_{serial}_4_1146_{md5}.gz"
            )))
        };
        let inputs = vec![
            named(10, 0),
            named(10, 1),
            named(10, 2),
            named(11, 3),
            named(11, 4),
            Input::Stdin,
        ];
        let mut queue = InputQueue::new(inputs);
        let mut take = |day: Option<&str>| {
            queue.next(day.map(str::to_owned)).map(|next| next.day.unwrap_or_default())
        };
        assert_eq!(take(None).as_deref(), Some("20260910"), "one worker begins with the first day");
        assert_eq!(take(None).as_deref(), Some("20260911"), "another with the next");
        assert_eq!(take(Some("20260910")).as_deref(), Some("20260910"));
        assert_eq!(take(Some("20260911")).as_deref(), Some("20260911"));
        assert_eq!(
            take(Some("20260911")).as_deref(),
            Some(""),
            "no day left that nobody is at: what has none"
        );
        assert_eq!(take(None).as_deref(), Some("20260910"), "and then a hand to another's day");
        assert_eq!(take(Some("20260910")), None);
    }
}
