//! `POST /api/v1/query`: a statement in, rows out.

use super::request::{Outcome, Request};
use super::{Answer, Asker, QueryServer};
use crate::answer::Form;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
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
use trailhound_queries::session::AsOf;
use trailhound_queries::sql_guard::{ParameterValues, QueryErrorCode, TEXT_BYTES_MAX};

/// Bytes of a request: a statement with every sign escaped, its values, and some room.
const BODY_BYTES_MAX: usize = 4 * TEXT_BYTES_MAX;
/// Bytes that are sent at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long an asker may take to receive that much.
const SEND_TIME_MAX: Duration = Duration::from_secs(30);

/// The door with the key that opens it.
struct Door {
    doors: Arc<QueryServer>,
    token: String,
}

/// A request's body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    sql: String,
    #[serde(default)]
    params: BTreeMap<String, Value>,
    snapshot: Option<i64>,
}

/// The route, for who brings `token`.
pub(crate) fn router(doors: Arc<QueryServer>, token: String) -> Router {
    let door = Arc::new(Door { doors, token });
    Router::new()
        .route("/api/v1/query", post(query))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(door)
}

async fn query(
    State(door): State<Arc<Door>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !door.opens(&headers) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (
            challenge,
            problem(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "send `Authorization: Bearer` and the token",
                None,
            ),
        )
            .into_response();
    }
    let (form, kind) = match form(&headers) {
        Some(form) => form,
        None => {
            let message = "there are application/json, application/x-ndjson, text/csv and application/vnd.apache.arrow.stream";
            return problem(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message, None);
        }
    };
    let asked: Asked = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => {
            let message = format!("the body is no {{\"sql\": ..., \"params\": {{...}}}}: {error}");
            return problem(
                StatusCode::BAD_REQUEST,
                "bad_request",
                &message,
                Some((error.line() as u64, error.column() as u64)),
            );
        }
    };
    let request = Request {
        sql: asked.sql,
        values: asked
            .params
            .into_iter()
            .map(|(name, value)| (name, text(value)))
            .collect::<ParameterValues>(),
        form,
        as_of: asked.snapshot.map_or(AsOf::Newest, AsOf::Snapshot),
        bounds: door.doors.bounds,
    };
    let asker = Asker { door: "http", who: "token".to_owned(), address: peer.ip().to_string() };
    match door.doors.ask(&asker, request).await {
        // With its length, an answer that was cut does not look whole.
        Ok(Answer::Rows { file, bytes, .. }) => {
            let headers = [
                (header::CONTENT_TYPE, kind.to_owned()),
                (header::CONTENT_LENGTH, bytes.to_string()),
            ];
            (headers, Body::from_stream(chunks(file))).into_response()
        }
        Ok(Answer::Refused(outcome)) => refused(outcome),
        Ok(Answer::Busy) => {
            let again = [(header::RETRY_AFTER, "1")];
            (
                again,
                problem(
                    StatusCode::TOO_MANY_REQUESTS,
                    "busy",
                    "too many queries are waiting; try again",
                    None,
                ),
            )
                .into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a query could not be answered");
            problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the service cannot answer queries now",
                None,
            )
        }
    }
}

impl Door {
    /// True where the headers bring the token. Takes as long for a wrong one as for the right one.
    fn opens(&self, headers: &HeaderMap) -> bool {
        let given =
            headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
        let wanted = self.token.as_bytes();
        let different = wanted
            .iter()
            .enumerate()
            .fold(0, |different, (at, byte)| different | (byte ^ given.get(at).unwrap_or(&0)));
        different == 0 && given.len() == wanted.len() && !wanted.is_empty()
    }
}

/// The form that is asked for.
fn form(headers: &HeaderMap) -> Option<(Form, &'static str)> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim()).find_map(
        |kind| match kind {
            "*/*" | "application/*" | "application/json" => {
                Some((Form::Document, "application/json"))
            }
            "application/x-ndjson" => Some((Form::Json, "application/x-ndjson")),
            "text/csv" => Some((Form::Csv, "text/csv; charset=utf-8")),
            "application/vnd.apache.arrow.stream" => {
                Some((Form::Arrow, "application/vnd.apache.arrow.stream"))
            }
            _ => None,
        },
    )
}

/// A value of a parameter, as text.
fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn refused(outcome: Outcome) -> Response {
    let Outcome::Refused { code, message, line, column } = outcome else {
        return problem(
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
    problem(status, &code, &message, line.zip(column))
}

fn problem(status: StatusCode, code: &str, message: &str, place: Option<(u64, u64)>) -> Response {
    let (line, column) = place.unzip();
    (status, Json(json!({ "error": { "code": code, "message": message, "line": line, "column": column } }))).into_response()
}

/// The file by chunks; whoever does not take one in time gets no more.
fn chunks(mut file: File) -> impl futures::Stream<Item = std::io::Result<Bytes>> {
    let (sender, mut receiver) = mpsc::channel::<std::io::Result<Bytes>>(1);
    tokio::spawn(async move {
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
