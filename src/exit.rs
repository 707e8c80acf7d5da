//! Exit statuses, and the error that ends a command.

use crate::printer;
use std::io;
use thiserror::Error;

/// The exit status of the program. Scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: the command succeeded.
    Success,
    /// 1: the command ran and its check failed: findings at or above `--fail-on`, differences,
    /// problems.
    CheckFailed,
    /// 2: wrong usage or configuration.
    Usage,
    /// 3: the command ran, but some input was quarantined, unreadable or refused.
    Incomplete,
    /// 4: an internal error, or an error of the system.
    Internal,
}

impl Exit {
    /// The number that the process exits with.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::CheckFailed => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::Internal => 4,
        }
    }
}

/// The error that ends a command.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// An error that the user can correct: usage, configuration, paths.
    #[error("{0}")]
    Usage(String),
    /// An internal error, or an error of the system.
    #[error("{0}")]
    Internal(String),
    /// Output could not be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl Failure {
    /// A usage error with the message of `error` and of its causes.
    pub(crate) fn usage(error: impl std::error::Error) -> Self {
        Self::Usage(message_with_causes(&error))
    }

    /// An internal error with the message of `error` and of its causes.
    pub(crate) fn internal(error: impl std::error::Error) -> Self {
        Self::Internal(message_with_causes(&error))
    }

    /// Writes the error to standard error and returns the exit status.
    ///
    /// A closed pipe is no error: `trailhound ... | head` ends with status 0.
    pub(crate) fn report(&self) -> Exit {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Exit::Success;
            }
            _ => printer::message(&format!("error: {self}")),
        }
        match self {
            Self::Usage(_) => Exit::Usage,
            _ => Exit::Internal,
        }
    }
}

/// The message of `error`, followed by those of its causes.
fn message_with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // A transparent wrapper repeats the message of its cause.
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
            trailhound_ingest::IngestError::Internal(_)
            | trailhound_ingest::IngestError::Fault { .. } => Self::internal(error),
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
            | E::Move { .. }
            | E::CatalogMissing { .. }
            | E::OlderCatalog { .. }
            | E::Backup { .. } => Self::usage(error),
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
