//! The HTTP interface, `POST /api/v1/query`: the body has a statement, the response its rows.

use super::query_log::Client;
use super::server::{QueryAnswer, QueryServer};
use super::worker_protocol::{WorkerOutcome, WorkerRequest};
use crate::row_writer::RowFormat;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::{Router, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use trailhound_ingest::supervisor::Supervisor;
use trailhound_queries::session::AsOf;
use trailhound_queries::sql_guard::{ParameterValues, QueryErrorCode, TEXT_BYTES_MAX};

/// Largest request body in bytes: a statement of the largest size with every character escaped, and
/// its values.
const BODY_BYTES_MAX: usize = 4 * TEXT_BYTES_MAX;
/// Time in which a client must send the body.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of the answer that are sent at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long a client may take to receive one chunk.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);

/// The server, and the token that clients must send.
struct HttpState {
    server: Arc<QueryServer>,
    token: String,
}

/// The body of a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryBody {
    sql: String,
    #[serde(default)]
    params: BTreeMap<String, Value>,
    snapshot: Option<i64>,
    timezone: Option<String>,
}

/// The route of the interface, for clients that send `token`.
pub(crate) fn router(server: Arc<QueryServer>, token: String) -> Router {
    let state = Arc::new(HttpState { server, token });
    Router::new().route("/api/v1/query", post(handle_query)).with_state(state)
}

async fn handle_query(
    State(state): State<Arc<HttpState>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    // Before anything of the body is read.
    if !state.is_authorized(&headers) {
        let message = "send `Authorization: Bearer` and the token";
        let response = error_response(StatusCode::UNAUTHORIZED, "unauthorized", message, None);
        return ([(header::WWW_AUTHENTICATE, "Bearer")], response).into_response();
    }
    let Some((format, content_type)) = requested_format(&headers) else {
        let message = "there are application/json, application/x-ndjson, text/csv and application/vnd.apache.arrow.stream";
        return error_response(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message, None);
    };
    let body = match read_body(body).await {
        Ok(body) => body,
        Err(response) => return *response,
    };
    let body: QueryBody = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => {
            let message = format!(
                "the body is no {{\"sql\": ..., \"params\": {{...}}, \"timezone\": ...}}: {error}"
            );
            let position = Some((error.line() as u64, error.column() as u64));
            return error_response(StatusCode::BAD_REQUEST, "bad_request", &message, position);
        }
    };
    let values: ParameterValues =
        body.params.into_iter().map(|(name, value)| (name, parameter_text(value))).collect();
    let request = WorkerRequest {
        sql: body.sql,
        values,
        format,
        as_of: body.snapshot.map_or(AsOf::Newest, AsOf::Snapshot),
        time_zone: body.timezone,
        bounds: state.server.bounds,
    };
    let client =
        Client { interface: "http", user: "token".to_owned(), address: peer.ip().to_string() };
    match state.server.run_query(&client, request).await {
        Ok(answer) => answer_response(answer, content_type, &state.server.supervisor),
        Err(error) => {
            tracing::error!(%error, "a query could not be answered");
            let message = "the service cannot answer queries now";
            error_response(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message, None)
        }
    }
}

/// The whole body, which must come in time and must not be too large.
///
/// # Errors
/// The response that says so.
async fn read_body(body: Body) -> Result<Bytes, Box<Response>> {
    let refused = |status, code, message: &str| {
        let mut response = error_response(status, code, message, None);
        // What is left of the body is not read.
        let close = header::HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        Err(Box::new(response))
    };
    match tokio::time::timeout(BODY_TIME_MAX, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => {
            let message =
                format!("the body has more than {BODY_BYTES_MAX} bytes or broke off: {error}");
            refused(StatusCode::PAYLOAD_TOO_LARGE, "bad_request", &message)
        }
        Err(_) => {
            let message = format!("the body was not sent within {} s", BODY_TIME_MAX.as_secs());
            refused(StatusCode::REQUEST_TIMEOUT, "bad_request", &message)
        }
    }
}

fn answer_response(
    answer: QueryAnswer,
    content_type: &'static str,
    supervisor: &Supervisor,
) -> Response {
    match answer {
        QueryAnswer::Rows { file, bytes, .. } => {
            let headers = [
                (header::CONTENT_TYPE, content_type.to_owned()),
                // With the length, a client notices an answer that is cut off.
                (header::CONTENT_LENGTH, bytes.to_string()),
            ];
            (headers, Body::from_stream(stream_file(file, supervisor))).into_response()
        }
        QueryAnswer::Refused(outcome) => refusal_response(outcome),
        QueryAnswer::Busy => {
            let message = "too many queries are waiting; try again";
            let response = error_response(StatusCode::TOO_MANY_REQUESTS, "busy", message, None);
            ([(header::RETRY_AFTER, "1")], response).into_response()
        }
    }
}

impl HttpState {
    /// True if the request has the token. The comparison takes the same time for every wrong token.
    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let given =
            headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
        let expected = self.token.as_bytes();
        let different = expected
            .iter()
            .enumerate()
            .fold(0, |different, (at, byte)| different | (byte ^ given.get(at).unwrap_or(&0)));
        different == 0 && given.len() == expected.len() && !expected.is_empty()
    }
}

/// The first format in the `Accept` header that is supported, with its content type.
fn requested_format(headers: &HeaderMap) -> Option<(RowFormat, &'static str)> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim()).find_map(
        |kind| match kind {
            "*/*" | "application/*" | "application/json" => {
                Some((RowFormat::Document, "application/json"))
            }
            "application/x-ndjson" => Some((RowFormat::Json, "application/x-ndjson")),
            "text/csv" => Some((RowFormat::Csv, "text/csv; charset=utf-8")),
            "application/vnd.apache.arrow.stream" => {
                Some((RowFormat::Arrow, "application/vnd.apache.arrow.stream"))
            }
            _ => None,
        },
    )
}

/// The value of a parameter as text; `None` is NULL.
fn parameter_text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// The response to a refused query. The status depends on its error code.
fn refusal_response(outcome: WorkerOutcome) -> Response {
    let WorkerOutcome::Refused { code, message, line, column } = outcome else {
        return error_response(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "an answer without rows",
            None,
        );
    };
    let is = |known: QueryErrorCode| known.name() == code;
    let status =
        if is(QueryErrorCode::StatementNotAllowed) || is(QueryErrorCode::FunctionNotAllowed) {
            StatusCode::FORBIDDEN
        } else if is(QueryErrorCode::TableNotFound) {
            StatusCode::NOT_FOUND
        } else if [
            QueryErrorCode::MemoryLimit,
            QueryErrorCode::TimeLimit,
            QueryErrorCode::RowLimit,
            QueryErrorCode::ByteLimit,
            QueryErrorCode::Failed,
        ]
        .into_iter()
        .any(is)
        {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::BAD_REQUEST
        };
    error_response(status, &code, &message, line.zip(column))
}

/// An error response. `position` is line and column in the statement, or in the body.
fn error_response(
    status: StatusCode,
    code: &str,
    message: &str,
    position: Option<(u64, u64)>,
) -> Response {
    let (line, column) = position.unzip();
    let error = json!({ "code": code, "message": message, "line": line, "column": column });
    (status, Json(json!({ "error": error }))).into_response()
}

/// The content of `file` in chunks. The stream ends early for a client that does not receive a
/// chunk in time.
fn stream_file(
    mut file: File,
    supervisor: &Supervisor,
) -> impl futures::Stream<Item = std::io::Result<Bytes>> + use<> {
    let (sender, mut receiver) = mpsc::channel::<std::io::Result<Bytes>>(1);
    supervisor.spawn_brief("answer", async move {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let chunk = match file.read(&mut chunk) {
                Ok(0) => return,
                Ok(read) => {
                    chunk.truncate(read);
                    Ok(Bytes::from(chunk))
                }
                Err(error) => Err(error),
            };
            if !matches!(tokio::time::timeout(SEND_TIME_MAX, sender.send(chunk)).await, Ok(Ok(())))
            {
                return;
            }
        }
    });
    futures::stream::poll_fn(move |context| receiver.poll_recv(context))
}
