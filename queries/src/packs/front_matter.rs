//! Front matter of SQL files: the leading lines that begin with `--!` hold TOML that describes the
//! query below.

use serde::de::DeserializeOwned;

/// Prefix of a front matter line; the rest of the line is TOML.
const PREFIX: &str = "--!";

/// Splits `text` into its front matter, parsed as `T`, and the SQL below it.
///
/// # Errors
/// The message of the TOML parser.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<(T, String), String> {
    let head: Vec<&str> =
        text.lines().map_while(|line| line.strip_prefix(PREFIX)).map(str::trim_start).collect();
    let sql = text.lines().skip(head.len()).collect::<Vec<_>>().join("\n");
    Ok((toml::from_str(&head.join("\n")).map_err(|e| e.to_string())?, sql))
}
