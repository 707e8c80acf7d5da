//! Report pages in Chromium, driven by Playwright.

use crate::support::external::external_part;
use crate::support::program::Program;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// Opens pages in Chromium, light and dark, sorts every table by every column, and prints what each page did.
const BROWSE: &str = r#"
import json, sys
from playwright.sync_api import sync_playwright
browser_path, shots, *pages = sys.argv[1:]

def look(browser, path):
    seen = {"console": [], "requests": [], "dialogs": [], "trapped": [], "rows": 0, "sorted": []}
    for scheme in ["light", "dark"]:
        page = browser.new_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
        # A busy machine may take long.
        page.set_default_timeout(600_000)
        page.on("console", lambda message: seen["console"].append(message.text))
        page.on("pageerror", lambda error: seen["console"].append(str(error)))
        page.on("request", lambda request: seen["requests"].append(request.url))
        page.on("dialog", lambda dialog: (seen["dialogs"].append(dialog.message), dialog.dismiss()))
        page.goto("file://" + path)
        if shots != "-":
            name = path.rsplit("/", 1)[-1]
            page.screenshot(path=f"{shots}/{name}-{scheme}.png", full_page=False)
            page.screenshot(path=f"{shots}/{name}-{scheme}-full.png", full_page=True)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        # One mouse click per table. The other columns by the DOM, which lays the page out once for all of them.
        for table in page.query_selector_all("table"):
            button = table.query_selector("th button")
            if button:
                button.click()
        page.evaluate("document.querySelectorAll('th button').forEach(b => b.click())")
        first = page.evaluate("""() => { const t = document.querySelector('#findings_by_rule table, #members table');
            if (!t) return []; const head = t.tHead.rows[0].cells[4].firstElementChild; const read = () =>
            Array.from(t.tBodies[0].rows).map(r => Number(r.cells[4].dataset.sort)); head.click(); const a = read(); head.click(); return [a, read()]; }""")
        seen["sorted"] = first
        seen["trapped"].append(page.evaluate("window.trapped === undefined"))
        seen["rows"] = page.evaluate("document.querySelectorAll('tbody tr').length")
        seen["elements"] = page.evaluate("document.querySelectorAll('main img, main script, main a, main iframe, main object').length")
        page.close()
    return seen

with sync_playwright() as p:
    browser = p.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
    for path in pages:
        print(json.dumps(look(browser, path)))
    browser.close()
"#;

/// What each of `pages` did in one browser; `None`, with a notice, where there is no browser.
pub(crate) fn browse(program: &Program, pages: &[PathBuf]) -> Option<Vec<Value>> {
    let (python, browser) =
        (external_part("TRAILHOUND_CLIENTS_PYTHON")?, external_part("TRAILHOUND_BROWSER")?);
    // `TRAILHOUND_SCREENSHOTS=DIR` keeps screenshots.
    let shots = std::env::var("TRAILHOUND_SCREENSHOTS").unwrap_or_else(|_| "-".to_owned());
    let script = program.write("browse.py", BROWSE);
    let ran = Command::new(python)
        .arg(script)
        .args([browser, shots])
        .args(pages)
        .output()
        .expect("python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let lines = String::from_utf8(ran.stdout).expect("UTF-8");
    Some(lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}
