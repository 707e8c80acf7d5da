//! Statements about many rows at once: a statement is a message to the catalogue's database and back, and findings come in floods.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};

/// Rows of one statement. SQLite looks each value's name up among all of them: far more rows would cost more than they spare.
pub(crate) const ROWS: usize = 32;

/// `($1, 0), ($2, 0)`: so many times `row`, which is `(?, 0)`, each `?` with a number of its own behind those of `before` other values.
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

/// The statement, which is about so many rows. Connections remember those about one row or as many as there may be: of the others each is its own.
pub(crate) fn statement<'q>(text: String, rows: usize) -> Query<'q, Any, AnyArguments> {
    sqlx::query(AssertSqlSafe(text)).persistent(rows == 1 || rows == ROWS)
}

#[cfg(test)]
mod tests {
    use super::values;

    #[test]
    fn every_value_has_a_place_of_its_own() {
        assert_eq!(values("(?, $1, ?)", 2, 1), "($2, $1, $3), ($4, $1, $5)");
        assert_eq!(values("(?)", 1, 0), "($1)");
    }
}
