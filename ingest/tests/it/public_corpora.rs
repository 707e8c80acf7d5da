//! Public corpora in `TRAILHOUND_CORPORA`: JSONTestSuite and the Big List of Naughty Strings.

use crate::support::{decode, event, rows};
use std::path::PathBuf;

fn corpora() -> Option<PathBuf> {
    let folder = std::env::var_os("TRAILHOUND_CORPORA").map(PathBuf::from);
    if folder.is_none() {
        let thread = std::thread::current();
        let line = format!(
            "notice: {} did not run: TRAILHOUND_CORPORA is not set\n",
            thread.name().unwrap_or("a test")
        );
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).expect("standard error");
    }
    folder
}

/// Returns whether the decoder accepts a file that parsers may accept or reject. The decoder
/// accepts numbers of any size and unpaired surrogate escapes. It rejects invalid UTF-8 and 500
/// nested brackets.
fn taken(name: &str) -> bool {
    name.starts_with("i_number_")
        || [
            "surrogate",
            "1st_valid_surrogate",
            "incomplete_surrogate",
            "inverted_surrogates",
            "lone_second",
            "invalid_lonely",
            "invalid_surrogate",
        ]
        .iter()
        .any(|part| name.contains(part) && !name.contains("UTF8_surrogate"))
}

#[test]
fn json_test_suite_is_accepted_and_refused_as_specified() {
    let Some(folder) = corpora() else { return };
    let before = format!("[{},", &event("a")[..event("a").len() - 1]).into_bytes();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.join("json-test-suite/test_parsing")).expect("the corpus")
    {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let value = std::fs::read(&path).expect("a file");
        let content = [&before[..], b"\"requestParameters\":{\"x\":", &value[..], b"}}]"].concat();
        let decoded = decode(&content);
        let accepted = decoded.events.len() == 1 && decoded.rejects.is_empty();
        match name.as_bytes()[0] {
            b'y' => assert!(accepted, "{name}: {:?}", decoded.rejects),
            b'n' if !name.contains("trailing_comment") => assert!(!accepted, "{name}"),
            b'i' => assert_eq!(accepted, taken(&name), "{name}: {:?}", decoded.codes()),
            _ => {}
        }
        // As a whole document nothing may panic, and nothing may vanish.
        let whole = decode(&value);
        let blank = value.iter().all(u8::is_ascii_whitespace) || value == b"\xef\xbb\xbf";
        let squeezed = String::from_utf8_lossy(&value).split_whitespace().collect::<String>();
        let empty_lists = squeezed.trim_start_matches('\u{feff}').replace("[]", "").is_empty();
        assert!(
            blank || empty_lists || whole.events.len() + whole.rejects.len() > 0,
            "{name} vanished"
        );
        seen += 1;
    }
    assert!(seen > 300, "{seen} files");
}

#[test]
fn naughty_strings_are_stored_byte_for_byte() {
    let Some(folder) = corpora() else { return };
    let path = folder.join("naughty-strings/blns.json");
    let strings: Vec<String> =
        serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("a list of strings");
    for text in &strings {
        let mut value: serde_json::Value = serde_json::from_str(&event("a")).expect("JSON");
        value["userAgent"] = text.as_str().into();
        value["requestParameters"] = serde_json::json!({ "x": text });
        let row = &rows(value.to_string().as_bytes())[0];
        assert_eq!(&row["user_agent"], text);
        assert_eq!(
            trailhound_datasets::derive::parameters::find_text(&row["request_parameters"], "x")
                .as_deref()
                .unwrap_or("***"),
            text
        );
    }
    assert!(strings.len() > 400);
}
