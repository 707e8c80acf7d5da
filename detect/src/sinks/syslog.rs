//! The syslog sink: RFC 5424 messages over TCP or TLS, framed by octet counting (RFC 6587, RFC
//! 5425).
//!
//! Syslog has no acknowledgement. Messages count as delivered when the receiver closes the
//! connection in order after the last byte.

use crate::sinks::sink::{PayloadFormat, Sink, same_outcome};
use crate::sinks::tls;
use crate::store::outbox::{DeliveryOutcome, OutboxMessage};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use trailhound_queries::packs::rules::Severity;

/// The most messages of one connection.
const BATCH_MAX: usize = 500;
/// Time limit of a connection with all its messages.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// The facility `local0`.
const FACILITY: u8 = 16;

/// Address of a syslog receiver, and the format of the messages to it.
#[derive(Debug, Clone)]
pub struct SyslogOptions {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether the connection uses TLS.
    pub tls: bool,
    /// Additional root certificates, in PEM.
    pub ca: Option<Vec<u8>>,
    /// The format of the message text.
    pub format: PayloadFormat,
}

/// A sink that sends to a syslog receiver.
pub struct SyslogSink {
    options: SyslogOptions,
    tls: Option<TlsConnector>,
    hostname: String,
}

impl SyslogSink {
    /// Makes a sink by `options`.
    ///
    /// # Errors
    /// An error message if TLS is required and there are no root certificates.
    pub fn new(options: SyslogOptions) -> Result<Self, String> {
        let tls = if options.tls { Some(tls::connector(options.ca.as_deref())?) } else { None };
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let hostname: String =
            hostname.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
        Ok(Self {
            options,
            tls,
            hostname: if hostname.is_empty() { "-".to_owned() } else { hostname },
        })
    }

    /// Connects, writes `messages` and waits until the receiver has closed the connection.
    async fn send(&self, messages: &[u8]) -> io::Result<()> {
        let SyslogOptions { host, port, .. } = &self.options;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        match &self.tls {
            None => write_and_close(stream, messages).await,
            Some(tls) => {
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                write_and_close(tls.connect(name, stream).await?, messages).await
            }
        }
    }

    /// Writes the syslog message of a finding, with its length in front.
    fn frame(&self, message: &OutboxMessage) -> Vec<u8> {
        let finding = &message.finding;
        let priority = FACILITY * 8 + syslog_severity(finding.severity);
        let time = finding.last_seen.as_deref().unwrap_or("-");
        let id: String = finding.rule_id.chars().filter(char::is_ascii_graphic).take(32).collect();
        let origin = concat!(
            "[origin software=\"trailhound\" swVersion=\"",
            env!("CARGO_PKG_VERSION"),
            "\"]"
        );
        // The byte order mark says that the text is UTF-8.
        let text = format!(
            "<{priority}>1 {time} {} trailhound - {id} {origin} \u{feff}{}",
            self.hostname,
            self.options.format.encode(message)
        );
        let mut frame = format!("{} ", text.len()).into_bytes();
        frame.extend_from_slice(text.as_bytes());
        frame
    }
}

/// Writes `messages`, and returns when the receiver has closed the connection in order.
async fn write_and_close<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    messages: &[u8],
) -> io::Result<()> {
    stream.write_all(messages).await?;
    stream.shutdown().await?;
    // A receiver that failed resets the connection instead of closing it.
    let mut rest = [0; 256];
    loop {
        match stream.read(&mut rest).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // Some receivers close without TLS's close_notify, after they have read everything.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Maps to the severities of RFC 5424: 2 is critical, 6 is informational.
fn syslog_severity(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

#[async_trait]
impl Sink for SyslogSink {
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn deliver(
        &mut self,
        messages: &[OutboxMessage],
        _now: DateTime<Utc>,
    ) -> Vec<DeliveryOutcome> {
        let frames: Vec<u8> = messages.iter().flat_map(|message| self.frame(message)).collect();
        let outcome = match tokio::time::timeout(SEND_TIMEOUT, self.send(&frames)).await {
            Ok(Ok(())) => DeliveryOutcome::Delivered(format!(
                "taken by {}:{}",
                self.options.host, self.options.port
            )),
            Ok(Err(error)) => {
                let unsure = error.kind() != io::ErrorKind::ConnectionRefused;
                DeliveryOutcome::Retry { reason: error.to_string(), after: None, unsure }
            }
            Err(_) => DeliveryOutcome::Retry {
                reason: "it did not take everything in time".to_owned(),
                after: None,
                unsure: true,
            },
        };
        same_outcome(messages, &outcome)
    }
}
