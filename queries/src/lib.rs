//! Questions to the lake: rules and views as data files, their catalogue, the parameters they read, and the SQL session
//! they run in. Knows neither how events arrive nor who is told.

pub mod catalogue;
pub mod documentation;
pub mod functions;
pub mod parameters;
pub mod prepared;
pub mod session;
pub mod sieve;
mod views;
