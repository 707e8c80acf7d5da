//! Sigma rules: imports them as rules of the product, and exports the product's rules to Sigma.
//!
//! The import translates a rule if its SQL means the same over the lake, and rejects it with the
//! reason otherwise. It supports Sigma 2: detection rules, filters, and the correlations
//! `event_count`, `value_count`, `value_sum`, `value_avg`, `temporal` and `temporal_ordered`.
//!
//! ```
//! let yaml = "
//! title: Trail stopped
//! logsource: { product: alibaba, service: actiontrail }
//! detection:
//!     stop: { eventName: StopLogging }
//!     condition: stop
//! ";
//! let import = trailhound_queries::sigma::import(yaml);
//! assert!(import.rejected.is_empty());
//! assert!(import.rules[0].sql.contains("WHERE event_action = 'stoplogging'"));
//! ```

mod condition;
mod correlation;
mod export;
mod fields;
mod import;
mod translation;

pub use export::export;
pub use import::{RejectedRule, SigmaImport, import};
pub use translation::TranslatedRule;
