//! Finds accounts that the configuration names and of which no event comes while others speak: members of a resource
//! directory whose events were never delivered, or are delivered no more.

use crate::finding::match_rows;
use datafusion::arrow::array::Array;
use std::collections::{BTreeMap, BTreeSet};
use trailhound_datasets::layout::{DAY_MICROS, day_text};
use trailhound_queries::limits::SessionError;
use trailhound_queries::session::Session;

/// Account and day of each account and day with events; days are counted from 1970 UTC.
const DAYS_SQL: &str = "SELECT DISTINCT account_id, CAST(floor(date_part('epoch', event_time) / 86400) AS BIGINT) AS day \
     FROM events WHERE account_id IS NOT NULL AND event_time IS NOT NULL";

/// The days on which each account has events, counted from 1970 UTC, by account id.
pub type AccountDays = BTreeMap<String, BTreeSet<i64>>;

/// An account of which no event comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentAccount {
    /// Its id.
    pub account_id: String,
    /// Its name in the configuration.
    pub name: String,
    /// The last day of which the lake has an event of it, `YYYY-MM-DD`; `None` where it has none at all.
    pub last_seen: Option<String>,
    /// The last day of which the lake has an event of another account.
    pub others_seen: String,
}

/// Reads the days of each account from the lake, up to `now` (microseconds since 1970 UTC): an event with a wrong year says
/// nothing.
///
/// # Errors
/// [`SessionError`].
pub async fn account_days(session: &Session, now: i64) -> Result<AccountDays, SessionError> {
    let today = now.div_euclid(DAY_MICROS);
    let mut days = AccountDays::new();
    for batch in session.sql(DAYS_SQL).await?.collect().await? {
        let accounts = match_rows::utf8(batch.column(0)).map_err(SessionError::from)?;
        let numbers = match_rows::int64(batch.column(1)).map_err(SessionError::from)?;
        for row in 0..accounts.len() {
            if numbers.value(row) <= today {
                days.entry(accounts.value(row).to_owned()).or_default().insert(numbers.value(row));
            }
        }
    }
    Ok(days)
}

/// The `accounts` (names by id) that are silent. An account of which nothing ever came is silent once the others have spoken
/// on two days. One that has spoken is silent after its longest pause so far, and at least one whole day.
#[must_use]
pub fn silent_accounts(
    days: &AccountDays,
    accounts: &BTreeMap<String, String>,
) -> Vec<SilentAccount> {
    let mut silent = Vec::new();
    for (account_id, name) in accounts {
        let others = days.iter().filter(|(other, _)| *other != account_id);
        let others: BTreeSet<i64> = others.flat_map(|(_, days)| days).copied().collect();
        let (Some(first), Some(newest)) = (others.first(), others.last()) else { continue };
        let own = days.get(account_id);
        let last = own.and_then(|days| days.last());
        let is_silent = match (own, last) {
            (Some(own), Some(last)) => newest - last > longest_pause(own).max(1),
            _ => newest > first,
        };
        if is_silent {
            silent.push(SilentAccount {
                account_id: account_id.clone(),
                name: name.clone(),
                last_seen: last.map(|day| text(*day)),
                others_seen: text(*newest),
            });
        }
    }
    silent
}

/// The most days from one day with events to the next.
fn longest_pause(days: &BTreeSet<i64>) -> i64 {
    days.iter().zip(days.iter().skip(1)).map(|(day, next)| next - day).max().unwrap_or_default()
}

fn text(day: i64) -> String {
    day_text(i32::try_from(day).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_silent_after_its_longest_pause() {
        let days = |days: &[(&str, &[i64])]| -> AccountDays {
            days.iter()
                .map(|(id, days)| ((*id).to_owned(), days.iter().copied().collect()))
                .collect()
        };
        let of = |spoken: &[(&str, &[i64])], named: &[&str]| -> Vec<(String, Option<String>)> {
            let accounts = named.iter().map(|id| ((*id).to_owned(), "n".to_owned())).collect();
            let silent = silent_accounts(&days(spoken), &accounts);
            silent.into_iter().map(|silent| (silent.account_id, silent.last_seen)).collect()
        };
        let seen = |day: &str| Some(day.to_owned());
        let busy: &[i64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        // Nothing ever came of `b`.
        assert_eq!(of(&[("a", busy)], &["a", "b"]), [("b".to_owned(), None)]);
        assert!(of(&[("a", &[5])], &["a", "b"]).is_empty(), "one day says nothing");
        assert!(of(&[], &["a", "b"]).is_empty());
        // `b` has stopped; today may be its first silent day.
        let stopped = [("b".to_owned(), seen("1970-01-08"))];
        assert_eq!(of(&[("a", busy), ("b", &[5, 6, 7])], &["b"]), stopped);
        assert!(of(&[("a", busy), ("b", &[6, 7, 8])], &["b"]).is_empty());
        // `b` speaks every fourth day.
        assert!(of(&[("a", busy), ("b", &[1, 5])], &["b"]).is_empty());
        assert_eq!(of(&[("a", busy), ("b", &[0, 4])], &["b"]).len(), 1);
        // Where all are silent, nobody is.
        assert!(of(&[("a", &[1, 2]), ("b", &[1, 2])], &["a", "b"]).is_empty());
        assert!(of(&[("a", busy)], &["a"]).is_empty(), "nobody else speaks");
    }
}
