//! The syslog sink against a real rsyslog server.

use crate::support::certificate;
use crate::support::external::external_part;
use crate::support::ports::reserve_port;
use crate::support::program::Program;
use crate::support::syslog_server::start_rsyslog;
use crate::support::waiting::wait_for;
use serde_json::Value;

#[test]
fn syslog_messages_arrive_whole_by_tls_and_tcp() {
    let Some(rsyslogd) = external_part("TRAILHOUND_RSYSLOGD") else { return };
    let program = Program::new();
    if !certificate::create(&program.path("")) {
        return;
    }
    for tls in [true, false] {
        let (port, received) = (reserve_port(), program.path("received"));
        let _ = std::fs::remove_file(&received);
        let mut server = start_rsyslog(port, &program, &rsyslogd, tls);
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
            (0, format!("s (syslog) accepted it: taken by 127.0.0.1:{port}\n").as_str()),
            "{}",
            ran.err
        );
        let written = || std::fs::read_to_string(&received).unwrap_or_default();
        let line = wait_for(
            || Some(written()).filter(|text| text.ends_with('\n')),
            || format!("nothing arrives: {}", written()),
        );
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
