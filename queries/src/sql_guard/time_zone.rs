//! Statements about the time zone of a session: `SET TIME ZONE 'Asia/Shanghai'`, `SHOW TIME ZONE`.

use super::error::{QueryError, QueryErrorCode};
use datafusion::sql::sqlparser::ast::{ContextModifier, Expr, Set, Statement, Value};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// A statement about the time zone of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeZoneStatement {
    /// Sets the zone with this name.
    Set(String),
    /// Shows the zone.
    Show,
}

impl TimeZoneStatement {
    /// Reads `text`. `None` for every other statement.
    ///
    /// # Errors
    /// [`QueryError`] where the zone is not given by its name, or only for a transaction.
    pub fn parse(text: &str) -> Result<Option<Self>, QueryError> {
        let first = text.split_whitespace().next().unwrap_or_default();
        if !["set", "show", "reset"].iter().any(|word| first.eq_ignore_ascii_case(word)) {
            return Ok(None);
        }
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, text).unwrap_or_default();
        let Ok([statement]) = <[Statement; 1]>::try_from(statements) else { return Ok(None) };
        match statement {
            Statement::Set(Set::SetTimeZone { local, value }) => Self::set(local, &value).map(Some),
            Statement::Set(Set::SingleAssignment { scope, variable, values, .. })
                if variable.to_string().eq_ignore_ascii_case("timezone") =>
            {
                let [value] = values.as_slice() else { return Err(unnamed("a list")) };
                Self::set(matches!(scope, Some(ContextModifier::Local)), value).map(Some)
            }
            Statement::ShowVariable { variable } => {
                let name: Vec<String> =
                    variable.iter().map(|part| part.value.to_lowercase()).collect();
                let shows = matches!(name.join(" ").as_str(), "timezone" | "time zone");
                Ok(shows.then_some(Self::Show))
            }
            _ => Ok(None),
        }
    }

    /// True where `text` sets the time zone.
    #[must_use]
    pub fn is_set(text: &str) -> bool {
        matches!(Self::parse(text), Ok(Some(Self::Set(_))))
    }

    fn set(local: bool, value: &Expr) -> Result<Self, QueryError> {
        if local {
            let message =
                "SET LOCAL is not supported: there are no transactions here; use SET TIME ZONE";
            return Err(QueryError::new(QueryErrorCode::StatementNotAllowed, message));
        }
        let name = match value {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(name) => name.clone(),
                other => return Err(unnamed(&other.to_string())),
            },
            Expr::Identifier(ident) => ident.value.clone(),
            other => return Err(unnamed(&other.to_string())),
        };
        let is_default = ["default", "local"].iter().any(|word| name.eq_ignore_ascii_case(word));
        Ok(Self::Set(if is_default { "UTC".to_owned() } else { name }))
    }
}

fn unnamed(value: &str) -> QueryError {
    let message = format!(
        "a time zone is given by its name, such as 'Asia/Shanghai' or 'UTC', not as {value}"
    );
    QueryError::new(QueryErrorCode::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_set_by_its_name() {
        let set = |name: &str| Ok(Some(TimeZoneStatement::Set(name.to_owned())));
        for (text, expected) in [
            ("SET TIME ZONE 'Asia/Shanghai'", set("Asia/Shanghai")),
            ("SET SESSION TIMEZONE TO 'Asia/Shanghai'", set("Asia/Shanghai")),
            ("set timezone = UTC", set("UTC")),
            ("SET TIME ZONE DEFAULT", set("UTC")),
            ("SHOW TimeZone", Ok(Some(TimeZoneStatement::Show))),
            ("SHOW TIME ZONE", Ok(Some(TimeZoneStatement::Show))),
            ("SHOW TABLES", Ok(None)),
            ("SELECT 1", Ok(None)),
        ] {
            assert_eq!(TimeZoneStatement::parse(text), expected, "{text}");
        }
        for refused in
            ["SET TIME ZONE 8", "SET LOCAL TIME ZONE 'UTC'", "SET TIME ZONE INTERVAL '8' HOUR"]
        {
            assert!(TimeZoneStatement::parse(refused).is_err(), "{refused}");
        }
    }
}
