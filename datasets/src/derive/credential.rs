//! The kind of credential that signed a call.

use crate::event::{Event, Field, is_placeholder};

/// Kind of the credential that signed a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// A long-term AccessKey: any key that is not temporary, because old keys lack the prefix `LTAI`.
    LongTerm,
    /// An STS token (`STS.`), or a temporary key of the console (`TMP.`).
    Temporary,
    /// A session without a key.
    ConsoleSession,
    /// Neither key nor session: sign-ins, and actions of the platform itself.
    None,
}

impl CredentialKind {
    /// The kind's name in the `credential_kind` column.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LongTerm => "long_term",
            Self::Temporary => "temporary",
            Self::ConsoleSession => "console_session",
            Self::None => "none",
        }
    }

    /// The credential of `event`, from the key's id and the presence of a session. User agent and event type are not used:
    /// neither reliably separates console from API.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Self {
        let key = event.get(Field::AccessKeyId).unwrap_or("").trim();
        if is_placeholder(key) {
            return if event.has_session { Self::ConsoleSession } else { Self::None };
        }
        if ["STS.", "TMP."]
            .iter()
            .any(|prefix| key.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(prefix)))
        {
            return Self::Temporary;
        }
        Self::LongTerm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn told_by_key_then_by_session() {
        for (key, session, kind) in [
            (None, true, "console_session"),
            (None, false, "none"),
            (Some(""), true, "console_session"),
            (Some("NULL"), false, "none"),
            (Some("null"), true, "console_session"),
            (Some("-"), true, "console_session"),
            (Some("STS.NUexample"), true, "temporary"),
            (Some("TMP.3Kexample"), false, "temporary"),
            (Some("LTAI5tExample"), true, "long_term"),
            (Some("f6IzExampleOld16"), false, "long_term"),
        ] {
            let mut event = Event::empty("");
            event.values[Field::AccessKeyId as usize] = key.map(Cow::Borrowed);
            event.has_session = session;
            assert_eq!(CredentialKind::of(&event).name(), kind, "{key:?} {session}");
        }
    }
}
