//! The settings of a PostgreSQL connection. A SET to a value that the server cannot follow is
//! refused. Some settings have no effect; their description says so. SHOW, `current_setting` and
//! `pg_settings` return the values in force.

use super::errors::client_error;
use super::values::{self, Refusal};
use datafusion_postgres::pgwire::error::PgWireError;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The version of the server. Clients choose by it which statements they send.
pub(super) const SERVER_VERSION: &str =
    concat!("16.6 (Trailhound ", env!("CARGO_PKG_VERSION"), ")");
/// The version of the server as one number.
pub(super) const SERVER_VERSION_NUMBER: &str = "160006";
/// The schema of all tables and views.
pub(super) const SCHEMA: &str = "public";
/// The schema of PostgreSQL's own tables.
pub(super) const PG_CATALOG: &str = "pg_catalog";

/// Name of the setting: isolation level of the current transaction.
const ISOLATION: &str = "transaction_isolation";
/// Name of the setting: isolation level of new transactions.
const DEFAULT_ISOLATION: &str = "default_transaction_isolation";

/// A setting.
pub(super) struct Setting {
    /// The name as SHOW writes it.
    pub(super) name: &'static str,
    /// The value if the client sets no other.
    pub(super) default: &'static str,
    /// Which values are accepted.
    rule: Rule,
    /// What the setting does.
    pub(super) meaning: &'static str,
}

/// Which values of a setting are accepted.
#[derive(Clone, Copy)]
enum Rule {
    /// Only the default.
    Fixed,
    /// Any text.
    Text,
    /// Any boolean; the setting has no effect.
    Boolean,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A duration such as `30s`; without a unit, milliseconds.
    Duration,
    /// A whole number in this range.
    Number(i64, i64),
    /// `ISO`, with an order of day, month and year.
    DateStyle,
    /// UTF-8 under any of its names.
    Encoding,
    /// A list of schemas.
    SearchPath,
    /// A zone of the time zone database.
    TimeZone,
}

const fn fixed(name: &'static str, default: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default, rule: Rule::Fixed, meaning }
}

const fn setting(
    name: &'static str,
    default: &'static str,
    rule: Rule,
    meaning: &'static str,
) -> Setting {
    Setting { name, default, rule, meaning }
}

const LEVELS: &[&str] = &["read committed", "read uncommitted", "repeatable read", "serializable"];
const MESSAGE_LEVELS: &[&str] = &[
    "notice", "debug5", "debug4", "debug3", "debug2", "debug1", "log", "info", "warning", "error",
];

/// Every setting, in the order of SHOW ALL.
pub(super) const SETTINGS: [Setting; 50] = [
    setting("application_name", "", Rule::Text, "Name of the client."),
    fixed("array_nulls", "on", "NULL in the text of an array is a missing value."),
    fixed("backslash_quote", "safe_encoding", "A backslash quotes nothing."),
    fixed("block_size", "8192", "Size of a disk block."),
    setting("bytea_output", "hex", Rule::OneOf(&["hex", "escape"]), "Text of binary values."),
    setting("client_encoding", "UTF8", Rule::Encoding, "Encoding of all texts."),
    setting(
        "client_min_messages",
        "notice",
        Rule::OneOf(MESSAGE_LEVELS),
        "No effect: the server sends no notices.",
    ),
    setting("DateStyle", "ISO, MDY", Rule::DateStyle, "Text of dates and times."),
    setting(
        DEFAULT_ISOLATION,
        "read committed",
        Rule::OneOf(LEVELS),
        "Isolation level of new transactions.",
    ),
    setting(
        "default_transaction_deferrable",
        "off",
        Rule::Boolean,
        "No effect: no transaction waits for another.",
    ),
    fixed("default_transaction_read_only", "on", "Transactions only read."),
    fixed("default_table_access_method", "heap", "Access method of tables."),
    fixed("default_tablespace", "", "There is one tablespace."),
    setting("escape_string_warning", "on", Rule::Boolean, "No effect: there are no warnings."),
    setting(
        "extra_float_digits",
        "1",
        Rule::Number(-15, 3),
        "Digits of floating-point numbers; above 0 the shortest text that is exact.",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        "0",
        Rule::Duration,
        "Ends a connection that is idle in a transaction for longer; 0 is never.",
    ),
    setting(
        "idle_session_timeout",
        "0",
        Rule::Duration,
        "Ends a connection that is idle for longer; 0 is never.",
    ),
    fixed("in_hot_standby", "off", "The server is not a standby."),
    fixed("integer_datetimes", "on", "Times are whole microseconds."),
    setting(
        "IntervalStyle",
        "postgres",
        Rule::OneOf(&["postgres", "iso_8601"]),
        "Text of intervals.",
    ),
    fixed("is_superuser", "off", "The user only reads."),
    fixed("jit", "off", "Statements are not compiled."),
    fixed("lc_collate", "C", "Texts are compared by code point."),
    fixed("lc_ctype", "C", "Classes of characters."),
    fixed("lc_messages", "C", "Language of messages."),
    fixed("lc_monetary", "C", "Format of amounts of money."),
    fixed("lc_numeric", "C", "Format of numbers."),
    fixed("lc_time", "C", "Names of days and months."),
    setting("lock_timeout", "0", Rule::Duration, "No effect: nothing is locked."),
    fixed("max_connections", "16", "Maximum number of open connections."),
    fixed("max_identifier_length", "63", "Maximum length of a name."),
    fixed("max_index_keys", "32", "Maximum number of columns of an index."),
    fixed("password_encryption", "scram-sha-256", "How passwords are stored."),
    fixed("role", "none", "The role of SET ROLE; there is none."),
    setting("row_security", "on", Rule::Boolean, "No effect: no table has row security."),
    setting(
        "search_path",
        "\"$user\", public",
        Rule::SearchPath,
        "Schemas searched for unqualified names.",
    ),
    fixed("server_encoding", "UTF8", "Encoding of all texts."),
    fixed("server_version", SERVER_VERSION, "Version of the server."),
    fixed("server_version_num", SERVER_VERSION_NUMBER, "Version of the server as a number."),
    fixed("session_replication_role", "origin", "Nothing is replicated."),
    fixed("standard_conforming_strings", "on", "A backslash in '...' is a backslash."),
    setting(
        "statement_timeout",
        "0",
        Rule::Duration,
        "Maximum time of a statement; 0 is no limit.",
    ),
    setting(
        "synchronous_commit",
        "on",
        Rule::OneOf(&["on", "off", "local", "remote_write", "remote_apply"]),
        "No effect: nothing is written.",
    ),
    fixed("synchronize_seqscans", "on", "Rows have no order without ORDER BY."),
    setting("TimeZone", "UTC", Rule::TimeZone, "Time zone of times."),
    setting("transaction_deferrable", "off", Rule::Boolean, "No effect."),
    setting(
        ISOLATION,
        "read committed",
        Rule::OneOf(LEVELS),
        "Isolation level of this transaction.",
    ),
    fixed("transaction_read_only", "on", "Transactions only read."),
    fixed("xmlbinary", "base64", "There are no XML values."),
    fixed("xmloption", "content", "There are no XML values."),
];

/// Settings whose changes the protocol reports to the client.
const REPORTED: [&str; 8] = [
    "application_name",
    "client_encoding",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "search_path",
    "extra_float_digits",
    "bytea_output",
];

/// Values that were set, by the name of the setting.
type Values = BTreeMap<&'static str, String>;

/// Who is connected, and to what.
#[derive(Debug, Default)]
struct Login {
    user: String,
    database: String,
}

/// The values that SET has set; a savepoint keeps a copy, to restore them.
#[derive(Debug, Clone, Default)]
struct State {
    /// Values until the connection ends.
    session: Values,
    /// Values until the end of the transaction.
    local: Values,
}

#[derive(Debug, Default)]
struct Inner {
    login: Login,
    /// The number of the snapshot that was read last.
    snapshot: Option<i64>,
    /// Values of the client's startup message.
    startup: Values,
    now: State,
    /// `session` as it was before the transaction; `None` outside of one.
    before: Option<Values>,
    savepoints: Vec<(String, State)>,
    /// The values of the settings in `REPORTED` that the client was last told.
    reported: BTreeMap<&'static str, String>,
}

/// The settings of one connection.
#[derive(Debug, Default)]
pub(super) struct SessionSettings(Mutex<Inner>);

/// Until when the value of a SET is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SettingScope {
    /// Until the connection ends.
    Session,
    /// Until the transaction ends.
    Transaction,
}

/// The setting with this name; upper and lower case are the same.
fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

/// The error for a name that is no setting.
fn unknown(name: &str) -> PgWireError {
    client_error(
        "42704",
        format!("`{name}` cannot be set here, and has no value; SHOW ALL lists the settings"),
        None,
    )
}

impl Inner {
    fn value(&self, setting: &Setting) -> String {
        let of_transaction = self.now.local.get(setting.name);
        let value = of_transaction
            .or_else(|| self.now.session.get(setting.name))
            .or_else(|| self.startup.get(setting.name));
        match (value, setting.name) {
            (Some(value), _) => value.clone(),
            (None, ISOLATION) => find(DEFAULT_ISOLATION).map(|s| self.value(s)).unwrap_or_default(),
            (None, _) => setting.default.to_owned(),
        }
    }
}

impl SessionSettings {
    /// Stores the names of the user and the database of the connection.
    pub(super) fn log_in(&self, user: &str, database: &str) {
        self.inner().login = Login { user: user.to_owned(), database: database.to_owned() };
    }

    /// The name of the user.
    pub(super) fn user(&self) -> String {
        self.inner().login.user.clone()
    }

    /// The name of the database that the client gave. The server has one database, under any name.
    pub(super) fn database(&self) -> String {
        self.inner().login.database.clone()
    }

    /// Stores the number of the snapshot that a statement reads.
    pub(super) fn see_snapshot(&self, number: Option<i64>) {
        self.inner().snapshot = number;
    }

    /// The number of the snapshot that was read last.
    pub(super) fn snapshot(&self) -> Option<i64> {
        self.inner().snapshot
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of the setting `name`; upper and lower case are the same. `None` if there is no
    /// such setting.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        find(name).map(|setting| self.inner().value(setting))
    }

    /// The name of a setting as SHOW writes it, and its value.
    ///
    /// # Errors
    /// There is no such setting.
    pub(super) fn show(&self, name: &str) -> Result<(&'static str, String), PgWireError> {
        let setting = find(name).ok_or_else(|| unknown(name))?;
        Ok((setting.name, self.inner().value(setting)))
    }

    /// Sets the values of the startup message.
    ///
    /// # Errors
    /// There is no such setting, or the value is refused. The caller then ends the connection.
    pub(super) fn start<'v>(
        &self,
        values: impl Iterator<Item = (&'v str, &'v str)>,
    ) -> Result<(), PgWireError> {
        for (name, value) in values {
            let setting = find(name).ok_or_else(|| unknown(name))?;
            let value = accepted(setting, value)?;
            self.inner().startup.insert(setting.name, value);
        }
        let mut inner = self.inner();
        inner.reported = reports(&inner);
        Ok(())
    }

    /// The values of the settings in `REPORTED` when the connection begins, for the client.
    pub(super) fn initial_reports(&self) -> BTreeMap<&'static str, String> {
        self.inner().reported.clone()
    }

    /// The settings in `REPORTED` whose values the client has not been told yet.
    pub(super) fn changed_reports(&self) -> Vec<(&'static str, String)> {
        let mut inner = self.inner();
        let now = reports(&inner);
        let changed = now
            .iter()
            .filter(|(name, value)| inner.reported.get(*name) != Some(*value))
            .map(|(name, value)| (*name, value.clone()))
            .collect();
        inner.reported = now;
        changed
    }

    /// Sets `name` to `value`; `None` is the value at the beginning of the connection.
    /// Outside of a transaction, a value for the transaction has no effect.
    ///
    /// # Errors
    /// There is no such setting, or the value is refused.
    pub(super) fn set(
        &self,
        name: &str,
        value: Option<&str>,
        scope: SettingScope,
    ) -> Result<(), PgWireError> {
        let setting = find(name).ok_or_else(|| unknown(name))?;
        let mut inner = self.inner();
        let value = match value {
            Some(value) => accepted(setting, value)?,
            None => inner
                .startup
                .get(setting.name)
                .cloned()
                .unwrap_or_else(|| setting.default.to_owned()),
        };
        // The isolation level belongs to the transaction.
        let of_transaction = scope == SettingScope::Transaction || setting.name == ISOLATION;
        if of_transaction {
            // Outside of a transaction it ends at once.
            if inner.before.is_some() {
                inner.now.local.insert(setting.name, value);
            }
        } else {
            inner.now.local.remove(setting.name);
            inner.now.session.insert(setting.name, value);
        }
        Ok(())
    }

    /// Sets every setting to the value at the beginning of the connection.
    pub(super) fn reset_all(&self) {
        self.inner().now = State::default();
    }

    /// Begins a transaction: keeps the values that a rollback restores.
    pub(super) fn begin(&self) {
        let mut inner = self.inner();
        if inner.before.is_none() {
            inner.before = Some(inner.now.session.clone());
        }
    }

    /// Ends the transaction. Restores the values before it, unless it is `committed`.
    pub(super) fn end(&self, committed: bool) {
        let mut inner = self.inner();
        if let Some(before) = inner.before.take()
            && !committed
        {
            inner.now.session = before;
        }
        inner.now.local.clear();
        inner.savepoints.clear();
    }

    /// Sets a savepoint: keeps the values that a rollback to it restores.
    pub(super) fn savepoint(&self, name: &str) {
        let mut inner = self.inner();
        let now = inner.now.clone();
        inner.savepoints.push((name.to_owned(), now));
    }

    /// Rolls back to the savepoint `name` if `undone`, or else releases it. Returns false if there
    /// is no such savepoint.
    pub(super) fn end_savepoint(&self, name: &str, undone: bool) -> bool {
        let mut inner = self.inner();
        let Some(at) = inner.savepoints.iter().rposition(|(known, _)| known == name) else {
            return false;
        };
        if undone {
            inner.now = inner.savepoints[at].1.clone();
            inner.savepoints.truncate(at + 1);
        } else {
            inner.savepoints.truncate(at);
        }
        true
    }

    /// True if all statements of the transaction read the same snapshot, by its isolation level.
    pub(super) fn is_snapshot_kept(&self) -> bool {
        matches!(self.get(ISOLATION).as_deref(), Some("repeatable read" | "serializable"))
    }

    /// The duration of a setting such as `statement_timeout`; `None` if it is 0, which is no limit.
    pub(super) fn timeout(&self, name: &str) -> Option<Duration> {
        let millis = values::milliseconds(&self.get(name)?).ok()?;
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// The schemas in which unqualified names are looked for, in order.
    pub(super) fn search_path(&self) -> Vec<String> {
        values::list(&self.get("search_path").unwrap_or_default())
    }
}

fn reports(inner: &Inner) -> BTreeMap<&'static str, String> {
    let reported = SETTINGS.iter().filter(|setting| REPORTED.contains(&setting.name));
    reported.map(|setting| (setting.name, inner.value(setting))).collect()
}

/// `value` in the spelling that is stored and shown.
///
/// # Errors
/// The setting does not accept the value.
fn accepted(setting: &Setting, value: &str) -> Result<String, PgWireError> {
    let accepted = match setting.rule {
        Rule::Fixed => values::fixed(value, setting.default),
        Rule::Text => Ok(value.to_owned()),
        Rule::Boolean => values::boolean(value),
        Rule::OneOf(words) => values::one_of(value, words),
        Rule::Duration => values::milliseconds(value).map(values::duration),
        Rule::Number(min, max) => values::number(value, min, max),
        Rule::DateStyle => values::date_style(value),
        Rule::Encoding => values::encoding(value),
        Rule::SearchPath => values::search_path(value),
        Rule::TimeZone => values::time_zone(value),
    };
    accepted.map_err(|refusal| {
        let name = setting.name;
        match refusal {
            Refusal::Invalid(expected) => client_error(
                "22023",
                format!("invalid value for `{name}`: {value:?}; expected {expected}"),
                None,
            ),
            Refusal::NotHere(holds) => client_error(
                "0A000",
                format!("`{name}` cannot be set to {value:?} here: it is {holds}"),
                None,
            ),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(error: &PgWireError) -> String {
        match error {
            PgWireError::UserError(info) => info.code.clone(),
            other => other.to_string(),
        }
    }

    #[test]
    fn a_setting_is_obeyed_or_refused() {
        let settings = SessionSettings::default();
        for (name, value, shown) in [
            ("datestyle", "iso, dmy", Ok("ISO, DMY")),
            ("DateStyle", "German", Err("0A000")),
            ("datestyle", "nonsense", Err("22023")),
            ("extra_float_digits", "3", Ok("3")),
            ("extra_float_digits", "4", Err("22023")),
            ("standard_conforming_strings", "true", Ok("on")),
            ("standard_conforming_strings", "off", Err("0A000")),
            ("default_transaction_read_only", "off", Err("0A000")),
            ("client_encoding", "unicode", Ok("UTF8")),
            ("client_encoding", "LATIN1", Err("0A000")),
            ("statement_timeout", "90000", Ok("90s")),
            ("statement_timeout", "1.5min", Ok("90s")),
            ("statement_timeout", "soon", Err("22023")),
            ("timezone", "asia/shanghai", Ok("Asia/Shanghai")),
            ("timezone", "+08", Err("22023")),
            ("search_path", "pg_catalog", Ok("pg_catalog")),
            ("search_path", "information_schema", Err("0A000")),
            ("work_mem", "64MB", Err("42704")),
        ] {
            let set = settings.set(name, Some(value), SettingScope::Session);
            let found = match &set {
                Ok(()) => Ok(settings.get(name).expect("a setting")),
                Err(error) => Err(state(error)),
            };
            let expected = shown.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(found, expected, "{name} = {value}");
        }
    }

    #[test]
    fn a_transaction_takes_its_settings_back() {
        let settings = SessionSettings::default();
        let set =
            |value, scope| settings.set("extra_float_digits", Some(value), scope).expect("set");
        let value = || settings.get("extra_float_digits").expect("a setting");
        set("2", SettingScope::Transaction);
        assert_eq!(value(), "1", "a local value holds only in a transaction");
        settings.begin();
        set("2", SettingScope::Transaction);
        assert_eq!(value(), "2");
        settings.savepoint("s");
        set("3", SettingScope::Session);
        assert_eq!(value(), "3");
        assert!(settings.end_savepoint("s", true));
        assert_eq!(value(), "2");
        set("0", SettingScope::Session);
        settings.end(false);
        assert_eq!(value(), "1");
        settings.begin();
        set("0", SettingScope::Session);
        settings.end(true);
        assert_eq!(value(), "0");
        settings.reset_all();
        assert_eq!(value(), "1");
    }

    #[test]
    fn settings_are_in_order_and_known_once() {
        let names: Vec<String> = SETTINGS.iter().map(|s| s.name.to_lowercase()).collect();
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        for setting in &SETTINGS {
            assert_eq!(accepted(setting, setting.default).expect(setting.name), setting.default);
        }
    }
}
