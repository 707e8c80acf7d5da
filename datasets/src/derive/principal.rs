//! The principal of a call: account, role and session.

use crate::event::{Event, Field, Flag};

/// Returns the account of `event`, from the first of these sources that has one: the identity, the
/// recipient, the object's path or the row around the event. The flag names the source if it is not
/// the identity.
#[must_use]
pub fn account<'a>(event: &'a Event<'_>) -> (Option<&'a str>, Option<Flag>) {
    if let Some(own) = event.said(Field::AccountId) {
        return (Some(own), None);
    }
    if let Some(recipient) = event.said(Field::RecipientAccountId) {
        return (Some(recipient), Some(Flag::AccountFromRecipient));
    }
    match &event.fallback_account {
        Some((account, flag)) if !account.is_empty() => (Some(account), Some(*flag)),
        _ => (None, None),
    }
}

/// Role name and session name of an assumed role; `None` for other identities. `userName` is split at its first `:`. A
/// `userName` without `:` is the role; the session then comes from `principalId`, which names the role by its id only.
#[must_use]
pub fn role<'a>(event: &'a Event<'_>) -> Option<(&'a str, Option<&'a str>)> {
    if !event
        .get(Field::UserType)
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("assumed-role"))
    {
        return None;
    }
    let name = event.non_empty(Field::UserName)?;
    match name.split_once(':') {
        Some((role, session)) => Some((role, Some(session))),
        None => Some((
            name,
            event
                .get(Field::PrincipalId)
                .and_then(|id| id.split_once(':'))
                .map(|(_, session)| session),
        )),
    }
}

/// True where `id` is a number that was written as a float: `1.89e15`. Which account that was cannot be said.
#[must_use]
pub fn is_rounded_id(id: &str) -> bool {
    id.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && id.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'))
        && id.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn account_falls_back_in_order() {
        let mut event = Event::empty("");
        assert_eq!(account(&event), (None, None));
        event.fallback_account = Some((Cow::Borrowed("3"), Flag::AccountFromPath));
        assert_eq!(account(&event), (Some("3"), Some(Flag::AccountFromPath)));
        event.values[Field::RecipientAccountId as usize] = Some(Cow::Borrowed("2"));
        assert_eq!(account(&event), (Some("2"), Some(Flag::AccountFromRecipient)));
        event.values[Field::AccountId as usize] = Some(Cow::Borrowed(""));
        assert_eq!(account(&event), (Some("2"), Some(Flag::AccountFromRecipient)));
        event.values[Field::AccountId as usize] = Some(Cow::Borrowed("1"));
        assert_eq!(account(&event), (Some("1"), None));
    }

    #[test]
    fn role_and_session_split_at_the_first_colon() {
        let mut event = Event::empty("");
        event.values[Field::UserName as usize] = Some(Cow::Borrowed("ops:li@example.com:x"));
        assert_eq!(role(&event), None);
        event.values[Field::UserType as usize] = Some(Cow::Borrowed("assumed-role"));
        assert_eq!(role(&event), Some(("ops", Some("li@example.com:x"))));
        event.values[Field::UserName as usize] = Some(Cow::Borrowed("ops"));
        event.values[Field::PrincipalId as usize] = Some(Cow::Borrowed("3001:night"));
        assert_eq!(role(&event), Some(("ops", Some("night"))));
    }
}
