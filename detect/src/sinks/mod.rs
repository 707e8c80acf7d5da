//! Sinks: the destinations that findings and report notices are sent to.
//!
//! A service leases a batch of messages from the outbox, hands it to a [`Sink`], and records one
//! outcome for each message:
//!
//! - delivered: the sink has it;
//! - retry: the sink did not take it now, and the outbox tries again after a pause;
//! - dead-lettered: the sink refuses it permanently, and a person must decide;
//! - untried: a message before it failed.
//!
//! Example: the findings A, B and C are due for a webhook. The server answers 200 to A and 503 to
//! B. The sink returns delivered, retry, untried. Later the outbox sends B and C again; A is not
//! sent twice. Each message has a key of finding id and revision, so that a receiver can drop the
//! duplicate of a message whose outcome got lost.

pub mod address;
mod alertmanager;
mod chat;
mod file;
mod http;
mod kafka;
mod mail;
mod message_text;
pub mod ocsf;
mod sink;
mod syslog;
mod tls;
mod webhook;

pub use alertmanager::AlertmanagerSink;
pub use chat::{ChatOptions, ChatService, ChatSink};
pub use file::FileSink;
pub use kafka::KafkaSink;
pub use mail::{MailOptions, MailSink, SmtpEncryption};
pub use message_text::MessageStyle;
pub use sink::{PayloadFormat, Sink};
pub use syslog::{SyslogOptions, SyslogSink};
pub use webhook::WebhookSink;
