//! `[query]`: the interfaces of the query server, and what one query may use.

use super::location::ConfigLocation;
use crate::exit::Failure;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;
use trailhound_ingest::secret::SecretRef;
use trailhound_queries::limits::QueryLimits;

/// Shortest token or password, in bytes.
const SECRET_BYTES_MIN: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct QueryConfig {
    /// Token that callers of `POST /api/v1/query` send. The HTTP interface is off without one.
    token: Option<SecretRef>,
    /// The PostgreSQL interface is off without this section.
    postgres: Option<PostgresConfig>,
    time_max_seconds: NonZero<u64>,
    memory_max_mib: NonZero<usize>,
    spill_max_mib: NonZero<u64>,
    rows_max: NonZero<usize>,
    bytes_max_mib: NonZero<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PostgresConfig {
    listen: SocketAddr,
    user: String,
    password: SecretRef,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// The PostgreSQL interface with its password.
pub(crate) struct PostgresEndpoint {
    /// Address to listen on.
    pub(crate) listen: SocketAddr,
    /// Name of the one user.
    pub(crate) user: String,
    /// Password of the user.
    pub(crate) password: String,
    /// Paths of the PEM files with the certificate chain and its key. `None` only on a loopback
    /// address.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
}

/// Resource limits of one query of the query server.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct QueryBounds {
    /// Run time in seconds.
    pub(crate) seconds_max: u64,
    /// Memory of sorts, joins and aggregations, in bytes.
    pub(crate) memory_bytes_max: usize,
    /// Disk space for sorts, joins and aggregations that exceed the memory, in bytes.
    pub(crate) spill_bytes_max: u64,
    /// Rows of the answer.
    pub(crate) rows_max: usize,
    /// Size of the answer in bytes.
    pub(crate) bytes_max: u64,
}

impl QueryBounds {
    /// The bounds as limits of the query engine, on one thread.
    pub(crate) fn engine_limits(&self) -> QueryLimits {
        QueryLimits {
            memory_bytes_max: self.memory_bytes_max,
            spill_bytes_max: self.spill_bytes_max,
            threads: 1,
            rows_max: self.rows_max,
            time_max: Duration::from_secs(self.seconds_max),
        }
    }
}

impl Default for QueryConfig {
    fn default() -> Self {
        let non_zero = |number| NonZero::new(number).unwrap_or(NonZero::<u64>::MIN);
        let non_zero_size = |number| NonZero::new(number).unwrap_or(NonZero::<usize>::MIN);
        Self {
            token: None,
            postgres: None,
            time_max_seconds: non_zero(30),
            memory_max_mib: non_zero_size(512),
            spill_max_mib: non_zero(1024),
            rows_max: non_zero_size(100_000),
            bytes_max_mib: non_zero(64),
        }
    }
}

impl QueryConfig {
    /// Returns the resource limits of one query.
    pub(super) fn bounds(&self) -> QueryBounds {
        QueryBounds {
            seconds_max: self.time_max_seconds.get(),
            memory_bytes_max: self.memory_max_mib.get() << 20,
            spill_bytes_max: self.spill_max_mib.get() << 20,
            rows_max: self.rows_max.get(),
            bytes_max: self.bytes_max_mib.get() << 20,
        }
    }

    /// The token of the HTTP interface.
    ///
    /// # Errors
    /// [`Failure::Usage`]: it cannot be read or is too short.
    pub(super) fn token(&self, location: &ConfigLocation) -> Result<Option<String>, Failure> {
        let Some(reference) = &self.token else { return Ok(None) };
        let error = |problem: String| location.error(format!("[query] token: {problem}"));
        let token = reference.read(&location.folder).map_err(error)?;
        check_length(&token).map_err(error)?;
        Ok(Some(token))
    }

    /// The PostgreSQL interface.
    ///
    /// # Errors
    /// [`Failure::Usage`]: the password cannot be read or is too short, or TLS is missing or
    /// incomplete.
    pub(super) fn postgres_endpoint(
        &self,
        location: &ConfigLocation,
    ) -> Result<Option<PostgresEndpoint>, Failure> {
        let Some(config) = &self.postgres else { return Ok(None) };
        let error = |problem: String| location.error(format!("[query.postgres] {problem}"));
        let password_error = |problem: String| error(format!("password: {problem}"));
        let password = config.password.read(&location.folder).map_err(password_error)?;
        let tls = match (&config.certificate, &config.key) {
            (Some(certificate), Some(key)) => {
                Some((location.folder.join(certificate), location.folder.join(key)))
            }
            (None, None) if config.listen.ip().is_loopback() => None,
            (None, None) => {
                return Err(error(format!(
                    "`listen` is {}, which is not a loopback address; `certificate` and `key` are required",
                    config.listen
                )));
            }
            _ => return Err(error("`certificate` and `key` belong together".to_owned())),
        };
        check_length(&password).map_err(password_error)?;
        let (listen, user) = (config.listen, config.user.clone());
        Ok(Some(PostgresEndpoint { listen, user, password, tls }))
    }
}

/// Checks that a secret is not too short to guess.
fn check_length(secret: &str) -> Result<(), String> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!(
            "it has {} characters; use at least {SECRET_BYTES_MIN} random ones",
            secret.len()
        ));
    }
    Ok(())
}
