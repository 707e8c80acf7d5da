//! Sigma rules: imports them as rules of the product, and exports the product's rules to Sigma.
//!
//! The import translates a rule if its SQL means the same over the lake, and rejects it with the
//! reason otherwise. It supports Sigma 2: detection rules, filters, and the correlations
//! `event_count`, `value_count`, `value_sum`, `value_avg`, `temporal` and `temporal_ordered`. Filters and
//! correlations find their rules in all files of one import.
//!
//! ```
//! let yaml = "
//! title: Trail stopped
//! logsource: { product: alibaba, service: actiontrail }
//! detection:
//!     stop: { eventName: StopLogging }
//!     condition: stop
//! ";
//! let file = trailhound_queries::sigma::SigmaFile { name: "trail.yml".into(), text: yaml.into() };
//! let import = trailhound_queries::sigma::import(&[file]);
//! assert!(import.rejected.is_empty());
//! assert!(import.rules[0].sql.contains("WHERE event_action = 'stoplogging'"));
//! ```

mod comparison;
mod condition;
mod correlation;
mod document;
mod export;
mod fields;
mod foreign;
mod import;
mod members;
mod sql;
mod translation;

pub use document::SigmaFile;
pub use export::export;
pub use import::{RejectedRule, SigmaImport, import};
pub use translation::TranslatedRule;
