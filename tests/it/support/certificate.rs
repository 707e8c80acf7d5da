//! A throw-away key with a self-signed certificate for 127.0.0.1.

use crate::support::external::skip_notice;
use std::path::Path;
use std::process::Command;

/// Makes `certificate.pem` and `key.pem` in `folder`; false, with a notice, where there is no openssl.
pub(crate) fn create(folder: &Path) -> bool {
    let names = [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1,DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ];
    let made = Command::new("openssl")
        .current_dir(folder)
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-keyout",
            "key.pem",
            "-out",
            "certificate.pem",
        ])
        .args(names)
        .output();
    match made {
        Ok(made) => {
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            true
        }
        Err(_) => {
            skip_notice("openssl is not installed");
            false
        }
    }
}

/// Configuration of an authority that signs certificates for a given period.
const AUTHORITY: &str = "[ca]\ndefault_ca = c\n[c]\ndatabase = index\nnew_certs_dir = .\ndefault_md = sha256\npolicy = p\nx509_extensions = e\n\
                         rand_serial = yes\n[p]\ncommonName = supplied\n[e]\nsubjectAltName = IP:127.0.0.1,DNS:localhost\nbasicConstraints = critical,CA:FALSE\n";

/// Replaces `certificate.pem` by one that has expired.
pub(crate) fn create_expired(folder: &Path) {
    std::fs::write(folder.join("ca.cnf"), AUTHORITY).expect("written");
    std::fs::write(folder.join("index"), "").expect("written");
    let request =
        ["req", "-new", "-key", "key.pem", "-out", "request.pem", "-subj", "/CN=127.0.0.1"];
    let sign = [
        "ca",
        "-batch",
        "-notext",
        "-selfsign",
        "-config",
        "ca.cnf",
        "-keyfile",
        "key.pem",
        "-in",
        "request.pem",
        "-out",
        "certificate.pem",
    ];
    let times = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"];
    for args in [&request[..], &[&sign[..], &times].concat()] {
        let ran =
            Command::new("openssl").current_dir(folder).args(args).output().expect("openssl runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
}
