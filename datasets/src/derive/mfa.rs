//! Whether a second factor (MFA) was used. What the event does not say is unknown, never no.
//!
//! ```
//! use std::borrow::Cow;
//! use trailhound_datasets::derive::mfa::Mfa;
//! use trailhound_datasets::event::{Event, Field};
//!
//! let mut event = Event::empty("");
//! assert_eq!(Mfa::of(&event, Some("consolesignin")), Mfa::Unknown);
//! event.values[Field::AdditionalEventData as usize] = Some(Cow::Borrowed(r#"{"mfaChecked":"true"}"#));
//! assert_eq!(Mfa::of(&event, Some("consolesignin")), Mfa::Yes);
//! // `mfaChecked` counts for a sign-in only; for other calls the session flag decides.
//! assert_eq!(Mfa::of(&event, Some("stopinstance")), Mfa::Unknown);
//! ```

use super::boolean::parse_bool;
use super::parameters;
use crate::event::{Event, Field, is_placeholder};
use crate::json;

/// Whether MFA was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mfa {
    /// MFA was used.
    Yes,
    /// MFA was not used.
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

    fn from_bool(flag: Option<bool>) -> Self {
        match flag {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unknown,
        }
    }

    /// MFA of the session, from `userIdentity.sessionContext.attributes.mfaAuthenticated`.
    #[must_use]
    pub fn of_session(event: &Event<'_>) -> Self {
        Self::from_bool(event.get(Field::MfaAuthenticated).and_then(parse_flag))
    }

    /// Returns the MFA of an event whose `event_action` is `action`. For a sign-in, the first of
    /// these fields that is yes or no decides: `mfaChecked` (RAM user), `isMFAChecked` (root),
    /// `MFAAuthenticated` (CloudSSO). For all other events the MFA flag of the session decides; it
    /// does not describe how a user signed in.
    #[must_use]
    pub fn of(event: &Event<'_>, action: Option<&str>) -> Self {
        if !action.is_some_and(is_sign_in) {
            return Self::of_session(event);
        }
        let additional = event.get(Field::AdditionalEventData).unwrap_or("");
        let of =
            |name| parameters::find_text(additional, name).and_then(|value| parse_flag(&value));
        let said = of("mfaChecked").or_else(|| of("isMFAChecked")).or_else(|| {
            parameters::request_parameter(event, b"MFAAuthenticated", "MFAAuthenticated")
                .and_then(|value| parse_flag(&value))
        });
        Self::from_bool(said)
    }
}

/// A flag as events write it: a boolean, or 1 and 0.
fn parse_flag(text: &str) -> Option<bool> {
    parse_bool(text).or_else(|| match text.trim() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    })
}

/// True where `event` says something about MFA that is neither yes nor no. `action` is its `event_action`.
#[must_use]
pub fn is_unreadable(event: &Event<'_>, action: Option<&str>) -> bool {
    if event.said(Field::MfaAuthenticated).is_some_and(|text| parse_flag(text).is_none()) {
        return true;
    }
    if !action.is_some_and(is_sign_in) || Mfa::of(event, action) != Mfa::Unknown {
        return false;
    }
    let says = |value: &str| match json::unquote(value) {
        Some(text) => !is_placeholder(&text),
        None => value != "null",
    };
    json::members(event.get(Field::AdditionalEventData).unwrap_or("")).any(|(key, value)| {
        ["mfaChecked", "isMFAChecked"].iter().any(|name| key.eq_ignore_ascii_case(name))
            && says(value)
    })
}

/// True where `action` is a sign-in. Any suffix of `consolesignin` is accepted, because variants may exist.
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
    fn a_flag_that_is_neither_yes_nor_no_is_unreadable_and_a_missing_one_is_not() {
        for (additional, unreadable) in [
            (r#"{"mfaChecked":"***"}"#, true),
            (r#"{"isMFAChecked":"perhaps"}"#, true),
            (r#"{"mfaChecked":{}}"#, true),
            (r#"{"mfaChecked":"false"}"#, false),
            (r#"{"mfaChecked":0}"#, false),
            (r#"{"mfaChecked":null}"#, false),
            (r#"{"mfaChecked":""}"#, false),
            (r#"{"loginAccount":"x"}"#, false),
        ] {
            let mut event = Event::empty("");
            event.values[Field::AdditionalEventData as usize] = Some(Cow::Borrowed(additional));
            assert_eq!(is_unreadable(&event, Some("consolesignin")), unreadable, "{additional}");
            assert!(!is_unreadable(&event, Some("stopinstance")), "{additional}");
        }
    }

    #[test]
    fn the_session_flag_is_no_sign_in_flag() {
        assert_eq!(mfa("consolesignin", "", "", Some("false")), "unknown");
        assert_eq!(mfa("stopinstance", "", "", Some("false")), "no");
        assert_eq!(mfa("stopinstance", r#"{"mfaChecked":"true"}"#, "", None), "unknown");
    }
}
