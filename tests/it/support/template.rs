//! Folders that are made once per run and copied for each test.

use super::external::bound_folder;
use super::program::Program;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

/// The program in a copy of the template `name`. The first call makes the template with `fill`.
pub(crate) fn copy_of(name: &str, fill: impl FnOnce(&Program)) -> Program {
    type Made = Arc<OnceLock<PathBuf>>;
    static TEMPLATES: LazyLock<Mutex<HashMap<String, Made>>> = LazyLock::new(Mutex::default);
    let template: Made =
        TEMPLATES.lock().expect("no look-up panicked").entry(name.to_owned()).or_default().clone();
    let original = template.get_or_init(|| {
        let folder = bound_folder("template");
        fill(&Program::at(&folder));
        folder
    });
    let program = Program::new();
    copy_folder(original, &program.path(""));
    program
}

/// Copies everything below `from` to `to`.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.expect("a readable folder");
        let target = to.join(entry.path().strip_prefix(from).expect("below the folder"));
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).expect("a folder");
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Generated events in the folder `g` with their configuration and truth: `generate --out g` with `args`.
pub(crate) fn generated(args: &[&str]) -> Program {
    copy_of(&format!("generated {}", args.join(" ")), |program| generate(program, args))
}

/// Generates the events in the folder of `program`.
pub(crate) fn generate(program: &Program, args: &[&str]) {
    program.run_ok(&[&["generate", "--out", "g"], args].concat());
}
