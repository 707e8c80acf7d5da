//! What a test lets a task do wrong, so that every task's failure can be tried.

use std::collections::BTreeMap;

/// A way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    Panic,
    Return,
    Error,
    Hang,
}

/// How a task ends that a test makes fail.
pub(super) enum TestEnd {
    Return,
    Error,
}

/// An end, or a panic.
pub(super) enum RaisedEnd {
    Unwind(TestEnd),
    Panic,
}

impl FaultKind {
    /// The end that this fault is; `None` for a task that hangs.
    pub(super) fn end(self) -> Option<RaisedEnd> {
        match self {
            Self::Panic => Some(RaisedEnd::Panic),
            Self::Return => Some(RaisedEnd::Unwind(TestEnd::Return)),
            Self::Error => Some(RaisedEnd::Unwind(TestEnd::Error)),
            Self::Hang => None,
        }
    }
}

impl RaisedEnd {
    /// Ends the task. The supervisor recognises the end.
    pub(super) fn raise(self) {
        match self {
            Self::Unwind(end) => std::panic::resume_unwind(Box::new(end)),
            Self::Panic => std::panic::resume_unwind(Box::new("a test made it panic")),
        }
    }
}

/// The faults that a test asks for, by the name of the task: `NAME=KIND,NAME=KIND`, where KIND is `panic`, `return`, `error` or
/// `hang`. Each task fails once, at its first sign of life.
#[derive(Debug, Clone, Default)]
pub struct TaskFaults(BTreeMap<String, FaultKind>);

impl TaskFaults {
    /// Reads the faults.
    ///
    /// # Errors
    /// A part is not of the form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fault = |part: &str| {
            let (name, kind) = part.rsplit_once('=')?;
            let kind = match kind {
                "panic" => FaultKind::Panic,
                "return" => FaultKind::Return,
                "error" => FaultKind::Error,
                "hang" => FaultKind::Hang,
                _ => return None,
            };
            Some((name.to_owned(), kind))
        };
        let faults = text.split(',').filter(|part| !part.is_empty());
        let faults: Option<BTreeMap<_, _>> = faults.map(fault).collect();
        faults.map(Self).ok_or_else(|| {
            format!("{text:?} is no list of TASK=KIND; KIND is panic, return, error or hang")
        })
    }

    pub(super) fn of(&self, task: &str) -> Option<FaultKind> {
        self.0.get(task).copied()
    }
}
