//! Folders with rules of the user's own.

use crate::support::program::Program;

/// Writes a rule with the query `sql` into `rules/own`; `more` is added to its description.
pub(crate) fn write_rule(program: &Program, name: &str, id: &str, sql: &str, more: &str) {
    let description = format!(
        "id = \"{id}\"\nversion = \"1.0.0\"\ntitle = {{ en = \"rule {name}\", zh = \"规则\" }}\nstatus = \"experimental\"\nseverity = \"medium\"\n\
         attack = []\nfalse_positives = []\nreferences = []\nrunbook = {{ en = \"look\", zh = \"查看\" }}\n{more}\n"
    );
    program.write(&format!("rules/own/{name}.toml"), description);
    program.write(&format!("rules/own/{name}.sql"), sql);
}

/// A program with a rules folder that holds one rule made by `rules new`.
pub(crate) fn with_a_new_rule() -> Program {
    let program = Program::new();
    program.write("trailhound.toml", "[rules]\nfolder = \"rules\"\n");
    std::fs::create_dir(program.path("rules")).expect("a folder");
    program.run_ok(&["rules", "new", "AT-OWN-001", "--title", "Snapshot deleted by \"somebody\""]);
    program
}
