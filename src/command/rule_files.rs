//! The files of a new rule: a skeleton that passes the checks, to be filled in.

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::printer;
use trailhound_queries::packs::rules::RetiredRule;

const SQL: &str = include_str!("skeleton.sql");
const TOML: &str = include_str!("skeleton.toml");

/// Writes them, where there is nothing yet.
pub(crate) fn write(config: &Config, id: &str, group: &str, title: &str) -> Result<Exit, Failure> {
    let is_plain = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if !id.starts_with("AT-") || !is_plain(id) {
        return Err(Failure::Usage(format!("`{id}` is no rule id; write it as `AT-OWN-001`")));
    }
    if !is_plain(group) {
        return Err(Failure::Usage(format!(
            "`{group}` is no group; write letters, digits, `-` and `_`"
        )));
    }
    if let Some(known) = config.catalogue.find(id) {
        return Err(Failure::Usage(format!(
            "there is a rule {id} already: `{}`. Ids are never used again",
            known.path.display()
        )));
    }
    let retired = RetiredRule::all().map_err(Failure::Internal)?;
    if let Some(retired) = retired.iter().find(|retired| retired.id.eq_ignore_ascii_case(id)) {
        return Err(Failure::Usage(retired.refusal()));
    }
    let Some(folder) = &config.rules_folder else {
        return Err(Failure::Usage(
            "name a folder for your rules in trailhound.toml:\n    [rules]\n    folder = \"rules\""
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
    printer::talk(&format!(
        "Fill them in, then: trailhound rules lint {id} && trailhound rules test {id}"
    ));
    Ok(Exit::Done)
}
