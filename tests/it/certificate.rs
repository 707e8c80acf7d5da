//! A throw-away key with its own certificate for 127.0.0.1.

use crate::part::notice;
use std::path::Path;
use std::process::Command;

/// Makes `certificate.pem` and `key.pem` in `folder`; false, with a notice, where there is no openssl.
pub(crate) fn make(folder: &Path) -> bool {
    let names =
        ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"];
    let made = Command::new("openssl")
        .current_dir(folder)
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "key.pem", "-out", "certificate.pem"])
        .args(names)
        .output();
    match made {
        Ok(made) => {
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            true
        }
        Err(_) => {
            notice("openssl is not installed");
            false
        }
    }
}
