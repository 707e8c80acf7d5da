//! The beginning of a connection, in the service: encryption, the startup message, the password. A worker process is only started
//! for a client that has sent the right password.

use crate::config::PostgresEndpoint;
use crate::exit::Failure;
use bytes::BytesMut;
use datafusion_postgres::pgwire::api::auth::Password;
use datafusion_postgres::pgwire::api::auth::sasl::SCRAM_SHA_256_METHOD;
use datafusion_postgres::pgwire::api::auth::sasl::scram::{
    SCRAM_ITERATIONS, ScramServerAuth, gen_salted_password,
};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::PgWireBackendMessage;
use datafusion_postgres::pgwire::messages::startup::Authentication;
use std::io::{self, Read};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Length of the salt of the hashed password.
const SALT_BYTES: usize = 16;
/// Largest startup message in bytes, as in PostgreSQL.
const STARTUP_BYTES_MAX: usize = 10_000;
/// Largest message of the password exchange in bytes.
const PASSWORD_BYTES_MAX: usize = 4096;
/// Codes of the messages that a connection can begin with.
const CANCEL_CODE: u32 = 80_877_102;
const TLS_CODE: u32 = 80_877_103;
const GSS_CODE: u32 = 80_877_104;

/// The stream of a client, encrypted or not.
pub(super) trait ClientStream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> ClientStream for T {}

/// What a connection is for.
pub(super) enum Login {
    /// The client has sent the right password.
    Accepted {
        /// Its stream, from which nothing was read beyond the login.
        stream: Box<dyn ClientStream>,
        /// The whole startup message, for the worker.
        startup: Vec<u8>,
    },
    /// The client does not know user or password, and was told.
    Refused {
        /// The user that it has named.
        user: String,
        /// What is wrong, for the operator.
        why: String,
    },
    /// The client wants to cancel the statement of another connection, whose process id and secret it sends.
    Cancel {
        /// Process id of the worker.
        pid: i32,
        /// The secret.
        secret: Vec<u8>,
    },
}

/// Checks passwords.
pub(super) struct LoginCheck {
    endpoint: PostgresEndpoint,
    salt: Vec<u8>,
    salted: Vec<u8>,
    /// The password of users that do not exist. Nobody knows it.
    unknown: Vec<u8>,
}

impl LoginCheck {
    /// A check of the one user of `endpoint`.
    ///
    /// # Errors
    /// [`Failure`]: certificate or key cannot be used, or the system gives no random bytes.
    pub(super) fn new(endpoint: PostgresEndpoint) -> Result<Self, Failure> {
        tls_acceptor(&endpoint)?;
        let salt = random_bytes::<SALT_BYTES>()?.to_vec();
        Ok(Self {
            salted: gen_salted_password(&endpoint.password, &salt, SCRAM_ITERATIONS),
            unknown: random_bytes::<32>()?.to_vec(),
            salt,
            endpoint,
        })
    }

    /// Leads a connection up to the right password. The caller limits the time.
    ///
    /// # Errors
    /// The client leaves or breaks the protocol.
    pub(super) async fn log_in(&self, socket: TcpStream) -> io::Result<Login> {
        socket.set_nodelay(true)?;
        let mut stream: Box<dyn ClientStream> = Box::new(socket);
        let mut is_encrypted = false;
        loop {
            let (code, message) = read_startup(&mut stream).await?;
            match code {
                CANCEL_CODE => {
                    let (pid, secret) = message[8..].split_at_checked(4).ok_or_else(broken)?;
                    let pid = i32::from_be_bytes(pid.try_into().map_err(|_| broken())?);
                    return Ok(Login::Cancel { pid, secret: secret.to_vec() });
                }
                TLS_CODE if !is_encrypted => {
                    // Read for each connection, so that a renewed certificate is used.
                    match tls_acceptor(&self.endpoint).map_err(io::Error::other)? {
                        Some(acceptor) => {
                            stream.write_all(b"S").await?;
                            stream = Box::new(acceptor.accept(stream).await?);
                            is_encrypted = true;
                        }
                        None => stream.write_all(b"N").await?,
                    }
                }
                GSS_CODE if !is_encrypted => stream.write_all(b"N").await?,
                TLS_CODE | GSS_CODE => return Err(broken()),
                _ => {
                    let user = user_of(&message);
                    return match self.check_password(&mut stream, user).await {
                        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                            Ok(Login::Refused { user: user.to_owned(), why: error.to_string() })
                        }
                        Err(error) => Err(error),
                        Ok(()) => Ok(Login::Accepted { stream, startup: message }),
                    };
                }
            }
        }
    }

    /// Asks for the password of `user` (SCRAM-SHA-256). An unknown user is refused like a wrong password.
    async fn check_password(
        &self,
        stream: &mut Box<dyn ClientStream>,
        user: &str,
    ) -> io::Result<()> {
        let methods = Authentication::SASL(vec![SCRAM_SHA_256_METHOD.to_owned()]);
        send(stream, PgWireBackendMessage::Authentication(methods)).await?;
        let first = read_password(stream).await?;
        let is_known = user == self.endpoint.user;
        let expected = if is_known { &self.salted } else { &self.unknown };
        let expected = Password::new(Some(self.salt.clone()), expected.clone());
        let begun = client_first(&first)
            .and_then(|first| ScramServerAuth::new().on_client_first_message(first, expected));
        let (server_first, exchange) = self.or_refuse(stream, user, begun).await?;
        let answer = Authentication::SASLContinue(server_first.into());
        send(stream, PgWireBackendMessage::Authentication(answer)).await?;
        let proof = read_password(stream).await?;
        let checked = exchange.on_client_final_message(&proof);
        let server_final = self.or_refuse(stream, user, checked).await?;
        let answer = Authentication::SASLFinal(server_final.into());
        send(stream, PgWireBackendMessage::Authentication(answer)).await
    }

    /// Tells the client why `result` is an error: always the same, whatever was wrong with user or password.
    async fn or_refuse<T>(
        &self,
        stream: &mut Box<dyn ClientStream>,
        user: &str,
        result: PgWireResult<T>,
    ) -> io::Result<T> {
        match result {
            Ok(done) => Ok(done),
            Err(error) => {
                let told = PgWireError::InvalidPassword(user.to_owned());
                refuse(stream, told.into()).await?;
                Err(io::Error::new(io::ErrorKind::PermissionDenied, error.to_string()))
            }
        }
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the client does not speak the PostgreSQL protocol")
}

/// Sends an error that ends the connection.
pub(super) async fn refuse(stream: &mut Box<dyn ClientStream>, error: ErrorInfo) -> io::Result<()> {
    send(stream, PgWireBackendMessage::ErrorResponse(error.into())).await
}

async fn send(stream: &mut Box<dyn ClientStream>, message: PgWireBackendMessage) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes).map_err(io::Error::other)?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Reads a message without a type, such as the startup message: its code, and all its bytes. Nothing after it is read.
async fn read_startup(stream: &mut Box<dyn ClientStream>) -> io::Result<(u32, Vec<u8>)> {
    let length = stream.read_u32().await?;
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    if !(8..=STARTUP_BYTES_MAX).contains(&size) {
        return Err(broken());
    }
    let mut message = length.to_be_bytes().to_vec();
    message.resize(size, 0);
    stream.read_exact(&mut message[4..]).await?;
    let code = message[4..8].try_into().map(u32::from_be_bytes).map_err(|_| broken())?;
    Ok((code, message))
}

/// Reads a message of the password exchange, without its head.
async fn read_password(stream: &mut Box<dyn ClientStream>) -> io::Result<Vec<u8>> {
    if stream.read_u8().await? != b'p' {
        return Err(broken());
    }
    let size = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    let size = size.checked_sub(4).filter(|size| *size <= PASSWORD_BYTES_MAX).ok_or_else(broken)?;
    let mut message = vec![0; size];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// The client's first message of the exchange, behind the name of the method and its own length.
fn client_first(message: &[u8]) -> PgWireResult<&[u8]> {
    let end = message.iter().position(|byte| *byte == 0).unwrap_or(message.len());
    let method = String::from_utf8_lossy(&message[..end]);
    if method != SCRAM_SHA_256_METHOD {
        return Err(PgWireError::UnsupportedSASLAuthMethod(method.into_owned()));
    }
    let first = message.get(end + 5..).unwrap_or_default();
    if first.is_empty() {
        return Err(PgWireError::InvalidScramMessage("it is empty".to_owned()));
    }
    Ok(first)
}

/// The user that a startup message names.
fn user_of(message: &[u8]) -> &str {
    let mut words = message[8..].split(|byte| *byte == 0);
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        if name == b"user" {
            return std::str::from_utf8(value).unwrap_or_default();
        }
    }
    ""
}

/// TLS with the certificate of the configuration, if there is one.
fn tls_acceptor(endpoint: &PostgresEndpoint) -> Result<Option<TlsAcceptor>, Failure> {
    let Some((certificate, key)) = &endpoint.tls else { return Ok(None) };
    let tls_error = |e: &dyn std::fmt::Display| {
        Failure::Usage(format!("[query.postgres] certificate or key: {e}"))
    };
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(certificate).map_err(|e| tls_error(&e))?.collect();
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| tls_error(&e))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| tls_error(&e))?;
    let config = config
        .with_no_client_auth()
        .with_single_cert(chain.map_err(|e| tls_error(&e))?, key)
        .map_err(|e| tls_error(&e))?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// Random bytes from the system.
pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let mut source = std::fs::File::open("/dev/urandom").map_err(Failure::internal)?;
    source.read_exact(&mut bytes).map_err(Failure::internal)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_of_a_startup_message_is_found() {
        let message = |text: &[u8]| [&[0, 0, 0, 0, 0, 3, 0, 0], text].concat();
        assert_eq!(user_of(&message(b"database\0d\0user\0ana\0\0")), "ana");
        assert_eq!(user_of(&message(b"user\0ana")), "ana");
        assert_eq!(user_of(&message(b"\0\0user")), "");
        assert_eq!(user_of(&message(b"")), "");
    }

    #[test]
    fn only_the_known_method_with_a_message_begins_an_exchange() {
        let begins = |message: &[u8]| client_first(message).map(<[u8]>::to_vec).ok();
        assert_eq!(begins(b"SCRAM-SHA-256\0\0\0\0\x03n,,"), Some(b"n,,".to_vec()));
        for message in
            [&b"PLAIN\0\0\0\0\x01x"[..], b"SCRAM-SHA-256\0\0\0\0\0", b"SCRAM-SHA-256", b""]
        {
            assert_eq!(begins(message), None, "{message:?}");
        }
    }
}
