//! Secrets by reference: `env:NAME` or `file:PATH`. What is written in the configuration is never the secret itself.

use serde::Deserialize;
use std::fmt;
use std::path::Path;

/// Where a secret stands.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum SecretRef {
    Env(String),
    File(String),
}

impl TryFrom<String> for SecretRef {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.to_owned())),
            // The text may be the secret: it is not repeated.
            _ => Err("a secret is given by reference, as `env:NAME` or `file:PATH`, never as itself"),
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

impl SecretRef {
    /// The secret. Relative paths count from `folder`.
    pub(crate) fn read(&self, folder: &Path) -> Result<String, String> {
        let text = match self {
            Self::Env(name) => std::env::var(name).map_err(|_| format!("the environment has no `{name}`"))?,
            Self::File(path) => std::fs::read_to_string(folder.join(path)).map_err(|e| format!("`{path}`: {e}"))?,
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() { Err(format!("{self:?} is empty")) } else { Ok(text.to_owned()) }
    }
}
