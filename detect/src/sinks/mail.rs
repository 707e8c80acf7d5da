//! The mail sink: sends e-mail by SMTP. All findings of a delivery become one plain-text message, a
//! digest if there are several.

use crate::finding::Finding;
use crate::finding::language::Language;
use crate::sinks::message_text::{MessageStyle, message_text, subject};
use crate::sinks::sink::{Sink, same_outcome};
use crate::sinks::tls;
use crate::store::outbox::{DeliveryOutcome, OutboxMessage, ReportMessage};
use async_smtp::authentication::{Credentials, Mechanism};
use async_smtp::error::Error;
use async_smtp::{EmailAddress, Envelope, SendableEmail, SmtpClient, SmtpTransport};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mail_builder::MessageBuilder;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use trailhound_datasets::sanitize::sanitize;
use xxhash_rust::xxh3::xxh3_128;

/// The most findings of one message.
const BATCH_MAX: usize = 5000;
/// The most bytes of the message text.
const BYTES_MAX: usize = 32 << 10;
/// Time limit of a connection with its message.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// How the connection to the mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpEncryption {
    /// TLS from the start.
    #[default]
    Tls,
    /// STARTTLS: TLS after a greeting in clear text. A server without it is an error.
    Starttls,
    /// No encryption, for a server on the same machine.
    None,
}

/// Address of a mail server, and sender and receivers of the messages.
#[derive(Debug, Clone)]
pub struct MailOptions {
    /// Host name.
    pub host: String,
    /// Port; `None` for the usual one of the encryption.
    pub port: Option<u16>,
    /// How the connection is encrypted.
    pub encryption: SmtpEncryption,
    /// Additional root certificates, in PEM.
    pub ca: Option<Vec<u8>>,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// The sender's address.
    pub from: String,
    /// The receivers' addresses.
    pub to: Vec<String>,
    /// Language and time zone of messages.
    pub style: MessageStyle,
}

impl SmtpEncryption {
    /// The port of servers with this encryption.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::Starttls => 587,
            Self::None => 25,
        }
    }
}

/// A sink that sends e-mail.
pub struct MailSink {
    host: String,
    port: u16,
    encryption: SmtpEncryption,
    tls: Option<TlsConnector>,
    credentials: Option<Credentials>,
    from: String,
    to: Vec<String>,
    envelope: Envelope,
    style: MessageStyle,
}

impl MailSink {
    /// Makes a sink by `options`.
    ///
    /// # Errors
    /// An error message if an address is malformed, there is no recipient, or TLS is required and
    /// there are no root certificates. The message contains no secret.
    pub fn new(options: MailOptions) -> Result<Self, String> {
        let to = options.to.iter().map(|to| email_address(to)).collect::<Result<_, _>>()?;
        let envelope = Envelope::new(Some(email_address(&options.from)?), to)
            .map_err(|_| "`to` names nobody".to_owned())?;
        let tls = if options.encryption == SmtpEncryption::None {
            None
        } else {
            Some(tls::connector(options.ca.as_deref())?)
        };
        Ok(Self {
            host: options.host,
            port: options.port.unwrap_or(options.encryption.default_port()),
            encryption: options.encryption,
            tls,
            credentials: options
                .credentials
                .map(|(name, password)| Credentials::new(name, password)),
            from: options.from,
            to: options.to,
            envelope,
            style: options.style,
        })
    }

    /// Writes the message about the findings of a delivery.
    fn findings_mail(&self, messages: &[OutboxMessage]) -> std::io::Result<Vec<u8>> {
        let findings: Vec<&Finding> = messages.iter().map(|message| &message.finding).collect();
        let keys: Vec<String> = messages.iter().map(OutboxMessage::key).collect();
        let id = match keys.as_slice() {
            [one] => one.clone(),
            many => format!("{:032x}", xxh3_128(many.join(" ").as_bytes())),
        };
        let text = message_text(&findings, self.style, BYTES_MAX);
        self.message_builder(&id, subject(&findings, self.style.language))
            .text_body(text)
            .write_to_vec()
    }

    /// Writes the message about a report, with its files attached.
    fn report_mail(&self, report: &ReportMessage) -> std::io::Result<Vec<u8>> {
        let notice = &report.notice;
        let id = format!("{:032x}", xxh3_128(report.id.as_bytes()));
        let attachments = notice.attachments()?;
        let mut text = notice.text(BYTES_MAX);
        if attachments.is_empty() && !notice.files.is_empty() {
            text.push_str(match self.style.language {
                Language::En => "\nThe files are larger than 10 MiB and are not attached.",
                Language::Zh => "\n文件超过 10 MiB，未作为附件发送。",
            });
        }
        let mut message = self.message_builder(&id, notice.subject.clone()).text_body(text);
        for (name, media, content) in attachments {
            message = message.attachment(media, name, content);
        }
        message.write_to_vec()
    }

    /// Begins a message from the sender to all receivers. `id` makes its Message-ID, which stays
    /// the same when it is sent again.
    fn message_builder(&self, id: &str, subject: String) -> MessageBuilder<'_> {
        let to: Vec<&str> = self.to.iter().map(String::as_str).collect();
        MessageBuilder::new()
            .from(self.from.as_str())
            .to(to)
            .subject(subject)
            .message_id(format!("{id}@trailhound"))
    }

    /// Sends a message, if it could be written, and returns the outcome.
    async fn deliver_mail(&self, message: std::io::Result<Vec<u8>>) -> DeliveryOutcome {
        match message {
            Err(error) => DeliveryOutcome::DeadLettered(error.to_string()),
            Ok(message) => match tokio::time::timeout(SEND_TIMEOUT, self.send(message)).await {
                Ok(Ok(response)) => DeliveryOutcome::Delivered(sanitize(&response)),
                Ok(Err(error)) => failed(&error),
                Err(_) => DeliveryOutcome::Retry {
                    reason: "it did not answer in time".to_owned(),
                    after: None,
                    unsure: true,
                },
            },
        }
    }

    /// Connects and sends `message`; returns the server's response.
    async fn send(&self, message: Vec<u8>) -> Result<String, Error> {
        let plain = BufStream::new(TcpStream::connect((self.host.as_str(), self.port)).await?);
        match (self.encryption, &self.tls) {
            (SmtpEncryption::Tls, Some(tls)) => {
                let stream = self.start_tls(tls, plain.into_inner()).await?;
                self.send_over(
                    SmtpTransport::new(SmtpClient::new().pipelining(false), BufStream::new(stream))
                        .await?,
                    message,
                )
                .await
            }
            (SmtpEncryption::Starttls, Some(tls)) => {
                let plain = SmtpTransport::new(SmtpClient::new(), plain).await?.starttls().await?;
                // `into_inner` drops clear text that was buffered behind the response, so that
                // nobody can inject commands before TLS starts.
                let stream = self.start_tls(tls, plain.into_inner()).await?;
                let client = SmtpClient::new().pipelining(false).without_greeting();
                self.send_over(SmtpTransport::new(client, BufStream::new(stream)).await?, message)
                    .await
            }
            _ => {
                self.send_over(
                    SmtpTransport::new(SmtpClient::new().pipelining(false), plain).await?,
                    message,
                )
                .await
            }
        }
    }

    /// Starts TLS on a connection.
    async fn start_tls(
        &self,
        tls: &TlsConnector,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Error> {
        let name = ServerName::try_from(self.host.clone()).map_err(std::io::Error::other)?;
        Ok(tls.connect(name, stream).await?)
    }

    /// Logs in, sends `message` and returns the server's response.
    async fn send_over<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut server: SmtpTransport<BufStream<S>>,
        message: Vec<u8>,
    ) -> Result<String, Error> {
        if let Some(credentials) = &self.credentials {
            server.try_login(credentials, &[Mechanism::Plain, Mechanism::Login]).await?;
        }
        let response = server.send(SendableEmail::new(self.envelope.clone(), message)).await?;
        // The server has accepted the message. A failure to say goodbye does not change that, and a
        // retry would send it twice.
        drop(server.quit().await);
        Ok(response.message.join(" "))
    }
}

/// Parses the address of a sender or receiver.
fn email_address(text: &str) -> Result<EmailAddress, String> {
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

/// The outcome of a message that the server did not accept.
fn failed(error: &Error) -> DeliveryOutcome {
    let reason = sanitize(&error.to_string());
    match error {
        // Reply codes 5xx are permanent, 4xx are transient.
        Error::Permanent(_) => DeliveryOutcome::DeadLettered(reason),
        Error::Transient(_) => DeliveryOutcome::Retry { reason, after: None, unsure: false },
        _ => DeliveryOutcome::Retry { reason, after: None, unsure: true },
    }
}

#[async_trait]
impl Sink for MailSink {
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    fn min_pause(&self) -> Duration {
        Duration::from_secs(10)
    }

    async fn deliver(
        &mut self,
        messages: &[OutboxMessage],
        _now: DateTime<Utc>,
    ) -> Vec<DeliveryOutcome> {
        same_outcome(messages, &self.deliver_mail(self.findings_mail(messages)).await)
    }

    async fn deliver_report(
        &mut self,
        report: &ReportMessage,
        _now: DateTime<Utc>,
    ) -> DeliveryOutcome {
        self.deliver_mail(self.report_mail(report)).await
    }
}
