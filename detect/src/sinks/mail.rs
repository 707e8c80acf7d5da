//! E-mail by SMTP: plain text, one message for what is waiting.

use super::tls;
use super::words::{message, subject};
use super::{Sink, all};
use crate::finding::Finding;
use crate::finding::language::Language;
use crate::store::outbox::{Delivery, OutboxMessage, ReportMessage};
use async_smtp::authentication::{Credentials, Mechanism};
use async_smtp::error::Error;
use async_smtp::{EmailAddress, Envelope, SendableEmail, SmtpClient, SmtpTransport};
use async_trait::async_trait;
use mail_builder::MessageBuilder;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use xxhash_rust::xxh3::xxh3_128;

/// Findings of one message.
const MOST: usize = 5000;
/// Bytes of its text.
const BYTES_MAX: usize = 32 << 10;
/// For a connection with its message.
const SEND_MAX: Duration = Duration::from_secs(30);

/// How the connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// TLS from the start.
    #[default]
    Tls,
    /// TLS after a greeting in clear text, or nothing.
    Starttls,
    /// None: for a server on the same machine.
    None,
}

/// How to reach a server, and from whom to whom.
#[derive(Debug, Clone)]
pub struct MailOptions {
    /// Its name.
    pub host: String,
    /// Its port; the usual one where none is given.
    pub port: Option<u16>,
    /// How the connection is protected.
    pub encryption: Encryption,
    /// Further authorities that are believed, in PEM.
    pub ca: Option<Vec<u8>>,
    /// Name and password.
    pub credentials: Option<(String, String)>,
    /// The sender's address.
    pub from: String,
    /// The receivers' addresses.
    pub to: Vec<String>,
    /// The language.
    pub language: Language,
}

/// The sink.
pub struct Mail {
    host: String,
    port: u16,
    encryption: Encryption,
    tls: Option<TlsConnector>,
    credentials: Option<Credentials>,
    from: String,
    to: Vec<String>,
    envelope: Envelope,
    language: Language,
}

impl Mail {
    /// A sink as `options` say.
    ///
    /// # Errors
    /// A sentence that repeats no secret.
    pub fn new(options: MailOptions) -> Result<Self, String> {
        let usual = match options.encryption {
            Encryption::Tls => 465,
            Encryption::Starttls => 587,
            Encryption::None => 25,
        };
        let to = options.to.iter().map(|to| address(to)).collect::<Result<_, _>>()?;
        let envelope = Envelope::new(Some(address(&options.from)?), to)
            .map_err(|_| "`to` names nobody".to_owned())?;
        let tls = if options.encryption == Encryption::None {
            None
        } else {
            Some(tls::connector(options.ca.as_deref())?)
        };
        Ok(Self {
            host: options.host,
            port: options.port.unwrap_or(usual),
            encryption: options.encryption,
            tls,
            credentials: options
                .credentials
                .map(|(name, password)| Credentials::new(name, password)),
            from: options.from,
            to: options.to,
            envelope,
            language: options.language,
        })
    }

    fn write(&self, parcels: &[OutboxMessage]) -> std::io::Result<Vec<u8>> {
        let findings: Vec<&Finding> = parcels.iter().map(|parcel| &parcel.finding).collect();
        let keys: Vec<String> = parcels.iter().map(OutboxMessage::key).collect();
        let id = match keys.as_slice() {
            [one] => one.clone(),
            many => format!("{:032x}", xxh3_128(many.join(" ").as_bytes())),
        };
        let text = message(&findings, self.language, BYTES_MAX);
        self.begun(&id, subject(&findings, self.language)).text_body(text).write_to_vec()
    }

    fn write_report(&self, report: &ReportMessage) -> std::io::Result<Vec<u8>> {
        let notice = &report.notice;
        let id = format!("{:032x}", xxh3_128(report.id.as_bytes()));
        let mut message = self.begun(&id, notice.subject.clone()).text_body(notice.text(BYTES_MAX));
        for (name, media, content) in notice.attachments()? {
            message = message.attachment(media, name, content);
        }
        message.write_to_vec()
    }

    /// A message that has the same id when it is sent again.
    fn begun(&self, id: &str, subject: String) -> MessageBuilder<'_> {
        let to: Vec<&str> = self.to.iter().map(String::as_str).collect();
        MessageBuilder::new()
            .from(self.from.as_str())
            .to(to)
            .subject(subject)
            .message_id(format!("{id}@trailhound"))
    }

    /// Hands the message over, and tells what became of it.
    async fn sent(&self, message: std::io::Result<Vec<u8>>) -> Delivery {
        match message {
            Err(error) => Delivery::Parked(error.to_string()),
            Ok(message) => match tokio::time::timeout(SEND_MAX, self.send(message)).await {
                Ok(Ok(said)) => Delivery::Delivered(trailhound_datasets::sanitize::sanitize(&said)),
                Ok(Err(error)) => failed(&error),
                Err(_) => Delivery::Retry {
                    reason: "it did not answer in time".to_owned(),
                    after: None,
                    unsure: true,
                },
            },
        }
    }

    async fn send(&self, message: Vec<u8>) -> Result<String, Error> {
        let plain = BufStream::new(TcpStream::connect((self.host.as_str(), self.port)).await?);
        match (self.encryption, &self.tls) {
            (Encryption::Tls, Some(tls)) => {
                let stream = self.protect(tls, plain.into_inner()).await?;
                self.hand_over(
                    SmtpTransport::new(SmtpClient::new().pipelining(false), BufStream::new(stream))
                        .await?,
                    message,
                )
                .await
            }
            (Encryption::Starttls, Some(tls)) => {
                let plain = SmtpTransport::new(SmtpClient::new(), plain).await?.starttls().await?;
                // `into_inner` drops what came in clear text behind the answer, so that nobody can put words before the protection.
                let stream = self.protect(tls, plain.into_inner()).await?;
                let client = SmtpClient::new().pipelining(false).without_greeting();
                self.hand_over(SmtpTransport::new(client, BufStream::new(stream)).await?, message)
                    .await
            }
            _ => {
                self.hand_over(
                    SmtpTransport::new(SmtpClient::new().pipelining(false), plain).await?,
                    message,
                )
                .await
            }
        }
    }

    async fn protect(
        &self,
        tls: &TlsConnector,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Error> {
        let name = ServerName::try_from(self.host.clone()).map_err(std::io::Error::other)?;
        Ok(tls.connect(name, stream).await?)
    }

    async fn hand_over<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut server: SmtpTransport<BufStream<S>>,
        message: Vec<u8>,
    ) -> Result<String, Error> {
        if let Some(credentials) = &self.credentials {
            server.try_login(credentials, &[Mechanism::Plain, Mechanism::Login]).await?;
        }
        let response = server.send(SendableEmail::new(self.envelope.clone(), message)).await?;
        // It has the message; how it takes leave changes nothing.
        let _ = server.quit().await;
        Ok(response.message.join(" "))
    }
}

fn address(text: &str) -> Result<EmailAddress, String> {
    let wrong =
        || format!("`{}` is no address; write it as name@example.com", text.escape_default());
    let is_one =
        text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    if !is_one
        || text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | ','))
    {
        return Err(wrong());
    }
    EmailAddress::new(text.to_owned()).map_err(|_| wrong())
}

fn failed(error: &Error) -> Delivery {
    let reason = trailhound_datasets::sanitize::sanitize(&error.to_string());
    match error {
        // The server's own word: 5 is for good, 4 for now.
        Error::Permanent(_) => Delivery::Parked(reason),
        Error::Transient(_) => Delivery::Retry { reason, after: None, unsure: false },
        _ => Delivery::Retry { reason, after: None, unsure: true },
    }
}

#[async_trait]
impl Sink for Mail {
    fn most(&self) -> usize {
        MOST
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(10)
    }

    async fn deliver(&mut self, parcels: &[OutboxMessage]) -> Vec<Delivery> {
        all(parcels, &self.sent(self.write(parcels)).await)
    }

    async fn report(&mut self, report: &ReportMessage) -> Delivery {
        self.sent(self.write_report(report)).await
    }
}
