//! What signed a call.

use crate::event::{Event, Field};

/// Kind of the credential that signed a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// A long-term AccessKey. Old keys lack the `LTAI` prefix, so anything that is not temporary counts.
    LongTerm,
    /// An STS token, or a key the console made for itself (`TMP.`).
    Temporary,
    /// No key, but a console session.
    ConsoleSession,
    /// Neither: sign-ins, and the platform's own doings.
    None,
}

impl Credential {
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

    /// Told by the key's id alone; neither user agent nor event type tells console from API.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Self {
        let key = event.get(Field::AccessKeyId).unwrap_or("").trim();
        if key.is_empty() || key.eq_ignore_ascii_case("null") {
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
            (Some("STS.NUexample"), true, "temporary"),
            (Some("TMP.3Kexample"), false, "temporary"),
            (Some("LTAI5tExample"), true, "long_term"),
            (Some("f6IzExampleOld16"), false, "long_term"),
        ] {
            let mut event = Event::empty("");
            event.values[Field::AccessKeyId as usize] = key.map(Cow::Borrowed);
            event.has_session = session;
            assert_eq!(Credential::of(&event).name(), kind, "{key:?} {session}");
        }
    }
}
