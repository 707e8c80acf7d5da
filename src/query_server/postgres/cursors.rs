//! Cursors: the rows of a query, which the client fetches in parts and in any direction. The query
//! has run to its end when the cursor is declared, as for every other answer.

use super::answers::Answer;
use super::errors::client_error;
use datafusion_postgres::pgwire::error::PgWireError;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// What DECLARE says about a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CursorOptions {
    /// Name of the cursor.
    pub(super) name: String,
    /// Rows are sent in the binary format.
    pub(super) binary: bool,
    /// It may move backwards.
    pub(super) scroll: bool,
    /// It stays open after its transaction.
    pub(super) hold: bool,
}

/// Where FETCH and MOVE go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// This many rows on; a negative number goes back.
    Forward(i64),
    /// To the row with this number, from 1; a negative number counts from the end.
    Absolute(i64),
    /// To the row this many rows from the current one.
    Relative(i64),
}

/// An open cursor.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) options: CursorOptions,
    /// The text of its statement.
    pub(super) statement: String,
    pub(super) answer: Answer,
    /// The transaction in which it was declared is committed.
    pub(super) is_committed: bool,
    /// 0 is before the first row, n on row n, the number of rows plus 1 after the last.
    position: usize,
}

/// The open cursors of a connection, by name.
pub(super) type OpenCursors = Arc<Mutex<BTreeMap<String, Cursor>>>;

/// Rows of a cursor that FETCH returns.
pub(super) struct FetchedRows {
    /// Their places among the rows of the cursor, from 0.
    pub(super) rows: Range<usize>,
    /// They are returned from the last to the first.
    pub(super) backwards: bool,
}

impl Cursor {
    /// A cursor before the first row of `answer`.
    pub(super) fn new(options: CursorOptions, statement: String, answer: Answer) -> Self {
        Self { options, statement, answer, is_committed: false, position: 0 }
    }

    /// Moves the cursor. Returns the rows on its way.
    ///
    /// # Errors
    /// The cursor may not move backwards.
    pub(super) fn advance(&mut self, direction: Direction) -> Result<FetchedRows, PgWireError> {
        let rows = self.answer.rows();
        let before = self.position;
        // The last row that is passed, and whether one row only is asked for.
        let target = |place: i128| place.clamp(0, rows as i128 + 1) as usize;
        let (to, single) = match direction {
            Direction::Forward(0) | Direction::Relative(0) => (before, true),
            Direction::Forward(count) => (target(before as i128 + i128::from(count)), false),
            Direction::Relative(count) => (target(before as i128 + i128::from(count)), true),
            Direction::Absolute(row) if row < 0 => {
                (target(rows as i128 + 1 + i128::from(row)), true)
            }
            Direction::Absolute(row) => (target(i128::from(row)), true),
        };
        let stays =
            to == before && matches!(direction, Direction::Forward(0) | Direction::Relative(0));
        if !self.options.scroll && (to < before || stays && before > 0) {
            let name = &self.options.name;
            let message =
                format!("cursor {name:?} can only scan forward; declare it with SCROLL to go back");
            return Err(client_error("55000", message, None));
        }
        self.position = to;
        let on_row = (1..=rows).contains(&to);
        if single {
            let rows = if on_row { to - 1..to } else { 0..0 };
            return Ok(FetchedRows { rows, backwards: false });
        }
        Ok(if to >= before {
            FetchedRows { rows: before.min(rows)..to.min(rows), backwards: false }
        } else {
            FetchedRows { rows: to.max(1) - 1..before - 1, backwards: true }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_moves_as_in_postgresql() {
        let options = CursorOptions { name: "c".into(), binary: false, scroll: true, hold: false };
        let mut cursor = Cursor::new(options, String::new(), Answer::of_numbers(5));
        let mut fetch = |direction| {
            let fetched = cursor.advance(direction).expect("moved");
            let mut rows: Vec<usize> = fetched.rows.map(|row| row + 1).collect();
            if fetched.backwards {
                rows.reverse();
            }
            rows
        };
        // What PostgreSQL answers for a cursor over generate_series(1, 5).
        assert_eq!(fetch(Direction::Forward(2)), [1, 2]);
        assert_eq!(fetch(Direction::Forward(0)), [2]);
        assert_eq!(fetch(Direction::Relative(2)), [4]);
        assert_eq!(fetch(Direction::Forward(-2)), [3, 2]);
        assert_eq!(fetch(Direction::Forward(i64::MAX)), [3, 4, 5]);
        assert_eq!(fetch(Direction::Forward(1)), [0; 0]);
        assert_eq!(fetch(Direction::Forward(-1)), [5]);
        assert_eq!(fetch(Direction::Absolute(1)), [1]);
        assert_eq!(fetch(Direction::Absolute(-1)), [5]);
        assert_eq!(fetch(Direction::Absolute(0)), [0; 0]);
        assert_eq!(fetch(Direction::Forward(1)), [1]);
        assert_eq!(fetch(Direction::Forward(i64::MAX)), [2, 3, 4, 5]);
        assert_eq!(fetch(Direction::Forward(-i64::MAX)), [5, 4, 3, 2, 1]);
        assert_eq!(fetch(Direction::Forward(-1)), [0; 0]);
    }

    #[test]
    fn a_cursor_without_scroll_only_goes_on() {
        let options = CursorOptions { name: "c".into(), binary: false, scroll: false, hold: false };
        let mut cursor = Cursor::new(options, String::new(), Answer::of_numbers(3));
        assert!(cursor.advance(Direction::Forward(2)).is_ok());
        assert!(cursor.advance(Direction::Forward(-1)).is_err());
        assert!(cursor.advance(Direction::Absolute(1)).is_err());
        assert!(cursor.advance(Direction::Absolute(3)).is_ok());
    }
}
