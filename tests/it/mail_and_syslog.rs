//! Sinks that speak neither HTTP nor Kafka, against real servers: aiosmtpd and rsyslog.

use crate::certificate;
use crate::part::{keep, part};
use crate::program::Program;
use crate::service::Service;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

fn wait_for(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A mail server that prints what it takes; the first message it puts off, and mail to `nobody` it refuses.
const MAIL_SERVER: &str = r#"
import json, ssl, sys
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
port, mode = int(sys.argv[1]), sys.argv[2]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("certificate.pem", "key.pem")
class Handler:
    first = True
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        if self.first:
            self.first = False
            return "451 try again later"
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "starttls": session.ssl is not None,
                          "data": envelope.content.decode()}), flush=True)
        return "250 OK queued as 7"
def check(server, session, envelope, mechanism, data):
    good = data.login == b"trailhound" and data.password == b"canary-7f3a"
    return AuthResult(success=good, handled=False)
options = {"tls": {"ssl_context": context}, "starttls": {"tls_context": context, "require_starttls": True}, "none": {}}[mode]
if mode == "starttls":
    options |= {"authenticator": check, "auth_required": True}
Controller(Handler(), hostname="127.0.0.1", port=port, **options).start()
sys.stdin.read()
"#;

pub(crate) struct MailServer {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
    port: u16,
}

impl MailServer {
    fn start(program: &Program, python: &str, mode: &str) -> Self {
        Self::start_on(free_port(), program, python, mode)
    }

    pub(crate) fn start_on(port: u16, program: &Program, python: &str, mode: &str) -> Self {
        let mut child = Command::new(python)
            .current_dir(program.path(""))
            .args(["-c", MAIL_SERVER, &port.to_string(), mode])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python runs");
        let (sender, lines) = std::sync::mpsc::channel();
        let out = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        wait_for(port);
        Self { child, lines, port }
    }

    fn mail(&self) -> Value {
        serde_json::from_str(&self.lines.recv_timeout(Duration::from_secs(30)).expect("a mail"))
            .expect("JSON")
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn mail_goes_by_tls_and_what_the_server_says_is_understood() {
    let Some(python) = part("TRAILHOUND_CLIENTS_PYTHON") else { return };
    let program = Program::new();
    if !certificate::make(&program.path("")) {
        return;
    }
    program.write("password", "canary-7f3a\n");
    program.write("wrong", "other-password\n");
    for (mode, more) in [
        ("tls", "ca = \"certificate.pem\""),
        (
            "starttls",
            "ca = \"certificate.pem\"\nusername = \"trailhound\"\npassword = \"file:password\"",
        ),
        ("none", ""),
    ] {
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
        assert!(
            ran.status == 1
                && ran.out.contains("does not take it now")
                && ran.out.contains("try again later"),
            "{mode}: {}{}",
            ran.out,
            ran.err
        );
        let ran = test();
        assert_eq!(
            (ran.status, ran.out.as_str()),
            (0, "m (mail) has taken it: OK queued as 7\n"),
            "{mode}"
        );
        let mail = server.mail();
        assert_eq!(
            (&mail["from"], &mail["starttls"]),
            (&"trailhound@example.com".into(), &(mode == "starttls").into()),
            "{mode}"
        );
        assert_eq!(mail["to"], serde_json::json!(["soc@example.com", "lead@example.com"]));
        let data = mail["data"].as_str().expect("text");
        assert!(
            data.contains("Message-ID: <")
                && data.contains(".1@trailhound>")
                && data.contains("Subject: =?utf-8?"),
            "{data}"
        );
        write("\"nobody@example.com\"", more);
        let ran = test();
        assert!(
            ran.status == 1
                && ran.out.contains("refuses it, and will again")
                && ran.out.contains("no such user"),
            "{mode}: {}",
            ran.out
        );
        if mode != "none" {
            // Nobody vouches for that certificate.
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
                    && ran.out.contains("refuses it")
                    && !ran.out.contains("other-password"),
                "{}",
                ran.out
            );
        }
    }
}

#[test]
fn mail_does_not_go_to_a_server_whose_certificate_has_expired() {
    let Some(python) = part("TRAILHOUND_CLIENTS_PYTHON") else { return };
    let program = Program::new();
    if !certificate::make(&program.path("")) {
        return;
    }
    certificate::expire(&program.path(""));
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
            && ran.out.contains("does not take it now")
            && ran.out.to_lowercase().contains("expired"),
        "{}{}",
        ran.out,
        ran.err
    );
}

#[test]
fn a_password_does_not_go_in_clear_text() {
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
fn a_report_goes_with_its_files() {
    let Some(python) = part("TRAILHOUND_CLIENTS_PYTHON") else { return };
    let program = Program::new();
    if !certificate::make(&program.path("")) {
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
    let outbox = || {
        program
            .run(&["--config", "c.toml", "outbox", "list", "--lake", "l", "--format", "json"])
            .json()
    };
    let listed = || program.run(&["--config", "c.toml", "report", "--list", "--lake", "l"]).out;
    let service = serve("2026-09-20T10:00:00Z");
    service.wait_until("its registration", |_| listed().contains("registered"));
    service.kill();
    // Made, told, and put off by the server; a later start tries again.
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

/// A server that writes what it receives into the file `received`.
pub(crate) fn start_syslog(port: u16, program: &Program, rsyslogd: &str, tls: bool) -> Child {
    let file = |name: &str| program.path(name).display().to_string();
    let (module, driver) = if tls {
        let keys = format!(
            "global(DefaultNetstreamDriverCAFile=\"{certificate}\" DefaultNetstreamDriverCertFile=\"{certificate}\" DefaultNetstreamDriverKeyFile=\"{}\")\n",
            file("key.pem"),
            certificate = file("certificate.pem"),
        );
        (keys, "StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\"")
    } else {
        (String::new(), "")
    };
    program.write(
        "rsyslog.conf",
        format!(
            "global(workDirectory=\"{}\" maxMessageSize=\"64k\")\n{module}module(load=\"imtcp\" {driver})\n\
             input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
             template(name=\"t\" type=\"string\" string=\"%syslogfacility-text% %syslogseverity-text% %app-name% %msgid% %msg%\\n\")\n\
             action(type=\"omfile\" file=\"{}\" template=\"t\")\n",
            file("."),
            file("received"),
        ),
    );
    let server =
        keep(rsyslogd, ["-n", "-f", &file("rsyslog.conf"), "-i", &file(&format!("pid-{port}"))]);
    wait_for(port);
    server
}

#[test]
fn syslog_goes_by_tls_and_arrives_whole() {
    let Some(rsyslogd) = part("TRAILHOUND_RSYSLOGD") else { return };
    let program = Program::new();
    if !certificate::make(&program.path("")) {
        return;
    }
    for tls in [true, false] {
        let (port, received) = (free_port(), program.path("received"));
        let _ = std::fs::remove_file(&received);
        let mut server = start_syslog(port, &program, &rsyslogd, tls);
        let write = |ca: &str| {
            program.write(
                "c.toml",
                format!("[[sink]]\nname = \"s\"\n[sink.syslog]\nhost = \"127.0.0.1\"\nport = {port}\ntls = {tls}\n{ca}\n"),
            );
        };
        write("ca = \"certificate.pem\"");
        let ran = program.run(&["--config", "c.toml", "sinks", "test", "s"]);
        assert_eq!(
            (ran.status, ran.out.as_str()),
            (0, format!("s (syslog) has taken it: taken by 127.0.0.1:{port}\n").as_str()),
            "{}",
            ran.err
        );
        let deadline = Instant::now() + Duration::from_secs(30);
        let line = loop {
            let text = std::fs::read_to_string(&received).unwrap_or_default();
            if text.ends_with('\n') {
                break text;
            }
            assert!(Instant::now() < deadline, "nothing arrives: {text}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let (head, body) = line.split_once('{').expect("an object");
        assert_eq!(
            head.trim_end_matches('\u{feff}').trim(),
            "local0 info trailhound AT-HEALTH-000"
        );
        let finding: Value = serde_json::from_str(&format!("{{{body}")).expect("JSON");
        assert_eq!(finding["title_zh"], "告警通道测试");
        if tls {
            write("");
            let ran = program.run(&["--config", "c.toml", "sinks", "test", "s"]);
            assert!(ran.status == 1 && ran.out.contains("UnknownIssuer"), "{}{}", ran.out, ran.err);
        }
        drop(server.stdin.take());
        server.wait().expect("it ends");
    }
}
