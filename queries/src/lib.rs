//! SQL over the lake: detection rules, views, investigations and report sections as data files, the
//! parameters they read, and the read-only SQL session they run in.
//!
//! This crate does not know how events get into the lake, nor where findings are sent.
//!
//! ```
//! use std::sync::Arc;
//! use trailhound_queries::limits::QueryLimits;
//! use trailhound_queries::parameters::Parameters;
//! use trailhound_queries::session::Session;
//! use trailhound_queries::sql_guard::ParameterValues;
//! use trailhound_queries::values::row_texts;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A session over events in memory, here none.
//! let (events, parameters) = (Vec::new(), Arc::new(Parameters::default()));
//! let session = Session::over_events(events, parameters, &QueryLimits::default()).await?;
//!
//! let sql = "SELECT count(*) FROM events WHERE event_name = $name";
//! let values = ParameterValues::from([("name".to_owned(), Some("StopInstance".to_owned()))]);
//! let batches = session.plan_query(sql, &values).await?.collect().await?;
//! assert_eq!(row_texts(&batches[0], 0), ["0"]);
//!
//! let error = session.plan_query("SELECT * FROM evnets", &ParameterValues::new()).await;
//! let message = error.expect_err("an unknown table").to_string();
//! assert_eq!(message, "there is no table `evnets`; did you mean `events`?");
//! # Ok(())
//! # }
//! ```

mod dialect;
pub mod docs;
pub mod explain;
pub mod functions;
pub mod limits;
pub mod local_time;
mod optimizer;
pub mod packs;
pub mod parameters;
pub mod projection;
pub mod session;
pub mod sigma;
pub mod sql_guard;
pub mod suggestion;
pub mod tables;
pub mod values;
