//! The query server of the service: other programs query the lake over HTTP and the PostgreSQL
//! protocol.
//!
//! Queries run in worker processes, a few at once. Each is recorded in the query log.

mod connection_slots;
mod http;
mod postgres;
mod process_limits;
mod query_log;
mod query_worker;
mod refusal_budget;
mod server;
mod slots;
mod spill_folder;
mod worker_protocol;

pub(crate) use connection_slots::{ConnectionSlot, ConnectionSlots, accept};
pub(crate) use http::router;
pub(crate) use postgres::{PostgresServer, serve_connection};
pub(crate) use query_worker::run as run_worker;
pub(crate) use server::QueryServer;
