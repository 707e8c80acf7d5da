//! Reads JSON text in place, without building a tree.
//!
//! Everything that looks inside an event's JSON uses this module: the decoder, the derived facts and the SQL function
//! `param`. So one set of rules decides what valid JSON is (RFC 8259, strict), how deep it may nest, and when two values
//! are equal. The walk is iterative: deep nesting costs a counter and never stack.
//!
//! ```
//! use trailhound_datasets::json::{self, ValueKind, Walker};
//!
//! let text = r#"{"InstanceId": "i-1", "DryRun": false} trailing"#;
//! let value = Walker::default().value(text.as_bytes(), 0).expect("valid JSON");
//! assert_eq!(value.kind, ValueKind::Object);
//! assert_eq!(&text[..value.end], r#"{"InstanceId": "i-1", "DryRun": false}"#);
//!
//! // Equal values have equal hashes, whatever their spelling.
//! let reordered = r#"{"DryRun":false,"InstanceId":"\u0069-1"}"#;
//! assert_eq!(value.hash, Walker::default().value(reordered.as_bytes(), 0).expect("valid JSON").hash);
//!
//! // Members borrow their value text from the input.
//! let members: Vec<_> = json::members(text).collect();
//! assert_eq!(members[0], ("InstanceId".into(), "\"i-1\""));
//! assert_eq!(json::unquote(members[0].1).as_deref(), Some("i-1"));
//! ```

mod hash;
mod members;
mod syntax;
mod text;
mod walker;

pub(crate) use hash::HASH_EMPTY_OBJECT;
pub use hash::{hash_bytes, hash_text, mix};
pub use members::{Members, elements, members};
pub use syntax::{DEPTH_MAX, JsonError, ValueKind, skip_space, string_end};
pub use text::{LoneSurrogate, quote, unescape_into, unquote};
pub use walker::{WalkedValue, Walker};
