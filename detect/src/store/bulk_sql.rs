//! SQL statements over many rows at once. Each statement is a round trip to the catalog database,
//! and a run can store many findings.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};

/// Rows per statement. SQLite looks up each parameter's name among all of them, so that far more rows would cost more than
/// they save.
pub(crate) const ROWS: usize = 32;

/// Repeats `row` `rows` times and numbers its `?`, beginning after `before` other parameters: `(?, 0)` becomes
/// `($1, 0), ($2, 0)`.
pub(crate) fn values(row: &str, rows: usize, before: usize) -> String {
    let mut number = before;
    let mut out = String::new();
    for at in 0..rows {
        out.push_str(if at == 0 { "" } else { ", " });
        for (part, text) in row.split('?').enumerate() {
            if part > 0 {
                number += 1;
                out.push_str(&format!("${number}"));
            }
            out.push_str(text);
        }
    }
    out
}

/// Creates a query from the `text` of a statement over `rows` rows. Connections cache the
/// statements over one row and over [`ROWS`] rows. Statements over other numbers of rows are rarely
/// repeated.
pub(crate) fn statement<'q>(text: String, rows: usize) -> Query<'q, Any, AnyArguments> {
    sqlx::query(AssertSqlSafe(text)).persistent(rows == 1 || rows == ROWS)
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn every_value_has_a_number_of_its_own() {
        assert_eq!(values("(?, $1, ?)", 2, 1), "($2, $1, $3), ($4, $1, $5)");
        assert_eq!(values("(?)", 1, 0), "($1)");
    }
}
