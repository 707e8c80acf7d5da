//! The HTTP server of the service: `GET /healthz`, `/readyz` and `/metrics`, and the query
//! interface if it is on.
//!
//! A client that is silent or slow keeps its connection for seconds only, and the number of connections is limited.

use super::monitor::Monitor;
use crate::exit::Failure;
use crate::query_server::{ConnectionSlot, ConnectionSlots, accept};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use axum::{Router, routing::get};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use trailhound_ingest::supervisor::{Pulse, Supervisor};

/// Time in which a client must send the head of its next request. It also ends idle connections.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// Largest number of open connections.
const CONNECTIONS_MAX: usize = 256;
/// Largest head of a request in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

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

/// What the handlers read.
struct HealthState {
    monitor: Arc<Monitor>,
    supervisor: Supervisor,
}

/// The HTTP server. It outlives a failure of the task that accepts connections.
pub(super) struct HttpServer {
    listener: TcpListener,
    router: Router,
    slots: Arc<ConnectionSlots>,
    supervisor: Supervisor,
}

impl HttpServer {
    /// A server of health, readiness and metrics, and of the routes in `queries`.
    pub(super) fn new(
        listener: TcpListener,
        monitor: Arc<Monitor>,
        queries: Option<Router>,
        supervisor: Supervisor,
    ) -> Self {
        let state = HealthState { monitor, supervisor: supervisor.clone() };
        let mut router = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(state));
        if let Some(queries) = queries {
            router = router.merge(queries);
        }
        Self { listener, router, slots: ConnectionSlots::new(CONNECTIONS_MAX), supervisor }
    }

    /// Accepts connections until it is aborted.
    pub(super) async fn accept(&self, pulse: &Pulse) -> Result<(), String> {
        loop {
            let (socket, peer) = accept(&self.listener, pulse).await;
            let Some(slot) = self.slots.take() else {
                tracing::warn!(%peer, "a connection was refused: too many are open");
                continue;
            };
            let connection = serve_connection(socket, peer, self.router.clone(), slot);
            self.supervisor.spawn_brief("http connection", connection);
        }
    }
}

/// Serves a connection until its client leaves, or is silent for too long, or another needs its slot.
async fn serve_connection(
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    slot: ConnectionSlot,
) {
    let answer = service_fn(|mut request: Request<Incoming>| {
        slot.note_request();
        request.extensions_mut().insert(ConnectInfo(peer));
        TowerToHyperService::new(router.clone()).call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), answer);
    tokio::select! {
        served = served => {
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "a connection ended");
            }
        }
        () = slot.revoked() => tracing::debug!(%peer, "a connection without a request made room"),
    }
}

async fn healthz(State(state): State<Arc<HealthState>>) -> impl IntoResponse {
    if state.monitor.health.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the ingest hangs\n")
    }
}

async fn readyz(State(state): State<Arc<HealthState>>) -> impl IntoResponse {
    let (ready, document) = state.monitor.health.readiness(&state.supervisor.tasks());
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(document))
}

async fn metrics(State(state): State<Arc<HealthState>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], state.monitor.metrics.text())
}
