//! `GET /healthz`, `/readyz`, `/metrics`.

use super::Watch;
use crate::exit::Failure;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use axum::{Router, routing::get};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|e| {
        Failure::Usage(format!(
            "cannot listen on {address}: {e}; give another `listen` under [service]"
        ))
    })
}

/// Where `listener` listens; with port 0 asked for, the port it got.
pub(super) fn address(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string())
}

/// Serves what shows how the service is, and the door for queries where it is open.
pub(super) async fn serve(listener: TcpListener, watch: Arc<Watch>, door: Option<Router>) {
    let mut router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(watch);
    if let Some(door) = door {
        router = router.merge(door);
    }
    if let Err(error) =
        axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
    {
        tracing::error!(%error, "the HTTP server ended");
    }
}

async fn healthz(State(watch): State<Arc<Watch>>) -> impl IntoResponse {
    if watch.health.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the ingest hangs\n")
    }
}

async fn readyz(State(watch): State<Arc<Watch>>) -> impl IntoResponse {
    let (ready, state) = watch.health.readiness();
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(state))
}

async fn metrics(State(watch): State<Arc<Watch>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], watch.metrics.text())
}
