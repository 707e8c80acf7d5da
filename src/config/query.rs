//! `[query]`: the doors by which other programs ask, and what a question may use.

use super::{Config, shown};
use crate::exit::Failure;
use crate::query_server::Bounds;
use serde::Deserialize;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use trailhound_ingest::secret::SecretRef;

/// Characters that a token has at least.
const TOKEN_LENGTH_MIN: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct QueryWritten {
    /// Opens `POST /api/v1/query` to who brings it.
    token: Option<SecretRef>,
    /// Opens the PostgreSQL door.
    postgres: Option<PostgresWritten>,
    time_max_seconds: NonZero<u64>,
    memory_max_mib: NonZero<usize>,
    spill_max_mib: NonZero<u64>,
    rows_max: NonZero<usize>,
    bytes_max_mib: NonZero<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PostgresWritten {
    listen: SocketAddr,
    user: String,
    password: SecretRef,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// The PostgreSQL door, its secrets read.
pub(crate) struct PostgresDoor {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// The one user.
    pub(crate) user: String,
    /// Their password.
    pub(crate) password: String,
    /// Files of the certificate chain and its key, in PEM.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
}

impl Default for QueryWritten {
    fn default() -> Self {
        let some = |count| NonZero::new(count).unwrap_or(NonZero::<u64>::MIN);
        let size = |count| NonZero::new(count).unwrap_or(NonZero::<usize>::MIN);
        Self {
            token: None,
            postgres: None,
            time_max_seconds: some(30),
            memory_max_mib: size(512),
            spill_max_mib: some(1024),
            rows_max: size(100_000),
            bytes_max_mib: some(64),
        }
    }
}

impl Config {
    /// What one question may use.
    pub(crate) fn query_bounds(&self) -> Bounds {
        let query = &self.query;
        Bounds {
            seconds_max: query.time_max_seconds.get(),
            memory_bytes_max: query.memory_max_mib.get() << 20,
            spill_bytes_max: query.spill_max_mib.get() << 20,
            rows_max: query.rows_max.get(),
            bytes_max: query.bytes_max_mib.get() << 20,
        }
    }

    /// The PostgreSQL door; none where it stays shut.
    pub(crate) fn postgres_door(&self) -> Result<Option<PostgresDoor>, Failure> {
        let Some(written) = &self.query.postgres else { return Ok(None) };
        let wrong = |problem: String| {
            Failure::Usage(format!("{}: [query.postgres] {problem}", shown(self.path.as_deref())))
        };
        let password = written
            .password
            .read(&self.folder)
            .map_err(|problem| wrong(format!("password: {problem}")))?;
        let tls = match (&written.certificate, &written.key) {
            (Some(certificate), Some(key)) => {
                Some((self.folder.join(certificate), self.folder.join(key)))
            }
            (None, None) if written.listen.ip().is_loopback() => None,
            (None, None) => {
                return Err(wrong(format!(
                    "`certificate` and `key` are needed where `listen` is no loopback address, and it is {}",
                    written.listen
                )));
            }
            _ => return Err(wrong("`certificate` and `key` belong together".to_owned())),
        };
        if password.len() < TOKEN_LENGTH_MIN {
            return Err(wrong(format!(
                "password: it has {} characters; take at least {TOKEN_LENGTH_MIN} random ones",
                password.len()
            )));
        }
        Ok(Some(PostgresDoor { listen: written.listen, user: written.user.clone(), password, tls }))
    }

    /// What opens the HTTP door; without, it stays shut.
    pub(crate) fn query_token(&self) -> Result<Option<String>, Failure> {
        let Some(reference) = &self.query.token else { return Ok(None) };
        let wrong = |problem: String| {
            Failure::Usage(format!("{}: [query] token: {problem}", shown(self.path.as_deref())))
        };
        let token = reference.read(&self.folder).map_err(wrong)?;
        if token.len() < TOKEN_LENGTH_MIN {
            return Err(wrong(format!(
                "it has {} characters; take at least {TOKEN_LENGTH_MIN} random ones",
                token.len()
            )));
        }
        Ok(Some(token))
    }
}
