//! Whether a second factor was used. Missing is unknown, never no.

use super::{parameters, truth};
use crate::event::{Event, Field};

/// Whether MFA was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mfa {
    /// It was.
    Yes,
    /// It was not.
    No,
    /// The event does not say.
    Unknown,
}

impl Mfa {
    /// The state's name in the `mfa` and `session_mfa` columns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }

    fn from_truth(truth: Option<bool>) -> Self {
        match truth {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unknown,
        }
    }

    /// What `userIdentity.sessionContext.attributes.mfaAuthenticated` says.
    #[must_use]
    pub fn of_session(event: &Event<'_>) -> Self {
        Self::from_truth(event.get(Field::MfaAuthenticated).and_then(truth))
    }

    /// For a sign-in, what the sign-in says: `mfaChecked` (RAM user), `isMFAChecked` (root), `MFAAuthenticated`
    /// (CloudSSO), whichever is first to say yes or no. The session flag is not the sign-in flag, so it counts only
    /// for other events.
    #[must_use]
    pub fn of(event: &Event<'_>, action: Option<&str>) -> Self {
        if !action.is_some_and(is_sign_in) {
            return Self::of_session(event);
        }
        let additional = event.get(Field::AdditionalEventData).unwrap_or("");
        let of = |name| parameters::find_text(additional, name).and_then(|value| truth(&value));
        let said = of("mfaChecked").or_else(|| of("isMFAChecked")).or_else(|| {
            parameters::of(event, b"MFAAuthenticated", "MFAAuthenticated")
                .and_then(|value| truth(&value))
        });
        Self::from_truth(said)
    }
}

/// True for the actions that are a sign-in. Suffixed forms (`consolesignin...`) may exist and are taken in.
#[must_use]
pub fn is_sign_in(action: &str) -> bool {
    action.starts_with("consolesignin") || action == "login"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn mfa(
        action: &str,
        additional: &'static str,
        parameters: &'static str,
        session: Option<&'static str>,
    ) -> &'static str {
        let mut event = Event::empty("");
        event.values[Field::AdditionalEventData as usize] = Some(Cow::Borrowed(additional));
        event.values[Field::RequestParameters as usize] = Some(Cow::Borrowed(parameters));
        event.values[Field::MfaAuthenticated as usize] = session.map(Cow::Borrowed);
        Mfa::of(&event, Some(action)).name()
    }

    #[test]
    fn sign_ins_say_it_under_three_names_and_in_two_types() {
        for (additional, state) in [
            (r#"{"mfaChecked":"false"}"#, "no"),
            (r#"{"mfaChecked":false}"#, "no"),
            (r#"{"mfaChecked":" FALSE "}"#, "no"),
            (r#"{"mfaChecked":"true"}"#, "yes"),
            (r#"{"isMFAChecked":"true"}"#, "yes"),
            (r#"{"isMFAChecked":true,"mfaChecked":null}"#, "yes"),
            (r#"{"loginAccount":"false"}"#, "unknown"),
            (r#"{"mfaChecked":"***"}"#, "unknown"),
            ("", "unknown"),
        ] {
            assert_eq!(mfa("consolesignin", additional, "", None), state, "{additional}");
        }
        assert_eq!(mfa("login", "", r#"{"MFAAuthenticated":"false"}"#, None), "no");
    }

    #[test]
    fn the_session_flag_is_no_sign_in_flag() {
        assert_eq!(mfa("consolesignin", "", "", Some("false")), "unknown");
        assert_eq!(mfa("stopinstance", "", "", Some("false")), "no");
        assert_eq!(mfa("stopinstance", r#"{"mfaChecked":"true"}"#, "", None), "unknown");
    }
}
