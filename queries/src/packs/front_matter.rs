//! SQL files that say at their head what they are: lines that begin with `--!` are TOML.

use serde::de::DeserializeOwned;

/// What starts a line of the description at the head of a file; the rest of the line is TOML.
const HEAD: &str = "--!";

/// What stands at the head of `text`, and the statement after it.
///
/// # Errors
/// What is wrong with the head.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<(T, String), String> {
    let head: Vec<&str> =
        text.lines().map_while(|line| line.strip_prefix(HEAD)).map(str::trim_start).collect();
    let sql = text.lines().skip(head.len()).collect::<Vec<_>>().join("\n");
    Ok((toml::from_str(&head.join("\n")).map_err(|e| e.to_string())?, sql))
}
