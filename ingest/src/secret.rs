//! Secrets by reference: `env:NAME` or `file:PATH`. The configuration holds the reference, never the secret.

use serde::Deserialize;
use std::fmt;
use std::path::Path;

/// A reference to a secret, as written in the configuration. It is checked when the secret is read, not when it is parsed:
/// a parser's error message would repeat the text, which might be the secret itself.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretRef(String);

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretRef")
    }
}

impl SecretRef {
    /// A reference with this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The URL itself where the text is a URL, else the URL that the reference leads to. Relative paths count from `folder`.
    ///
    /// # Errors
    /// As [`SecretRef::read`].
    pub fn read_or_url(&self, folder: &Path) -> Result<String, String> {
        if self.0.starts_with("https://") || self.0.starts_with("http://") {
            Ok(self.0.clone())
        } else {
            self.read(folder)
        }
    }

    /// Reads the secret. Relative paths count from `folder`.
    ///
    /// # Errors
    /// A description where the text is no reference, or the variable or file is missing or empty. It never contains the
    /// secret.
    #[expect(clippy::disallowed_methods, reason = "a reference to a secret may name a variable")]
    pub fn read(&self, folder: &Path) -> Result<String, String> {
        let (what, text) = match self.0.split_once(':') {
            Some(("env", name)) if !name.is_empty() => (
                format!("environment variable `{name}`"),
                std::env::var(name).map_err(|_| format!("the environment has no `{name}`"))?,
            ),
            Some(("file", path)) if !path.is_empty() => (
                format!("`{path}`"),
                std::fs::read_to_string(folder.join(path)).map_err(|e| format!("`{path}`: {e}"))?,
            ),
            _ => {
                return Err(
                    "a secret is given by reference, as `env:NAME` or `file:PATH`, never as itself"
                        .to_owned(),
                );
            }
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() { Err(format!("{what} is empty")) } else { Ok(text.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_by_reference_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("s"), "id#secret\n").expect("a file");
        std::fs::write(folder.path().join("e"), "\n").expect("a file");
        let read = |text: &str| SecretRef(text.to_owned()).read(folder.path());
        assert_eq!(read("file:s").as_deref(), Ok("id#secret"));
        for wrong in [
            "id#secret",
            "secret",
            "env:",
            "file:",
            "file:e",
            "file:none",
            "env:NO_SUCH_VARIABLE_HERE",
        ] {
            let error = read(wrong).expect_err(wrong);
            assert!(!error.contains("secret\n") && !error.contains("#secret"), "{error}");
        }
        assert_eq!(format!("{:?}", SecretRef("x".to_owned())), "SecretRef");
    }
}
