//! The mail sink against a real SMTP server.

use crate::support::certificate;
use crate::support::external::external_part;
use crate::support::mail_server::MailServer;
use crate::support::program::Program;
use crate::support::service::Service;

/// How the mail is sent, and what the sink is told besides.
const MODES: [(&str, &str); 3] = [
    ("tls", "ca = \"certificate.pem\""),
    (
        "starttls",
        "ca = \"certificate.pem\"\nusername = \"trailhound\"\npassword = \"file:password\"",
    ),
    ("none", ""),
];

#[test]
fn mail_is_sent_by_tls_and_starttls_and_server_replies_are_understood() {
    let Some(python) = external_part("TRAILHOUND_CLIENTS_PYTHON") else { return };
    let program = Program::new();
    if !certificate::create(&program.path("")) {
        return;
    }
    program.write("password", "canary-7f3a\n");
    program.write("wrong", "other-password\n");
    for (mode, more) in MODES {
        let server = MailServer::start(&program, &python, mode);
        let write = |to: &str, more: &str| {
            program.write(
                "c.toml",
                format!(
                    "[[sink]]\nname = \"m\"\n[sink.mail]\nhost = \"127.0.0.1\"\nport = {}\nencryption = \"{mode}\"\nfrom = \"trailhound@example.com\"\n\
                     to = [{to}]\nlanguage = \"zh\"\n{more}\n",
                    server.port
                ),
            );
        };
        let test = || program.run(&["--config", "c.toml", "sinks", "test", "m"]);
        write("\"soc@example.com\", \"lead@example.com\"", more);
        let ran = test();
        let waits = ["does not accept it now", "try again later"];
        let is_told = ran.status == 1 && waits.iter().all(|text| ran.out.contains(text));
        assert!(is_told, "{mode}: {}{}", ran.out, ran.err);
        let ran = test();
        assert_eq!(
            (ran.status, ran.out.as_str()),
            (0, "m (mail) accepted it: OK queued as 7\n"),
            "{mode}"
        );
        assert_received(&server.mail(), mode);
        write("\"nobody@example.com\"", more);
        let ran = test();
        assert!(
            ran.status == 1
                && ran.out.contains("rejects it for good")
                && ran.out.contains("no such user"),
            "{mode}: {}",
            ran.out
        );
        if mode != "none" {
            // The certificate is not trusted.
            write("\"soc@example.com\"", &more.replace("ca = \"certificate.pem\"", ""));
            let ran = test();
            assert!(
                ran.status == 1 && ran.out.contains("UnknownIssuer"),
                "{mode}: {}{}",
                ran.out,
                ran.err
            );
        }
        if mode == "starttls" {
            write("\"soc@example.com\"", &more.replace("file:password", "file:wrong"));
            let ran = test();
            assert!(
                ran.status == 1
                    && ran.out.contains("rejects it")
                    && !ran.out.contains("other-password"),
                "{}",
                ran.out
            );
        }
    }
}

/// The mail that the server received has its sender, its receivers and its head.
fn assert_received(mail: &serde_json::Value, mode: &str) {
    assert_eq!(
        (&mail["from"], &mail["starttls"]),
        (&"trailhound@example.com".into(), &(mode == "starttls").into()),
        "{mode}"
    );
    assert_eq!(mail["to"], serde_json::json!(["soc@example.com", "lead@example.com"]));
    let data = mail["data"].as_str().expect("text");
    let head = ["Message-ID: <", ".1@trailhound>", "Subject: =?utf-8?"];
    assert!(head.iter().all(|part| data.contains(part)), "{data}");
}

#[test]
fn mail_is_not_sent_to_a_server_with_an_expired_certificate() {
    let Some(python) = external_part("TRAILHOUND_CLIENTS_PYTHON") else { return };
    let program = Program::new();
    if !certificate::create(&program.path("")) {
        return;
    }
    certificate::create_expired(&program.path(""));
    let server = MailServer::start(&program, &python, "tls");
    let to = "from = \"a@example.com\"\nto = [\"b@example.com\"]\nca = \"certificate.pem\"";
    program.write(
        "c.toml",
        format!(
            "[[sink]]\nname = \"m\"\n[sink.mail]\nhost = \"127.0.0.1\"\nport = {}\n{to}\n",
            server.port
        ),
    );
    let ran = program.run(&["--config", "c.toml", "sinks", "test", "m"]);
    assert!(
        ran.status == 1
            && ran.out.contains("does not accept it now")
            && ran.out.to_lowercase().contains("expired"),
        "{}{}",
        ran.out,
        ran.err
    );
}

#[test]
fn a_mail_password_is_never_sent_unencrypted() {
    let program = Program::new();
    program.write("password", "canary-7f3a\n");
    let secret_in_clear = "[[sink]]\nname = \"m\"\n[sink.mail]\nhost = \"127.0.0.1\"\nencryption = \"none\"\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\n\
                           username = \"x\"\npassword = \"file:password\"\n";
    program.write("c.toml", secret_in_clear);
    let ran = program.run(&["--config", "c.toml", "sinks", "test", "m"]);
    assert!(
        ran.status == 2 && ran.err.contains("a password is not sent without encryption"),
        "{}",
        ran.err
    );
}

#[test]
fn a_report_is_mailed_with_its_files_attached() {
    let Some(python) = external_part("TRAILHOUND_CLIENTS_PYTHON") else { return };
    let program = Program::new();
    if !certificate::create(&program.path("")) {
        return;
    }
    let server = MailServer::start(&program, &python, "none");
    let config = format!(
        "[service]\nlisten = \"127.0.0.1:0\"\n[[source.kafka]]\nname = \"t\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"t\"]\n\
         [[report]]\nname = \"daily\"\nschedule = \"0 8 * * *\"\nperiod = \"day\"\nlanguage = \"zh\"\nformats = [\"html\", \"csv\"]\nfolder = \"reports\"\n\
         sinks = [\"m\"]\n[[sink]]\nname = \"m\"\nrules = [\"AT-NONE\"]\n[sink.mail]\nhost = \"127.0.0.1\"\nport = {}\nencryption = \"none\"\n\
         from = \"trailhound@example.com\"\nto = [\"soc@example.com\"]\n",
        server.port
    );
    program.write("c.toml", config);
    let serve = |now: &str| {
        let mut command = program.command(&["--config", "c.toml", "serve", "--lake", "l"]);
        command.env("TRAILHOUND_NOW", now);
        Service::spawn(command)
    };
    let outbox = || program.catalog("l").outbox(None, None);
    let is_registered =
        || program.catalog("l").report_runs().iter().any(|(.., state)| state == "registered");
    let service = serve("2026-09-20T10:00:00Z");
    service.wait_until("its registration", |_| is_registered());
    service.kill();
    // The report is made, and the server defers the mail; a later start retries it.
    let service = serve("2026-09-21T08:00:00Z");
    service.wait_until("an attempt", |_| outbox().iter().any(|row| row["attempts"] == 1));
    service.kill();
    let service = serve("2026-09-21T08:10:00Z");
    let mail = server.mail();
    service.wait_until("the proof", |_| outbox().iter().all(|row| row["state"] == "delivered"));
    service.kill();
    assert_eq!(outbox().len(), 1);
    let data = mail["data"].as_str().expect("text");
    assert!(data.contains("Message-ID: <") && data.contains("Subject: =?utf-8?"), "{data}");
    for file in [
        "trailhound-security-2026-09-20-day.zh.html",
        "trailhound-security-2026-09-20-day.figures.csv",
    ] {
        assert!(data.contains(file), "{file} is not with it");
    }
    assert!(server.lines.try_recv().is_err(), "it came once");
}
