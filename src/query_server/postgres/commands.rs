//! The statements of clients, parsed: queries, and the commands for transactions, settings,
//! cursors, copies and the state of the connection.

use super::copy::{CopyOptions, copy_options};
use super::cursors::{CursorOptions, Direction};
use super::dialect::{Dialect, QueryStatement};
use super::settings::SettingScope;
use super::tokens::{StatementTokens, TokenReader, split};
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::tokenizer::Token;
use trailhound_queries::sql_guard::{QueryError, QueryErrorCode};

/// A statement of a client.
#[derive(Debug, Clone)]
pub(super) enum Command {
    /// A statement that returns rows of the lake or of the catalogue.
    Query(Box<QueryStatement>),
    /// BEGIN, with the isolation level.
    Begin(Option<String>),
    /// COMMIT; true starts the next transaction.
    Commit(bool),
    /// ROLLBACK; true starts the next transaction.
    Rollback(bool),
    /// SAVEPOINT.
    Savepoint(String),
    /// RELEASE.
    Release(String),
    /// ROLLBACK TO.
    RollbackTo(String),
    /// SET; without a value it is the default.
    Set { name: String, value: Option<String>, scope: SettingScope },
    /// SET TRANSACTION SNAPSHOT.
    SetSnapshot(String),
    /// RESET ALL.
    ResetAll,
    /// SHOW of a setting.
    Show(String),
    /// SHOW ALL.
    ShowAll,
    /// DISCARD ALL.
    DiscardAll,
    /// DISCARD PLANS and other statements that change nothing here; with the tag of the answer.
    Nothing(&'static str),
    /// DEALLOCATE of one statement, or of all.
    Deallocate(Option<String>),
    /// CLOSE of one cursor, or of all.
    Close(Option<String>),
    /// DECLARE of a cursor for a query.
    Declare { options: CursorOptions, query: Box<QueryStatement> },
    /// FETCH or MOVE.
    Fetch { name: String, direction: Direction, moves: bool },
    /// COPY ... TO STDOUT.
    Copy { query: Box<QueryStatement>, options: CopyOptions },
}

impl Command {
    /// True for a statement that a failed transaction accepts.
    pub(super) fn ends_failed_transaction(&self) -> bool {
        matches!(self, Self::Commit(_) | Self::Rollback(_) | Self::RollbackTo(_))
    }
}

/// Parses one statement.
///
/// # Errors
/// [`QueryError`]: it cannot be parsed, or asks for what is not offered.
pub(super) fn parse(statement: &StatementTokens, dialect: &Dialect) -> Result<Command, QueryError> {
    let query = |statement: &StatementTokens| {
        let query = dialect.parse(&statement.tokens, &statement.text)?;
        Ok(Command::Query(Box::new(query)))
    };
    let mut reader = TokenReader::new(&statement.tokens);
    let Some(Token::Word(word)) = reader.peek() else {
        return query(statement);
    };
    let word = if word.quote_style.is_some() { String::new() } else { word.value.to_lowercase() };
    // A query inside of a command is parsed on its own.
    let parse_query = |text: &str| match split(text)?.as_slice() {
        [one] => match dialect.parse(&one.tokens, &one.text)? {
            query if matches!(query.statement, Statement::Query(_)) => Ok(Box::new(query)),
            _ => Err(QueryError::new(QueryErrorCode::Syntax, "expected SELECT, WITH or VALUES")),
        },
        _ => Err(QueryError::new(QueryErrorCode::Syntax, "expected a query")),
    };
    let command =
        match word.as_str() {
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint"
            | "release" => transaction(&mut reader)?,
            "set" => set(&mut reader)?,
            "reset" => reset(&mut reader)?,
            "show" => match show(&mut reader)? {
                Some(command) => command,
                None => return query(statement),
            },
            "discard" | "deallocate" | "close" | "listen" | "unlisten" | "notify"
            | "checkpoint" => connection_state(&mut reader)?,
            "declare" => {
                let options = declare(&mut reader)?;
                let query = parse_query(statement.text_of(reader.rest()))?;
                return Ok(Command::Declare { options, query });
            }
            "fetch" | "move" => fetch(&mut reader)?,
            "copy" => {
                let (text, options) = copy(&mut reader, statement)?;
                Command::Copy { query: parse_query(&text)?, options }
            }
            _ => return query(statement),
        };
    reader.end()?;
    Ok(command)
}

fn transaction(reader: &mut TokenReader<'_>) -> Result<Command, QueryError> {
    let word = reader.name()?;
    if word == "savepoint" {
        return Ok(Command::Savepoint(reader.name()?));
    }
    if word == "release" {
        reader.skip_word("savepoint");
        return Ok(Command::Release(reader.name()?));
    }
    for unit in ["transaction", "work"] {
        if reader.skip_word(unit) {
            break;
        }
    }
    match word.as_str() {
        "begin" | "start" => Ok(Command::Begin(modes(reader)?)),
        "rollback" if reader.skip_word("to") => {
            reader.skip_word("savepoint");
            Ok(Command::RollbackTo(reader.name()?))
        }
        _ => {
            let mut chain = false;
            if reader.skip_word("and") {
                chain = !reader.skip_word("no");
                if !reader.skip_word("chain") {
                    return Err(reader.expected("CHAIN"));
                }
            }
            let commits = matches!(word.as_str(), "commit" | "end");
            Ok(if commits { Command::Commit(chain) } else { Command::Rollback(chain) })
        }
    }
}

/// Reads the modes of a transaction; returns its isolation level.
fn modes(reader: &mut TokenReader<'_>) -> Result<Option<String>, QueryError> {
    let mut level = None;
    while !reader.is_at_end() {
        if reader.skip_words(&["isolation", "level"]) {
            let words: &[&[&str]] = &[
                &["read", "committed"],
                &["read", "uncommitted"],
                &["repeatable", "read"],
                &["serializable"],
            ];
            let found = words.iter().find(|words| reader.skip_words(words));
            level = Some(found.ok_or_else(|| reader.expected("an isolation level"))?.join(" "));
        } else if reader.skip_words(&["read", "write"]) {
            return Err(QueryError::new(
                QueryErrorCode::StatementNotAllowed,
                "transactions only read here; leave out READ WRITE",
            ));
        } else if !(reader.skip_words(&["read", "only"])
            || reader.skip_words(&["not", "deferrable"])
            || reader.skip_word("deferrable"))
        {
            return Err(reader.expected("ISOLATION LEVEL, READ ONLY or DEFERRABLE"));
        }
        reader.skip(&Token::Comma);
    }
    Ok(level)
}

fn set(reader: &mut TokenReader<'_>) -> Result<Command, QueryError> {
    reader.next();
    let scope = if reader.skip_word("local") {
        SettingScope::Transaction
    } else {
        reader.skip_word("session");
        SettingScope::Session
    };
    if reader.skip_word("authorization") {
        let own = reader.skip_word("default");
        return if own { Ok(Command::Nothing("SET")) } else { Err(reader.expected("DEFAULT")) };
    }
    if reader.skip_words(&["characteristics", "as", "transaction"]) {
        let value = modes(reader)?;
        let name = "default_transaction_isolation".to_owned();
        return Ok(if value.is_some() {
            Command::Set { name, value, scope }
        } else {
            Command::Nothing("SET")
        });
    }
    if reader.skip_word("transaction") {
        if reader.skip_word("snapshot") {
            return Ok(Command::SetSnapshot(reader.text()?));
        }
        let (name, value) = ("transaction_isolation".to_owned(), modes(reader)?);
        return Ok(if value.is_some() {
            Command::Set { name, value, scope: SettingScope::Transaction }
        } else {
            Command::Nothing("SET")
        });
    }
    let name = if reader.skip_words(&["time", "zone"]) {
        "TimeZone".to_owned()
    } else if reader.skip_word("names") {
        "client_encoding".to_owned()
    } else if reader.is_word("role") {
        reader.name()?
    } else {
        let name = setting_name(reader)?;
        let short_form = name == "timezone";
        if !(reader.skip(&Token::Eq) || reader.skip_word("to") || short_form) {
            return Err(reader.expected("`=` or TO"));
        }
        name
    };
    let value = setting_value(reader)?;
    Ok(Command::Set { name, value, scope })
}

/// Reads the name of a setting, which may have dots.
fn setting_name(reader: &mut TokenReader<'_>) -> Result<String, QueryError> {
    let mut name = reader.name()?;
    while reader.skip(&Token::Period) {
        name = format!("{name}.{}", reader.name()?);
    }
    Ok(name)
}

/// Reads the value of a setting, which may be a list; `None` for DEFAULT.
fn setting_value(reader: &mut TokenReader<'_>) -> Result<Option<String>, QueryError> {
    if reader.rest().len() == 1 && (reader.skip_word("default") || reader.skip_word("local")) {
        return Ok(None);
    }
    let mut parts = Vec::new();
    loop {
        let sign = if reader.skip(&Token::Minus) { "-" } else { "" };
        parts.push(match reader.peek() {
            Some(Token::Number(digits, _)) => {
                reader.next();
                format!("{sign}{digits}")
            }
            Some(Token::Word(word)) => {
                reader.next();
                match word.quote_style {
                    Some(quote) => format!("{quote}{}{quote}", word.value),
                    None => word.value.clone(),
                }
            }
            _ => reader.text()?,
        });
        if !reader.skip(&Token::Comma) {
            break;
        }
    }
    Ok(Some(match parts.as_slice() {
        // A value of one part has no quotes, such as "UTC"; a list has them, such as "$user".
        [one]
            if one.len() > 1
                && one.starts_with('"')
                && one.ends_with('"')
                && !one.contains('$') =>
        {
            one[1..one.len() - 1].to_owned()
        }
        parts => parts.join(", "),
    }))
}

fn reset(reader: &mut TokenReader<'_>) -> Result<Command, QueryError> {
    reader.next();
    if reader.skip_word("all") {
        return Ok(Command::ResetAll);
    }
    if reader.skip_words(&["session", "authorization"]) {
        return Ok(Command::Nothing("RESET"));
    }
    let name = if reader.skip_words(&["time", "zone"]) {
        "TimeZone".to_owned()
    } else {
        setting_name(reader)?
    };
    Ok(Command::Set { name, value: None, scope: SettingScope::Session })
}

/// Words after SHOW that make it a query.
const SHOW_QUERIES: [&str; 6] = ["tables", "columns", "fields", "full", "extended", "views"];

/// Reads SHOW of a setting; `None` if it is a query such as SHOW TABLES.
fn show(reader: &mut TokenReader<'_>) -> Result<Option<Command>, QueryError> {
    reader.next();
    if SHOW_QUERIES.iter().any(|word| reader.is_word(word)) {
        return Ok(None);
    }
    Ok(Some(if reader.skip_word("all") {
        Command::ShowAll
    } else if reader.skip_words(&["time", "zone"]) {
        Command::Show("TimeZone".to_owned())
    } else if reader.skip_words(&["transaction", "isolation", "level"]) {
        Command::Show("transaction_isolation".to_owned())
    } else if reader.skip_words(&["session", "authorization"]) {
        Command::Show("session_authorization".to_owned())
    } else {
        Command::Show(setting_name(reader)?)
    }))
}

/// Reads a statement about the state of the connection.
fn connection_state(reader: &mut TokenReader<'_>) -> Result<Command, QueryError> {
    let one_or_all = |reader: &mut TokenReader<'_>| {
        if reader.skip_word("all") { Ok(None) } else { reader.name().map(Some) }
    };
    match reader.name()?.as_str() {
        "deallocate" => {
            reader.skip_word("prepare");
            Ok(Command::Deallocate(one_or_all(reader)?))
        }
        "close" => Ok(Command::Close(one_or_all(reader)?)),
        "discard" => {
            let parts: [(&str, Command); 5] = [
                ("all", Command::DiscardAll),
                ("plans", Command::Nothing("DISCARD PLANS")),
                ("sequences", Command::Nothing("DISCARD SEQUENCES")),
                ("temp", Command::Nothing("DISCARD TEMP")),
                ("temporary", Command::Nothing("DISCARD TEMP")),
            ];
            let found = parts.into_iter().find(|(word, _)| reader.skip_word(word));
            found
                .map(|(_, command)| command)
                .ok_or_else(|| reader.expected("ALL, PLANS, SEQUENCES or TEMP"))
        }
        // No channel is ever listened to.
        "unlisten" => {
            if !reader.skip(&Token::Mul) {
                reader.name()?;
            }
            Ok(Command::Nothing("UNLISTEN"))
        }
        other => Err(QueryError::new(
            QueryErrorCode::StatementNotAllowed,
            format!(
                "only statements that read are run; {} would wait for something that never happens here",
                other.to_uppercase()
            ),
        )),
    }
}

/// Reads DECLARE up to its query.
fn declare(reader: &mut TokenReader<'_>) -> Result<CursorOptions, QueryError> {
    reader.next();
    let name = reader.name()?;
    let (mut binary, mut scroll) = (false, true);
    loop {
        if reader.skip_word("binary") {
            binary = true;
        } else if reader.skip_words(&["no", "scroll"]) {
            scroll = false;
        } else if !(reader.skip_word("insensitive")
            || reader.skip_word("asensitive")
            || reader.skip_word("scroll"))
        {
            break;
        }
    }
    if !reader.skip_word("cursor") {
        return Err(reader.expected("CURSOR"));
    }
    let hold = reader.skip_words(&["with", "hold"]);
    if !hold {
        reader.skip_words(&["without", "hold"]);
    }
    if !reader.skip_word("for") {
        return Err(reader.expected("FOR"));
    }
    Ok(CursorOptions { name, binary, scroll, hold })
}

/// Reads FETCH or MOVE.
fn fetch(reader: &mut TokenReader<'_>) -> Result<Command, QueryError> {
    let moves = reader.name()? == "move";
    let count = |reader: &mut TokenReader<'_>| {
        if reader.skip_word("all") { i64::MAX } else { reader.number().unwrap_or(1) }
    };
    let direction = if reader.skip_word("next") {
        Direction::Forward(1)
    } else if reader.skip_word("prior") {
        Direction::Forward(-1)
    } else if reader.skip_word("first") {
        Direction::Absolute(1)
    } else if reader.skip_word("last") {
        Direction::Absolute(-1)
    } else if reader.skip_word("absolute") {
        Direction::Absolute(reader.number().ok_or_else(|| reader.expected("a number"))?)
    } else if reader.skip_word("relative") {
        Direction::Relative(reader.number().ok_or_else(|| reader.expected("a number"))?)
    } else if reader.skip_word("backward") {
        Direction::Forward(count(reader).saturating_neg())
    } else {
        reader.skip_word("forward");
        Direction::Forward(count(reader))
    };
    if !reader.skip_word("from") {
        reader.skip_word("in");
    }
    Ok(Command::Fetch { name: reader.name()?, direction, moves })
}

/// Reads COPY; returns the text of the query to copy. Only a copy to the client is offered.
fn copy(
    reader: &mut TokenReader<'_>,
    statement: &StatementTokens,
) -> Result<(String, CopyOptions), QueryError> {
    reader.next();
    let refused = || {
        QueryError::new(
            QueryErrorCode::StatementNotAllowed,
            "only statements that read are run; COPY reads a query or a table and writes TO STDOUT",
        )
    };
    let source = reader.rest();
    let mut depth = 0_usize;
    let length = source.iter().position(|token| {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        let at = TokenReader::new(std::slice::from_ref(token));
        depth == 0 && (at.is_word("to") || at.is_word("from"))
    });
    let (source, target) = source.split_at(length.ok_or_else(refused)?);
    *reader = TokenReader::new(target);
    if !(reader.skip_words(&["to", "stdout"])) {
        return Err(refused());
    }
    let options = copy_options(reader)?;
    let text = match source {
        [open, query @ .., close]
            if open.token == Token::LParen && close.token == Token::RParen =>
        {
            statement.text_of(query).to_owned()
        }
        table => {
            let columns = table.iter().position(|token| token.token == Token::LParen);
            let (table, columns) = table.split_at(columns.unwrap_or(table.len()));
            let columns = match columns {
                [_, names @ .., _] => statement.text_of(names),
                _ => "*",
            };
            format!("SELECT {columns} FROM {}", statement.text_of(table))
        }
    };
    Ok((text, options))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query_server::postgres::tokens::split;

    fn parsed(sql: &str) -> Result<String, QueryError> {
        let statement = split(sql)?.remove(0);
        parse(&statement, &Dialect::new()).map(|command| format!("{command:?}"))
    }

    #[test]
    fn commands_of_clients_are_parsed() {
        for (sql, says) in [
            (
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
                "read uncommitted",
            ),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "Nothing(\"SET\")"),
            ("SET SESSION TIMEZONE TO 'UTC'", "Set { name: \"timezone\", value: Some(\"UTC\")"),
            ("SET TIME ZONE DEFAULT", "value: None"),
            ("set search_path = \"$user\", public", "Some(\"\\\"$user\\\", public\")"),
            ("SET LOCAL statement_timeout = 100", "scope: Transaction"),
            ("SET NAMES 'UTF8'", "client_encoding"),
            (
                "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY, NOT DEFERRABLE",
                "Begin(Some(\"repeatable read\"))",
            ),
            ("START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY", "serializable"),
            ("END", "Commit(false)"),
            ("ABORT WORK", "Rollback(false)"),
            ("ROLLBACK TO SAVEPOINT a", "RollbackTo(\"a\")"),
            ("COMMIT AND CHAIN", "Commit(true)"),
            ("FETCH FORWARD 100 FROM \"C\"", "name: \"C\", direction: Forward(100)"),
            ("FETCH ALL IN c", "Forward(9223372036854775807)"),
            ("FETCH c", "Forward(1)"),
            ("FETCH -3 FROM c", "Forward(-3)"),
            ("FETCH BACKWARD ALL FROM c", "Forward(-9223372036854775807)"),
            ("MOVE ABSOLUTE 7 FROM c", "direction: Absolute(7), moves: true"),
            ("declare \"SQL_CUR0x1\" cursor with hold for SELECT 1", "hold: true"),
            ("DECLARE c NO SCROLL CURSOR FOR SELECT 1", "scroll: false"),
            ("COPY (SELECT 1) TO STDOUT (FORMAT \"binary\")", "Binary"),
            ("COPY events (event_id) TO STDOUT WITH CSV HEADER", "SELECT event_id FROM events"),
            ("DEALLOCATE PREPARE x", "Deallocate(Some(\"x\"))"),
            ("SHOW TRANSACTION ISOLATION LEVEL", "Show(\"transaction_isolation\")"),
            ("UNLISTEN *", "UNLISTEN"),
            ("RESET SESSION AUTHORIZATION", "Nothing"),
        ] {
            let command = parsed(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            let shown = if command.starts_with("Copy") && says.starts_with("SELECT") {
                let statement = split(sql).expect("tokens").remove(0);
                match parse(&statement, &Dialect::new()) {
                    Ok(Command::Copy { query, .. }) => query.statement.to_string(),
                    other => panic!("{other:?}"),
                }
            } else {
                command
            };
            assert!(shown.contains(says), "{sql}: {shown}");
        }
    }

    #[test]
    fn commands_that_are_not_offered_are_refused() {
        for (sql, says) in [
            ("COPY events FROM STDIN", "TO STDOUT"),
            ("COPY events TO '/tmp/x'", "TO STDOUT"),
            ("COPY (SELECT 1) TO PROGRAM 'rm'", "TO STDOUT"),
            ("BEGIN READ WRITE", "only read"),
            ("LISTEN x", "never happens"),
            ("FETCH ABSOLUTE FROM c", "expected a number"),
            ("SET x", "expected `=` or TO"),
            ("DISCARD EVERYTHING", "expected ALL"),
            ("SHOW", "expected a name"),
            ("COMMIT now", "expected the end"),
            ("COPY (SELECT 1) TO STDOUT (FORMAT parquet)", "text, csv or binary"),
        ] {
            match parsed(sql) {
                Err(error) => assert!(error.message.contains(says), "{sql}: {error}"),
                Ok(command) => panic!("{sql}: {command}"),
            }
        }
    }
}
