//! A page as PDF, printed by a browser that is there: Chromium or one of its kind.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use thiserror::Error;
use tokio::process::Command;

/// Browsers by their names, the first that is there is taken.
const BROWSERS: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome-headless-shell",
    "microsoft-edge",
];
/// A page that takes longer will never be ready.
const PRINT_MAX: Duration = Duration::from_secs(120);

/// Why nothing was printed.
#[derive(Debug, Error)]
pub enum PrintError {
    /// Nobody who could print it.
    #[error("a PDF is printed by a browser, and none of {} is there; install one, name it in TRAILHOUND_BROWSER, or print the HTML form yourself", BROWSERS.join(", "))]
    NoBrowser,
    /// The browser did not.
    #[error("`{browser}` printed nothing: {reason}")]
    Browser {
        /// The browser.
        browser: String,
        /// What it said.
        reason: String,
    },
    /// Its folder could not be made.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The browser that prints: the one given, else the first there is on the path.
///
/// # Errors
/// [`PrintError::NoBrowser`].
pub fn browser(given: Option<&Path>) -> Result<PathBuf, PrintError> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path)
        .flat_map(|folder| BROWSERS.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    there.ok_or(PrintError::NoBrowser)
}

/// Prints the file `page` to the file `pdf`. `folder` is for what the browser keeps meanwhile.
///
/// # Errors
/// [`PrintError`].
pub async fn print(
    browser: &Path,
    page: &Path,
    pdf: &Path,
    folder: &Path,
) -> Result<(), PrintError> {
    let failed =
        |reason: String| PrintError::Browser { browser: browser.display().to_string(), reason };
    let mut command = Command::new(browser);
    command
        .args([
            "--headless",
            "--disable-gpu",
            "--no-first-run",
            "--no-pdf-header-footer",
            "--disable-extensions",
            "--disable-background-networking",
        ])
        // The page asks for nothing; if it did, it would get nothing.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg(format!("--user-data-dir={}", folder.display()))
        .arg(format!("--print-to-pdf={}", pdf.display()));
    // Its sandbox does not work for root, and it then refuses to begin.
    if rustix::process::geteuid().is_root() {
        command.arg("--no-sandbox");
    }
    let url = reqwest::Url::from_file_path(page)
        .map_err(|()| failed(format!("`{}` has no absolute path", page.display())))?;
    command
        .arg(url.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = command.spawn().map_err(|e| failed(e.to_string()))?;
    let ended = tokio::time::timeout(PRINT_MAX, child.wait_with_output()).await;
    let output = ended
        .map_err(|_| failed(format!("it had not ended after {} s", PRINT_MAX.as_secs())))??;
    if !output.status.success() || !pdf.is_file() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last =
            said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return Err(failed(format!("{}, {last}", output.status)));
    }
    Ok(())
}
