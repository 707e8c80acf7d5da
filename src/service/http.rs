//! The HTTP server of the service: `GET /healthz`, `/readyz` and `/metrics`, and the query
//! interface if it is on.

use super::monitor::Monitor;
use crate::exit::Failure;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use axum::{Router, routing::get};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Listens on `address`.
///
/// # Errors
/// [`Failure::Usage`]: the address is not available.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| {
        Failure::Usage(format!(
            "cannot listen on {address}: {e}; give another `listen` under [service]"
        ))
    })
}

/// The address of `listener`. If port 0 was configured, it has the port that the system chose.
pub(super) fn local_address(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string())
}

/// Serves health, readiness and metrics, and the routes in `queries`. Runs until it is aborted.
pub(super) async fn serve(listener: TcpListener, monitor: Arc<Monitor>, queries: Option<Router>) {
    let mut router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(monitor);
    if let Some(queries) = queries {
        router = router.merge(queries);
    }
    if let Err(error) =
        axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
    {
        tracing::error!(%error, "the HTTP server ended");
    }
}

async fn healthz(State(monitor): State<Arc<Monitor>>) -> impl IntoResponse {
    if monitor.health.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the ingest hangs\n")
    }
}

async fn readyz(State(monitor): State<Arc<Monitor>>) -> impl IntoResponse {
    let (ready, state) = monitor.health.readiness();
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(state))
}

async fn metrics(State(monitor): State<Arc<Monitor>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], monitor.metrics.text())
}
