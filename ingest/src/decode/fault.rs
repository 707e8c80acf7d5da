//! Faults of reading and of this machine, told from faults of the content.
//!
//! A decoder's verdict on bytes that were read is data: it becomes a reject, and the object counts as read. That a disk is
//! full or a file cannot be read says nothing about the content: it stops the decoder, and the object is read again later.

use super::sink::SinkStopped;
use std::error::Error;
use std::fmt;
use std::io::{self, Read};

/// Where reading failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPlace {
    /// The input could not be read.
    Input,
    /// A file or folder of this machine could not be used, such as a full folder of temporary files.
    Machine,
}

/// A fault that is none of the content.
#[derive(Debug)]
pub struct ReadFault {
    /// Where it happened.
    pub place: FaultPlace,
    /// The system's error.
    pub error: io::Error,
}

impl ReadFault {
    /// `error` of the input, marked, so that it stays known behind decompression.
    fn of_input(error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::Interrupted {
            return error;
        }
        io::Error::new(error.kind(), Self { place: FaultPlace::Input, error })
    }

    /// `error` of this machine, marked.
    pub(super) fn of_machine(error: io::Error) -> io::Error {
        io::Error::new(error.kind(), Self { place: FaultPlace::Machine, error })
    }

    /// The fault that `error` stands for. Decoders make errors of their own; one with a number of the system's comes from a
    /// file of this machine.
    ///
    /// # Errors
    /// `error` itself, where it is a verdict on the content.
    fn take(error: io::Error) -> Result<Self, io::Error> {
        match error.downcast::<Self>() {
            Ok(fault) => Ok(fault),
            Err(error) if is_of_system(&error) => Ok(Self { place: FaultPlace::Machine, error }),
            Err(error) => Err(error),
        }
    }
}

/// True where `error` is a verdict on the content, and not a [`ReadFault`].
pub(super) fn is_verdict(error: &io::Error) -> bool {
    !is_of_system(error) && !error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<ReadFault>)
}

/// True where `error`, or what it wraps, has a number of the operating system's.
fn is_of_system(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if error.raw_os_error().is_some() {
                return true;
            }
            // The source of an error of this type is the source of what it wraps.
            cause = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
        } else {
            cause = error.source();
        }
    }
    false
}

impl fmt::Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            FaultPlace::Input => write!(f, "it could not be read to its end: {}", self.error),
            FaultPlace::Machine => {
                write!(f, "a temporary file could not be written or read: {}", self.error)
            }
        }
    }
}

impl Error for ReadFault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// Why decoding stopped before the end of the content, for a reason that is not in the content.
#[derive(Debug)]
pub enum DecodeStopped {
    /// The sink stopped the decoder. The sink itself knows the reason.
    Sink(SinkStopped),
    /// Something could not be read or written. The records before that have reached the sink.
    Fault(ReadFault),
}

impl From<SinkStopped> for DecodeStopped {
    fn from(stopped: SinkStopped) -> Self {
        Self::Sink(stopped)
    }
}

/// `error` where it is a verdict on the content.
///
/// # Errors
/// [`DecodeStopped::Fault`] where it is none.
pub(super) fn verdict(error: io::Error) -> Result<io::Error, DecodeStopped> {
    match ReadFault::take(error) {
        Ok(fault) => Err(DecodeStopped::Fault(fault)),
        Err(error) => Ok(error),
    }
}

/// The input itself, whose errors are none of a decoder's.
pub(super) struct InputReader<R>(pub(super) R);

impl<R: Read> Read for InputReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(ReadFault::of_input)
    }
}
