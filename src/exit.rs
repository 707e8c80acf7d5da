//! How a run ends.

use crate::printer;
use std::io;
use thiserror::Error;

/// What the exit status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Done, and findings at or above `--fail-on`; or a check that failed.
    Found,
    /// Wrong usage or configuration.
    Usage,
    /// Done, but some input went to quarantine or could not be read.
    Incomplete,
    /// A fault inside or of the system.
    Internal,
}

impl Exit {
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Found => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::Internal => 4,
        }
    }
}

/// Why a command could not do its work.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The user can mend it: usage, configuration, paths.
    #[error("{0}")]
    Usage(String),
    /// Something that should not happen did.
    #[error("{0}")]
    Internal(String),
    /// The reader of our output went away.
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl Failure {
    pub(crate) fn usage(error: impl std::error::Error) -> Self {
        Self::Usage(chain(&error))
    }

    pub(crate) fn internal(error: impl std::error::Error) -> Self {
        Self::Internal(chain(&error))
    }

    /// Tells the user once, with every cause, and gives the exit status.
    pub(crate) fn report(&self) -> Exit {
        match self {
            // `trailhound ... | head` is no fault of anybody.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return Exit::Done,
            _ => printer::talk(&format!("error: {self}")),
        }
        match self {
            Self::Usage(_) => Exit::Usage,
            _ => Exit::Internal,
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Transparent wrappers say the same again.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

impl From<trailhound_ingest::IngestError> for Failure {
    fn from(error: trailhound_ingest::IngestError) -> Self {
        match error {
            trailhound_ingest::IngestError::Internal(_) => Self::internal(error),
            trailhound_ingest::IngestError::Catalog(error) => error.into(),
            trailhound_ingest::IngestError::Files(_) => Self::usage(error),
        }
    }
}

impl From<trailhound_ingest::lake::CatalogError> for Failure {
    fn from(error: trailhound_ingest::lake::CatalogError) -> Self {
        use trailhound_ingest::lake::CatalogError as E;
        match error {
            E::Missing { .. }
            | E::Locked { .. }
            | E::Version { .. }
            | E::Migration { .. }
            | E::Newer { .. }
            | E::ReadOnly { .. }
            | E::Reference { .. }
            | E::Move { .. } => Self::usage(error),
            _ => Self::internal(error),
        }
    }
}

impl From<trailhound_ingest::live::LiveError> for Failure {
    fn from(error: trailhound_ingest::live::LiveError) -> Self {
        use trailhound_ingest::live::LiveError as E;
        match error {
            E::Catalog(error) => error.into(),
            E::Settings { .. } => Self::usage(error),
            E::Internal(_) => Self::internal(error),
        }
    }
}

impl From<trailhound_queries::limits::SessionError> for Failure {
    fn from(error: trailhound_queries::limits::SessionError) -> Self {
        Self::usage(error)
    }
}
