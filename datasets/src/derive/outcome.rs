//! The outcome of a call: success, failure or dry run.

use crate::event::{Event, Field, is_placeholder};

/// Outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The call was carried out.
    Success,
    /// The call was refused or failed.
    Failure,
    /// The call only checked whether it would be permitted.
    DryRun,
}

impl Outcome {
    /// The outcome's name in the `outcome` column.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::DryRun => "dry_run",
        }
    }

    /// The outcome of `event`, by the first of these that applies:
    ///
    /// - dry run: the error code of dry runs. A parameter `DryRun` proves nothing: operations that have none ignore it,
    /// - failure: any error code, or an error message other than the word `success`,
    /// - success: anything else.
    ///
    /// The text `null` counts as absent, as in the vendor's own rules, and so does `-`.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Self {
        let code = absent_if_null(event.get(Field::ErrorCode));
        if ["DryRunOperation", "DRYRUN.SUCCESS"].iter().any(|dry| code.eq_ignore_ascii_case(dry)) {
            return Self::DryRun;
        }
        let message = absent_if_null(event.get(Field::ErrorMessage));
        if !code.is_empty() || !(message.is_empty() || message.eq_ignore_ascii_case("success")) {
            return Self::Failure;
        }
        Self::Success
    }
}

fn absent_if_null(text: Option<&str>) -> &str {
    let text =
        text.unwrap_or("").trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'');
    if is_placeholder(text) { "" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn outcome(
        code: Option<&'static str>,
        message: Option<&'static str>,
        parameters: Option<&'static str>,
    ) -> &'static str {
        let mut event = Event::empty("");
        event.values[Field::ErrorCode as usize] = code.map(Cow::Borrowed);
        event.values[Field::ErrorMessage as usize] = message.map(Cow::Borrowed);
        event.values[Field::RequestParameters as usize] = parameters.map(Cow::Borrowed);
        Outcome::of(&event).name()
    }

    #[test]
    fn absent_empty_null_and_the_word_success_are_success() {
        for code in [None, Some(""), Some("null"), Some("NULL"), Some(" "), Some("-"), Some("\"\"")]
        {
            for message in
                [None, Some(""), Some("success"), Some("SUCCESS"), Some(" success "), Some("null")]
            {
                assert_eq!(outcome(code, message, None), "success", "{code:?} {message:?}");
            }
        }
    }

    #[test]
    fn codes_and_other_messages_are_failure() {
        assert_eq!(outcome(Some("NoPermission"), None, None), "failure");
        assert_eq!(outcome(Some("202"), Some("success"), None), "failure");
        assert_eq!(outcome(None, Some("wrong password"), None), "failure");
    }

    #[test]
    fn a_dry_run_is_known_by_its_code_alone() {
        let passed = Some("Request validation has been passed");
        for code in ["DryRunOperation", "dryrun.success"] {
            assert_eq!(outcome(Some(code), passed, None), "dry_run");
            assert_eq!(outcome(Some(code), None, Some(r#"{"DryRun":"true"}"#)), "dry_run");
        }
        // Any caller can add a parameter.
        for parameters in [r#"{"DryRun":true}"#, r#"{" dryRun":"True"}"#] {
            assert_eq!(outcome(None, None, Some(parameters)), "success");
            assert_eq!(outcome(Some("NoPermission"), None, Some(parameters)), "failure");
        }
    }
}
