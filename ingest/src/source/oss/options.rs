//! Options of a bucket source, checked before a client is made of them.

use super::endpoint;
use crate::clock::Clock;
use chrono::NaiveDate;
use object_store::path::Path;
use std::time::Duration;
use thiserror::Error;

/// Options of a bucket source.
#[derive(Debug, Clone)]
pub struct OssOptions {
    /// Name of the source, as stored in positions and rows.
    pub name: String,
    /// Name of the bucket.
    pub bucket: String,
    /// Endpoint with its scheme, for instance `https://oss-cn-hangzhou.aliyuncs.com`.
    pub endpoint: String,
    /// Region, which signatures contain.
    pub region: String,
    /// Prefix of the keys to read.
    pub prefix: String,
    /// The bucket is part of the host name, as OSS requires, and not of the path.
    pub virtual_hosted: bool,
    /// Credentials that sign requests; `None` leaves requests unsigned.
    pub credentials: Option<Credentials>,
    /// Days before the present that every listing covers, so that late objects are found.
    pub window_days: u32,
    /// First day to read when the source is new.
    pub since: Option<NaiveDate>,
    /// Interval between two listings.
    pub every: Duration,
}

/// Credentials that sign requests.
#[derive(Clone)]
pub enum Credentials {
    /// A fixed key.
    Key {
        /// AccessKey id.
        id: String,
        /// AccessKey secret.
        secret: String,
        /// Security token of temporary keys.
        token: Option<String>,
    },
    /// The temporary keys of the instance's role, renewed before they expire.
    InstanceRole {
        /// Address of the metadata service.
        endpoint: String,
        /// Name of the role; `None` asks the metadata service for it.
        role: Option<String>,
        /// Compared with the expiry of the keys.
        clock: Clock,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl OssOptions {
    /// Checks what the client of the bucket does not check itself, and would fail at later.
    ///
    /// # Errors
    /// A sentence that names the key of the configuration which is wrong.
    pub fn check(&self) -> Result<(), String> {
        endpoint::bucket_url(&self.endpoint, &self.bucket, self.virtual_hosted)?;
        Path::parse(&self.prefix)
            .map_err(|e| format!("`prefix` is `{}`, which names no folder: {e}", self.prefix))?;
        let is_header_text =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !is_header_text(&self.region) {
            return Err(format!("`region` is `{}`; write for instance `cn-hangzhou`", self.region));
        }
        if let Some(Credentials::Key { id, token, .. }) = &self.credentials
            && !(is_header_text(id) && token.as_deref().is_none_or(is_header_text))
        {
            // The text is not repeated: it may be a secret in the wrong place.
            return Err(
                "`access_key_id` or `security_token` holds characters that no key has".to_owned()
            );
        }
        Ok(())
    }
}

/// Why a bucket could not be read or written.
#[derive(Debug, Error)]
pub enum OssError {
    /// The options are wrong.
    #[error("{0}")]
    Options(String),
    /// The store refused the request or could not be reached.
    #[error(transparent)]
    Store(#[from] object_store::Error),
    /// There is no budget for downloads any more, because the ingest ends.
    #[error("the ingest ends, and fetches no more objects: {0}")]
    Budget(tokio::sync::AcquireError),
    /// The content of an object was truncated in transit, or is longer than it was listed.
    #[error("an object of {listed} bytes arrived with {got} bytes")]
    LengthMismatch {
        /// Bytes received.
        got: u64,
        /// Size in the listing, in bytes.
        listed: u64,
    },
}
