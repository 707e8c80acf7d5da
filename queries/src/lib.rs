//! Questions to the lake: rules and views as data files, their catalogue, the parameters they read, and the SQL session
//! they run in. Knows neither how events arrive nor who is told.

pub mod attack;
pub mod catalogue;
pub mod documentation;
pub mod explain;
pub mod findings;
pub mod functions;
pub mod hits;
mod local_files;
mod necessary;
pub mod parameters;
pub mod prepared;
pub mod profile;
pub mod session;
pub mod sieves;
pub mod sigma;
mod views;
