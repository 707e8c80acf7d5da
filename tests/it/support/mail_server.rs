//! Runs a real SMTP server (aiosmtpd) as a child process.

use crate::support::ports::{reserve_port, wait_until_listening};
use crate::support::program::Program;
use crate::support::waiting::PATIENCE;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The Python script of the server. It answers the first message with a temporary failure (451) and
/// rejects the recipient `nobody`. It prints each accepted message as one line of JSON.
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
    pub(crate) child: Child,
    pub(crate) lines: std::sync::mpsc::Receiver<String>,
    pub(crate) port: u16,
}

impl MailServer {
    pub(crate) fn start(program: &Program, python: &str, mode: &str) -> Self {
        Self::start_on(reserve_port(), program, python, mode)
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
        wait_until_listening(port);
        Self { child, lines, port }
    }

    pub(crate) fn mail(&self) -> Value {
        serde_json::from_str(&self.lines.recv_timeout(PATIENCE).expect("a mail")).expect("JSON")
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
