//! The decoder: bytes in, events and rejects out. It uses no lake and no clock; its only state is the content being read.
//!
//! The format of content is detected from its bytes, because names are not trusted. Input that cannot be read becomes a
//! reject with its bytes and its place, and the records around it are still decoded. Memory is bounded by
//! [`DecodeLimits`], never by the size of the input.

mod compression;
mod content;
mod csv;
mod document;
mod envelope;
mod flattened;
mod key_table;
mod limits;
mod message;
#[doc(hidden)]
pub mod oracle;
mod parquet_file;
mod scan_notes;
mod scanner;
mod sink;
mod sniff;
mod unreadable;
mod window;

pub use content::object;
pub use limits::DecodeLimits;
pub use message::MessageDecoder;
pub(crate) use sink::PARTIAL_NOTE;
pub use sink::{Completeness, RecordSink, SinkStopped};
