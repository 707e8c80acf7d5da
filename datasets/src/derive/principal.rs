//! Who acted: account, role and session.

use crate::event::{Event, Field, Flag};

/// The account: the identity's, else the recipient's, else what the object's path or the envelope names; with the flag
/// that says when it is not the identity's own.
#[must_use]
pub fn account<'a>(event: &'a Event<'_>) -> (Option<&'a str>, Option<Flag>) {
    if let Some(own) = event.non_empty(Field::AccountId) {
        return (Some(own), None);
    }
    if let Some(recipient) = event.non_empty(Field::RecipientAccountId) {
        return (Some(recipient), Some(Flag::AccountFromRecipient));
    }
    match &event.outer_account {
        Some((account, flag)) if !account.is_empty() => (Some(account), Some(*flag)),
        _ => (None, None),
    }
}

/// Role and session of an assumed role, split at the first `:` of `userName`, else taken from `principalId` (which names
/// the session but only the role's id).
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn account_falls_back_in_order() {
        let mut event = Event::empty("");
        assert_eq!(account(&event), (None, None));
        event.outer_account = Some((Cow::Borrowed("3"), Flag::AccountFromPath));
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
