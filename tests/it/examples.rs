//! The examples of README.md and docs/: every configuration loads, every command runs, and every
//! statement is planned, as the page has it.

use crate::support::program::Program;
use crate::support::template::{copy_of, generate};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A fenced block of a page.
struct Block {
    page: String,
    language: String,
    text: String,
}

/// Lines of examples that need something that this test does not have, and the test or the reason
/// for each. A line is one that contains the text.
const NOT_RUN: [(&str, &str); 14] = [
    ("cargo install", "compiles the whole program"),
    ("scripts/test", "runs this test"),
    ("scripts/broker", "runs until it is ended; tests of the broker start it themselves"),
    ("scripts/store", "runs until it is ended; tests of the store start it themselves"),
    (" serve --lake", "runs until it is ended; the configurations are loaded below"),
    ("--to kafka", "needs the broker of `scripts/broker`"),
    ("generate --events 20000 --days 1 --to oss", "needs the store of `scripts/store`"),
    ("curl ", "postgres_endpoint.rs runs it against a service"),
    ("psql ", "postgres_endpoint.rs runs it against a service"),
    ("python - <<", "postgres_endpoint.rs runs it with DuckDB"),
    ("lake migrate", "needs an empty database; shared_lake.rs runs it"),
    ("sinks test oncall", "needs DingTalk; chat_robots.rs runs it against a robot"),
    ("outbox dismiss FINDING", "needs a message; sinks.rs runs it"),
    ("rules import PATH", "needs Sigma files; sigma.rs runs it"),
];

/// What stands for something of the reader's own, and what the test puts in its place.
const PLACEHOLDERS: [(&str, &str); 6] = [
    ("PATH...", "g/events"),
    ("i-...", "i-bp1example"),
    ("[ID...]", "AT-ROOT-001"),
    (" FILE ", " weekly.json "),
    ("/tmp/lake", "lake"),
    ("cargo run -- ", "trailhound "),
];

/// Further configuration that an example refers to, by a part of the example.
const CONTEXT: [(&str, &str); 1] = [(
    "[[report]]",
    "\n[[sink]]\nname = \"mail\"\n[sink.mail]\nhost = \"mail.example.com\"\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\n\
     [[sink]]\nname = \"oncall\"\n[sink.slack]\nurl = \"env:DINGTALK_URL\"\n",
)];

/// Secrets that examples read from the environment.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("DINGTALK_URL", "https://oapi.dingtalk.com/robot/send?access_token=x"),
    ("DINGTALK_SECRET", "SECx"),
    ("SLS_KEY", "id#secret"),
    ("OSS_KEY_ID", "id"),
    ("OSS_TOKEN", "token"),
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages: README.md and all of docs/.
fn pages() -> Vec<(String, String)> {
    let mut paths = vec![repository().join("README.md")];
    let docs = std::fs::read_dir(repository().join("docs")).expect("docs");
    paths.extend(docs.map(|entry| entry.expect("a file").path()));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("text"))
    };
    paths.into_iter().map(read).collect()
}

/// The fenced blocks of all pages. An unclosed block runs to the end of its page.
fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for (page, text) in pages() {
        let mut open: Option<Block> = None;
        for line in text.lines() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    let language = language.trim().to_owned();
                    open = Some(Block { page: page.clone(), language, text: String::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{page}: a block without an end");
    }
    blocks
}

/// A lake `lake` with events and findings, and the files that examples name.
fn prepared() -> Program {
    copy_of("examples", |program| {
        generate(program, &["--events", "3000", "--days", "10", "--seed", "5"]);
        program.write("trailhound.toml", "[rules]\nfolder = \"rules\"\n");
        program.write("rules/.keep", "");
        program.run_ok(&["scan", "g/events", "--lake", "lake"]);
        let report = program.run_ok(&["report", "--lake", "lake", "--format", "json"]);
        std::fs::rename(program.path(report.out.trim()), program.path("weekly.json"))
            .expect("a report");
        let addresses = repository().join("datasets/samples/addresses.mmdb");
        std::fs::copy(addresses, program.path("GeoLite2-City.mmdb")).expect("a database");
        for secret in ["token", "password", "oss.secret"] {
            program.write(secret, "0123456789abcdef0123456789abcdef\n");
        }
        let bin = program.write(
            "bin/trailhound",
            format!("#!/bin/sh\nexec '{}' \"$@\"\n", crate::support::program::binary().display()),
        );
        std::fs::set_permissions(bin, std::fs::Permissions::from_mode(0o755)).expect("ours");
    })
}

/// Runs `script` in the folder of `program`, with `trailhound` on the path. Returns its status and
/// everything it printed.
fn bash(program: &Program, script: &str) -> (bool, String) {
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", program.path("bin").display());
    let mut command = Command::new("bash");
    command
        .args(["-uo", "pipefail", "-c", script])
        .current_dir(program.path(""))
        .env_clear()
        .envs(ENVIRONMENT)
        .env("PATH", path)
        .env("HOME", program.path(""))
        .env("TRAILHOUND_NOW", crate::support::program::NOW)
        .stdin(Stdio::null());
    let output = command.output().expect("bash runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// The commands of a shell block: a line each, with the lines that continue it.
fn commands(block: &Block) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut end_of_document: Option<String> = None;
    let mut continues = false;
    for line in block.text.lines() {
        if let Some(end) = &end_of_document {
            let is_end = line.trim() == end;
            let last = commands.last_mut().expect("a command before its document");
            last.push_str(&format!("\n{line}"));
            if is_end {
                end_of_document = None;
            }
            continue;
        }
        if continues {
            commands.last_mut().expect("a command before").push_str(&format!("\n{line}"));
        } else if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            commands.push(line.to_owned());
        }
        continues = line.ends_with('\\');
        end_of_document =
            line.split_once("<<'").and_then(|(_, rest)| Some(rest.split_once('\'')?.0.to_owned()));
    }
    commands
}

#[test]
fn every_configuration_of_the_pages_is_valid() {
    let program = prepared();
    let mut script = String::from("status=0\n");
    let mut count = 0;
    let mut check = |page: &str, name: &str| {
        script.push_str(&format!(
            "trailhound --config '{name}' config check >out.txt 2>&1 || {{ echo '== {page}'; cat out.txt; status=1; }}\n"
        ));
        count += 1;
    };
    for (number, block) in blocks().iter().filter(|block| block.language == "toml").enumerate() {
        let context: String = CONTEXT
            .iter()
            .filter(|(part, _)| block.text.contains(part))
            .map(|(_, more)| *more)
            .collect();
        let name = format!("example-{number}.toml");
        program.write(&name, format!("{}{context}", block.text));
        check(&block.page, &name);
    }
    for entry in std::fs::read_dir(repository().join("docs/deploy")).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            check("docs/deploy", &path.display().to_string());
        }
    }
    assert!(count >= 9, "{count} configurations");
    let (is_valid, said) = bash(&program, &format!("{script}exit $status"));
    assert!(is_valid, "{said}");
}

#[test]
fn every_command_of_the_pages_runs() {
    let program = prepared();
    let mut used = BTreeSet::new();
    let mut script = String::from("status=0\n");
    let mut count = 0;
    for block in blocks().iter().filter(|block| matches!(block.language.as_str(), "sh" | "console"))
    {
        for command in commands(block) {
            if let Some((part, _)) = NOT_RUN.iter().find(|(part, _)| command.contains(part)) {
                used.insert(*part);
                continue;
            }
            let mut here = command.clone();
            for (placeholder, value) in PLACEHOLDERS {
                here = here.replace(placeholder, value);
            }
            // `entities ID` in a comment is no command.
            script.push_str(&format!(
                "{{ {here}\n}} >out.txt 2>&1 <<<'SELECT 1' || {{ echo '== {}: exit status' $?; cat <<'COMMAND'\n{here}\nCOMMAND\ntail -20 out.txt; status=1; }}\n",
                block.page
            ));
            count += 1;
        }
    }
    assert!(count >= 25, "{count} commands");
    let unused: Vec<&str> =
        NOT_RUN.iter().map(|(part, _)| *part).filter(|part| !used.contains(part)).collect();
    assert_eq!(unused, Vec::<&str>::new(), "no page has these any more");
    let (all_ran, said) = bash(&program, &format!("{script}exit $status"));
    assert!(all_ran, "{said}");
    for (file, start) in [("findings.xlsx", &b"PK\x03\x04"[..]), ("findings.csv", b"\xef\xbb\xbf")]
    {
        let content = std::fs::read(program.path(file)).expect("written by the README");
        assert!(content.starts_with(start), "{file}");
    }
}

/// True if a command in the text of a page can run as it is: it does not run until it is ended, and
/// no word of it stands for something else.
fn is_complete(command: &str) -> bool {
    let stands_for_something = |word: &str| {
        word.ends_with("...")
            || word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase())
            || matches!(word, "EVENT-ID" | "name=value" | "other.toml")
    };
    // These need a configuration or an argument that a page says elsewhere.
    let is_a_name = matches!(command, "trailhound lake expire" | "trailhound lake migrate");
    // One word names a command, and says nothing of its arguments.
    !is_a_name
        && command.split_whitespace().count() > 2
        && !command.starts_with("trailhound serve")
        && !command.split_whitespace().any(stands_for_something)
        && !command.ends_with(" -c")
}

/// True for the name of a command; false for an option and a value.
fn is_command_word(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

#[test]
fn commands_in_the_text_of_the_pages_run_or_exist() {
    let program = prepared();
    let mut spans: Vec<(String, String)> = Vec::new();
    for (page, text) in pages() {
        for line in text.lines() {
            for span in line.split('`').skip(1).step_by(2) {
                if span.starts_with("trailhound ") && !spans.iter().any(|(had, _)| had == span) {
                    spans.push((span.to_owned(), page.clone()));
                }
            }
        }
    }
    assert!(spans.len() >= 15, "{} commands", spans.len());
    let mut script = String::from("status=0\n");
    for (span, page) in spans {
        let command = if is_complete(&span) {
            span.clone()
        } else {
            // The words before the first one that stands for something; their help says that they
            // exist.
            let words: Vec<&str> =
                span.split_whitespace().take_while(|word| is_command_word(word)).collect();
            format!("{} --help", words.join(" "))
        };
        script.push_str(&format!(
            "{{ {command}\n}} >out.txt 2>&1 <<<'SELECT 1' || {{ echo '== {page}: {}'; tail -20 out.txt; status=1; }}\n",
            span.replace('\'', " ")
        ));
    }
    let (all_exist, said) = bash(&program, &format!("{script}exit $status"));
    assert!(all_exist, "{said}");
}

#[test]
fn every_statement_of_the_pages_is_planned() {
    let program = prepared();
    let statements: String = blocks()
        .iter()
        .filter(|block| block.language == "sql")
        .map(|block| format!("EXPLAIN {};\n", block.text.trim().trim_end_matches(';')))
        .collect();
    program.write("statements.sql", format!("{statements}SELECT 1;\n"));
    program.run_ok(&["query", "--lake", "lake", "-f", "statements.sql"]);
    let languages: BTreeSet<String> = blocks().into_iter().map(|block| block.language).collect();
    let known = ["console", "json", "sh", "sql", "toml"];
    let unknown: Vec<&String> =
        languages.iter().filter(|name| !known.contains(&name.as_str())).collect();
    assert_eq!(unknown, Vec::<&String>::new(), "no test reads blocks of these languages");
}
