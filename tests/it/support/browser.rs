//! Report pages in Chromium, driven by Playwright.

use crate::support::external::external_part;
use crate::support::program::Program;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Opens a page in Chromium, light and dark, sorts every table, and tells what it did.
const BROWSE: &str = r#"
import json, sys
from playwright.sync_api import sync_playwright
browser_path, page_path, shots = sys.argv[1:4]
with sync_playwright() as p:
    browser = p.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
    seen = {"console": [], "requests": [], "dialogs": [], "trapped": [], "rows": 0, "sorted": []}
    for scheme in ["light", "dark"]:
        page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: seen["console"].append(message.text))
        page.on("pageerror", lambda error: seen["console"].append(str(error)))
        page.on("request", lambda request: seen["requests"].append(request.url))
        page.on("dialog", lambda dialog: (seen["dialogs"].append(dialog.message), dialog.dismiss()))
        page.goto("file://" + page_path)
        if shots != "-":
            page.screenshot(path=f"{shots}-{scheme}.png", full_page=False)
            page.screenshot(path=f"{shots}-{scheme}-full.png", full_page=True)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        for button in page.query_selector_all("th button"):
            button.click()
        first = page.evaluate("""() => { const t = document.querySelector('#findings_by_rule table, #members table');
            if (!t) return []; const head = t.tHead.rows[0].cells[4].firstElementChild; const read = () =>
            Array.from(t.tBodies[0].rows).map(r => Number(r.cells[4].dataset.sort)); head.click(); const a = read(); head.click(); return [a, read()]; }""")
        seen["sorted"] = first
        seen["trapped"].append(page.evaluate("window.trapped === undefined"))
        seen["rows"] = page.evaluate("document.querySelectorAll('tbody tr').length")
        seen["elements"] = page.evaluate("document.querySelectorAll('main img, main script, main a, main iframe, main object').length")
        page.close()
    browser.close()
print(json.dumps(seen))
"#;

pub(crate) fn browse(program: &Program, page: &Path) -> Option<Value> {
    let (python, browser) =
        (external_part("TRAILHOUND_CLIENTS_PYTHON")?, external_part("TRAILHOUND_BROWSER")?);
    // `TRAILHOUND_SCREENSHOTS=DIR` keeps pictures for people.
    let name = page.file_name().expect("a name").to_string_lossy().into_owned();
    let shots = std::env::var("TRAILHOUND_SCREENSHOTS")
        .map_or_else(|_| "-".to_owned(), |folder| format!("{folder}/{name}"));
    let script = program.write("browse.py", BROWSE);
    let ran = Command::new(python)
        .arg(script)
        .arg(browser)
        .arg(page)
        .arg(shots)
        .output()
        .expect("python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    Some(serde_json::from_slice(&ran.stdout).expect("JSON"))
}
