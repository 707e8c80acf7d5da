//! Syslog over TCP or TLS: RFC 5424 messages, counted as RFC 6587 and RFC 5425 say. The protocol answers nothing; what counts as delivered is
//! that the receiver has closed the connection in order after the last byte.

use super::{Form, Sink, all, tls};
use crate::store::outbox::{Delivery, OutboxMessage};
use async_trait::async_trait;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use trailhound_queries::packs::rules::Severity;

/// Messages of one connection.
const MOST: usize = 500;
/// For a connection with all its messages.
const SEND_MAX: Duration = Duration::from_secs(20);
/// Facility `local0`.
const FACILITY: u8 = 16;

/// How to reach a receiver.
#[derive(Debug, Clone)]
pub struct SyslogOptions {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether by TLS.
    pub tls: bool,
    /// Further authorities that are believed, in PEM.
    pub ca: Option<Vec<u8>>,
    /// The form of the message.
    pub form: Form,
}

/// The sink.
pub struct Syslog {
    options: SyslogOptions,
    tls: Option<TlsConnector>,
    hostname: String,
}

impl Syslog {
    /// A sink as `options` say.
    ///
    /// # Errors
    /// A sentence where there are no authorities to believe.
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

    async fn send(&self, messages: &[u8]) -> io::Result<()> {
        let SyslogOptions { host, port, .. } = &self.options;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        match &self.tls {
            None => hand_over(stream, messages).await,
            Some(tls) => {
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                hand_over(tls.connect(name, stream).await?, messages).await
            }
        }
    }

    fn message(&self, parcel: &OutboxMessage) -> Vec<u8> {
        let finding = &parcel.finding;
        let priority = FACILITY * 8 + level(finding.severity);
        let time = finding.last_seen.as_deref().unwrap_or("-");
        let id: String = finding.rule_id.chars().filter(char::is_ascii_graphic).take(32).collect();
        let origin = concat!(
            "[origin software=\"trailhound\" swVersion=\"",
            env!("CARGO_PKG_VERSION"),
            "\"]"
        );
        // The mark says that the text is UTF-8.
        let text = format!(
            "<{priority}>1 {time} {} trailhound - {id} {origin} \u{feff}{}",
            self.hostname,
            self.options.form.text(parcel)
        );
        let mut counted = format!("{} ", text.len()).into_bytes();
        counted.extend_from_slice(text.as_bytes());
        counted
    }
}

async fn hand_over<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    messages: &[u8],
) -> io::Result<()> {
    stream.write_all(messages).await?;
    stream.shutdown().await?;
    // A receiver that broke resets instead.
    let mut rest = [0; 256];
    loop {
        match stream.read(&mut rest).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // Some close without TLS's own farewell, after they have read everything.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

#[async_trait]
impl Sink for Syslog {
    fn most(&self) -> usize {
        MOST
    }

    async fn deliver(&mut self, parcels: &[OutboxMessage]) -> Vec<Delivery> {
        let messages: Vec<u8> = parcels.iter().flat_map(|parcel| self.message(parcel)).collect();
        let delivery = match tokio::time::timeout(SEND_MAX, self.send(&messages)).await {
            Ok(Ok(())) => {
                Delivery::Delivered(format!("taken by {}:{}", self.options.host, self.options.port))
            }
            Ok(Err(error)) => {
                let unsure = error.kind() != io::ErrorKind::ConnectionRefused;
                Delivery::Retry { reason: error.to_string(), after: None, unsure }
            }
            Err(_) => Delivery::Retry {
                reason: "it did not take everything in time".to_owned(),
                after: None,
                unsure: true,
            },
        };
        all(parcels, &delivery)
    }
}
