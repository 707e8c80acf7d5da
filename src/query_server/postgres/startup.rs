//! The beginning of a connection in its worker: the settings that the client asks for. The service has checked its password.

use super::errors::{client_error, fatal};
use super::settings::{SERVER_VERSION, SessionSettings};
use async_trait::async_trait;
use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::api::auth::{
    ServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation,
    save_startup_parameters_to_metadata,
};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::startup::{SecretKey, Startup};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures::Sink;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

/// Parameters of the startup message that are no settings.
const NO_SETTINGS: [&str; 3] = ["user", "database", "options"];

/// Accepts the settings of the startup message.
pub(super) struct ConnectionStartup {
    settings: Arc<SessionSettings>,
    pid: i32,
    secret: SecretKey,
}

impl ConnectionStartup {
    /// A startup whose settings go to `settings`. The client gets `pid` and `secret`, with which it can cancel its statements.
    pub(super) fn new(settings: Arc<SessionSettings>, pid: i32, secret: SecretKey) -> Self {
        Self { settings, pid, secret }
    }

    /// Accepts the settings of the message.
    fn accept(&self, message: &Startup) -> PgWireResult<()> {
        let parameters = &message.parameters;
        let text = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
        let database = match text("database") {
            "" => text("user"),
            database => database,
        };
        self.settings.log_in(text("user"), database);
        if matches!(text("replication"), "on" | "true" | "yes" | "1" | "database") {
            return Err(client_error("0A000", "there is no replication here", None));
        }
        let named = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // Names that begin with `_pq_.` are options of the protocol itself.
        let settings = named.filter(|(name, _)| {
            !NO_SETTINGS.contains(name) && *name != "replication" && !name.starts_with("_pq_.")
        });
        let options = options(text("options"))?;
        let options = options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.settings.start(settings.chain(options))
    }
}

/// The settings in options such as `-c statement_timeout=5s --search_path=public`.
fn options(text: &str) -> PgWireResult<Vec<(String, String)>> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => words.last_mut().into_iter().for_each(|word| word.extend(characters.next())),
            c if c.is_ascii_whitespace() => words.push(String::new()),
            c => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let assignment = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            Some("") => words.next(),
            Some(assignment) => Some(assignment.to_owned()),
            None => None,
        };
        let pair = assignment.as_deref().and_then(|assignment| assignment.split_once('='));
        let Some((name, value)) = pair else {
            let message =
                format!("the option {word:?} is not one of -c NAME=VALUE and --NAME=VALUE");
            return Err(client_error("22023", message, None));
        };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

#[async_trait]
impl StartupHandler for ConnectionStartup {
    async fn on_startup<C>(
        &self,
        client: &mut C,
        message: PgWireFrontendMessage,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let PgWireFrontendMessage::Startup(startup) = &message else { return Ok(()) };
        self.accept(startup).map_err(fatal)?;
        protocol_negotiation(client, startup).await?;
        save_startup_parameters_to_metadata(client, startup);
        client.set_pid_and_secret_key(self.pid, self.secret.clone());
        finish_authentication(client, &ReportedSettings(Arc::clone(&self.settings))).await
    }
}

/// Tells the client the values of the settings when the connection begins.
#[derive(Debug)]
struct ReportedSettings(Arc<SessionSettings>);

impl ServerParameterProvider for ReportedSettings {
    fn server_parameters<C: ClientInfo>(&self, _client: &C) -> Option<HashMap<String, String>> {
        let reported = self.0.initial_reports().into_iter();
        let mut all: HashMap<String, String> =
            reported.map(|(name, value)| (name.to_owned(), value)).collect();
        for (name, value) in [
            ("server_version", SERVER_VERSION),
            ("server_encoding", "UTF8"),
            ("integer_datetimes", "on"),
            ("in_hot_standby", "off"),
            ("is_superuser", "off"),
            ("default_transaction_read_only", "on"),
            ("standard_conforming_strings", "on"),
        ] {
            all.insert(name.to_owned(), value.to_owned());
        }
        all.insert("session_authorization".to_owned(), self.0.user());
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_settings() {
        assert_eq!(
            options(" -c statement_timeout=5s --search-path=public\\ -cTimeZone=UTC")
                .expect("settings"),
            [
                ("statement_timeout".to_owned(), "5s".to_owned()),
                ("search_path".to_owned(), "public -cTimeZone=UTC".to_owned()),
            ]
        );
        assert!(options("-v").is_err());
        assert!(options("").expect("none").is_empty());
    }
}
