//! `trailhound rules new`: writes the files of a new rule. They pass `rules lint` and are edited by
//! the author.

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use trailhound_queries::packs::rules::RetiredRule;

const SQL: &str = include_str!("skeleton.sql");
const TOML: &str = include_str!("skeleton.toml");

/// Writes the query and the description of the rule `id` into the folder of its group. Never
/// overwrites a file.
pub(super) fn write(config: &Config, id: &str, group: &str, title: &str) -> Result<Exit, Failure> {
    let is_valid = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if !id.starts_with("AT-") || !is_valid(id) {
        return Err(Failure::Usage(format!("`{id}` is not a rule id; write it as `AT-OWN-001`")));
    }
    if !is_valid(group) {
        return Err(Failure::Usage(format!(
            "`{group}` is not a group name; use letters, digits, `-` and `_`"
        )));
    }
    if let Some(known) = config.rule_set.find(id) {
        return Err(Failure::Usage(format!(
            "the rule {id} exists: `{}`. An id is never used again",
            known.path.display()
        )));
    }
    let retired = RetiredRule::all().map_err(Failure::Internal)?;
    if let Some(retired) = retired.iter().find(|retired| retired.id.eq_ignore_ascii_case(id)) {
        return Err(Failure::Usage(retired.refusal()));
    }
    let Some(folder) = &config.rules_folder else {
        return Err(Failure::Usage(
            "configure a folder for your rules in trailhound.toml:\n    [rules]\n    folder = \"rules\""
                .to_owned(),
        ));
    };
    let folder = folder.join(group);
    std::fs::create_dir_all(&folder)?;
    let name = id.trim_start_matches("AT-").to_lowercase().replace('-', "_");
    let title = toml::Value::from(title).to_string();
    for (extension, content) in [
        ("sql", SQL.to_owned()),
        ("toml", TOML.replace("AT-OWN-000", id).replace("\"TITLE\"", &title)),
    ] {
        let path = folder.join(&name).with_extension(extension);
        let mut file = std::fs::File::create_new(&path)
            .map_err(|e| Failure::Usage(format!("`{}`: {e}", path.display())))?;
        std::io::Write::write_all(&mut file, content.as_bytes())?;
        printer::line(&path.display().to_string())?;
    }
    printer::message(&format!(
        "Edit them, then run: trailhound rules lint {id} && trailhound rules test {id}"
    ));
    Ok(Exit::Success)
}
