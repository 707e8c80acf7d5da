//! Questions to the lake: rules and views as data files, their catalogue, the parameters they read, and the SQL session
//! they run in. Knows neither how events arrive nor who is told.

pub mod docs;
pub mod explain;
pub mod functions;
pub mod limits;
mod optimizer;
pub mod packs;
pub mod parameters;
pub mod projection;
pub mod session;
pub mod sigma;
pub mod sql_guard;
pub mod tables;
pub mod values;
