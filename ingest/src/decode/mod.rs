//! The decoder: bytes in, events and rejects out. It uses no lake and no clock; its only state is the content being read.
//!
//! The format of content is detected from its bytes, because names are not trusted. Input that cannot be read becomes a
//! reject with its bytes and its place, and the records around it are still decoded. A fault that is none of the input stops
//! the decoder. Memory is bounded by
//! [`DecodeLimits`], never by the size of the input.

mod bounded_rejects;
mod brackets;
mod compression;
mod content;
mod csv;
mod document;
mod draft;
mod envelope;
mod escapes;
mod fault;
mod flattened;
mod key_table;
mod limits;
mod member_names;
mod member_values;
mod message;
#[doc(hidden)]
pub mod oracle;
mod parquet_file;
mod parquet_pages;
mod parquet_values;
mod recognise;
mod refusal;
mod scan_notes;
mod scanner;
mod sink;
mod sniff;
mod unreadable;
mod vendor_names;
mod window;
mod wrapper_keys;
mod wrappers;

pub use content::object;
pub use fault::{DecodeStopped, FaultPlace, ReadFault};
pub use limits::DecodeLimits;
pub use message::MessageDecoder;
pub(crate) use sink::PARTIAL_NOTE;
pub use sink::{Completeness, RecordSink, SinkStopped};
