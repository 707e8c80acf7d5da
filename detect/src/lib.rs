//! Rules at work: evaluating them over the lake, turning matches into findings, setting aside what is allowed, keeping
//! findings. Knows neither sources nor the command line.

pub mod cases;
mod evaluate;
mod finding;
mod group;
pub mod health;
mod held;
pub mod lint;
mod matched;
mod standing;
mod store;

pub use evaluate::{Decided, Detection, EvaluateError, Range, Selection, Skipped, detect};
pub use finding::{Evidence, Finding, Operator, Status, Target};
pub use standing::Standing;
pub use store::{StoreError, Stored, cursor, store};
