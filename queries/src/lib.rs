//! Questions to the lake: rules and views as data files, their catalogue, the parameters they read, and the SQL session
//! they run in. Knows neither how events arrive nor who is told.

pub mod ask;
pub mod attack;
mod beside;
mod cardinality;
pub mod catalogue;
mod coded_groups;
pub mod documentation;
pub mod explain;
pub mod findings;
pub mod functions;
pub mod gate;
mod headed;
pub mod hits;
pub mod investigations;
mod leave_out;
mod local_files;
mod materialized;
mod necessary;
pub mod parameters;
pub mod prepared;
pub mod profile;
mod query_log;
pub mod reports;
mod rewrites;
pub mod session;
pub mod sieves;
pub mod sigma;
mod spooled;
mod time_filters;
pub mod values;
mod views;
pub mod vocabulary;
