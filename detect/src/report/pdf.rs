//! Prints an HTML page as PDF with an installed browser, Chromium or a browser based on it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use thiserror::Error;
use tokio::process::Command;

/// Program names of browsers; the first one that is installed is used.
const BROWSERS: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome-headless-shell",
    "microsoft-edge",
];
/// Time limit of printing.
const PRINT_TIMEOUT: Duration = Duration::from_secs(120);

/// Why a page could not be printed.
#[derive(Debug, Error)]
pub enum PdfError {
    /// No browser is installed.
    #[error("a PDF is printed by a browser, and none of {} is there; install one, name it in TRAILHOUND_BROWSER, or print the HTML form yourself", BROWSERS.join(", "))]
    NoBrowser,
    /// The browser failed.
    #[error("`{browser}` printed nothing: {reason}")]
    Browser {
        /// Path of the browser.
        browser: String,
        /// What it wrote to standard error, or how it ended.
        reason: String,
    },
    /// The browser's process could not be waited for.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Returns the browser to print with: `configured`, else the first of the known ones on the `PATH`.
///
/// # Errors
/// [`PdfError::NoBrowser`].
#[expect(
    clippy::disallowed_methods,
    reason = "a browser is looked for where the system looks for programs"
)]
pub fn find_browser(configured: Option<&Path>) -> Result<PathBuf, PdfError> {
    if let Some(browser) = configured {
        return Ok(browser.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path)
        .flat_map(|folder| BROWSERS.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    installed.ok_or(PdfError::NoBrowser)
}

/// Prints the HTML file `page` to the file `pdf`. `profile` is a folder for the browser's profile.
///
/// # Errors
/// [`PdfError`] where the browser does not start, fails, or takes longer than two minutes.
pub async fn print_pdf(
    browser: &Path,
    page: &Path,
    pdf: &Path,
    profile: &Path,
) -> Result<(), PdfError> {
    let failed =
        |reason: String| PdfError::Browser { browser: browser.display().to_string(), reason };
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
        // The page loads nothing. If it did, no host name would resolve.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND")
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--print-to-pdf={}", pdf.display()));
    // The browser refuses to start as root with its sandbox.
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
    let ended = tokio::time::timeout(PRINT_TIMEOUT, child.wait_with_output()).await;
    let output = ended
        .map_err(|_| failed(format!("it had not ended after {} s", PRINT_TIMEOUT.as_secs())))??;
    if !output.status.success() || !pdf.is_file() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last =
            stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return Err(failed(format!("{}, {last}", output.status)));
    }
    Ok(())
}
