//! Sinks of every kind that are away while findings come: each is told everything when it is back.

use crate::broker::{Broker, broker};
use crate::live::Stage;
use crate::mail_and_syslog::{MailServer, free_port, start_syslog};
use crate::part::part;
use crate::program::text;
use crate::receiver::{Receiver, Reply, Request};
use crate::sinks::{messages, taken};
use std::collections::BTreeSet;

/// Each as its service answers that has taken a message.
fn well(request: &Request) -> Reply {
    Reply::Say(
        200,
        "",
        match request.target.split('?').next().unwrap_or_default() {
            "/slack" => "ok",
            "/feishu" => r#"{"code":0,"msg":"success"}"#,
            _ => r#"{"errcode":0,"errmsg":"ok"}"#,
        },
    )
}

#[test]
fn whoever_was_away_is_told_everything_when_back() {
    let (Some(broker), Some(frozen)) = (broker(), Broker::own()) else { return };
    let (Some(python), Some(rsyslogd)) =
        (part("TRAILHOUND_CLIENTS_PYTHON"), part("TRAILHOUND_RSYSLOGD"))
    else {
        return;
    };
    let stage = Stage::new(broker, "told-away", 1, 20_000, 9);
    if !crate::certificate::make(&stage.program.path("")) {
        return;
    }
    frozen.create_topic("told-away", 1);
    let (http, mail, syslog) = (free_port(), free_port(), free_port());
    let sinks = ["hook", "ding", "feishu", "wecom", "slack", "alerts", "mail", "syslog", "topic"];
    let mut configuration = String::new();
    for (name, kind) in
        [("ding", "dingtalk"), ("feishu", "feishu"), ("wecom", "wecom"), ("slack", "slack")]
    {
        stage.program.write(name, format!("http://127.0.0.1:{http}/{name}"));
        configuration.push_str(&format!(
            "[[sink]]\nname = \"{name}\"\n[sink.{kind}]\nurl = \"file:{name}\"\nprivate_allowed = [\"127.0.0.1/32\"]\n"
        ));
    }
    for (name, kind, path) in
        [("hook", "webhook", "hook"), ("alerts", "alertmanager", "api/v2/alerts")]
    {
        let url = format!("http://127.0.0.1:{http}/{path}");
        configuration
            .push_str(&format!("[[sink]]\nname = \"{name}\"\n[sink.{kind}]\nurl = \"{url}\"\nprivate_allowed = [\"127.0.0.1/32\"]\n"));
    }
    configuration.push_str(&format!(
        "[[sink]]\nname = \"mail\"\n[sink.mail]\nhost = \"127.0.0.1\"\nport = {mail}\nencryption = \"none\"\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\n\
         [[sink]]\nname = \"syslog\"\n[sink.syslog]\nhost = \"127.0.0.1\"\nport = {syslog}\ntls = false\n\
         [[sink]]\nname = \"topic\"\n[sink.kafka]\nbootstrap_servers = \"{}\"\ntopic = \"told-away\"\n",
        frozen.servers()
    ));
    stage.tell(&configuration);
    // The one takes connections and says nothing; where the others should be nobody listens.
    frozen.signal("STOP");
    let service = stage.serve();
    stage.send(broker);
    service.wait_until("everything stored", |service| {
        service.metric("trailhound_records_total{fate=\"stored\"}") as u64 == 20_000
    });
    // An attempt at who says nothing takes its twenty seconds.
    service.wait_until("every one tried, and again", |_| {
        let rows = stage.outbox(&[]);
        let tried = |sink: &str| {
            rows.iter()
                .filter(|row| row["sink"] == sink)
                .filter_map(|row| row["attempts"].as_i64())
                .max()
        };
        sinks.iter().all(|sink| tried(sink) >= Some(if *sink == "topic" { 1 } else { 2 }))
    });
    assert!(
        stage.outbox(&[]).iter().all(|row| row["state"] == "pending" || row["state"] == "leased"),
        "nothing is given up"
    );
    let receiver = Receiver::start_at(&format!("127.0.0.1:{http}"), |_, request| well(request));
    let _mail = MailServer::start_on(mail, &stage.program, &python, "none");
    let mut logging = start_syslog(syslog, &stage.program, &rsyslogd, false);
    frozen.signal("CONT");
    stage.program.ok(&["outbox", "retry", "--lake", "lake"]);
    service.wait_until("everything delivered", |_| {
        stage.outbox(&[]).iter().all(|row| row["state"] == "delivered")
    });
    assert_eq!(service.end().0, 0);
    let owed = stage.owed("hook");
    assert!(owed.len() > 50, "{} findings are few", owed.len());
    for sink in sinks {
        assert_eq!(stage.owed(sink), owed, "{sink}");
    }
    let at = |path: &str| -> Vec<Request> {
        receiver
            .requests()
            .into_iter()
            .filter(|request| request.target.split('?').next() == Some(path))
            .collect()
    };
    assert_eq!(taken(&at("/hook")), owed);
    for path in ["/ding", "/feishu", "/wecom", "/slack", "/api/v2/alerts"] {
        assert!(!at(path).is_empty(), "{path} was told nothing");
    }
    let ids: BTreeSet<String> =
        owed.iter().filter_map(|key| key.split('.').next()).map(str::to_owned).collect();
    let topic = messages(&frozen.servers(), "told-away", owed.len());
    assert!(ids.iter().all(|id| topic.contains_key(id)), "the topic lacks some");
    let received = std::fs::read_to_string(stage.program.path("received")).expect("text");
    let logged = received.lines().filter_map(|line| {
        serde_json::from_str::<serde_json::Value>(line.get(line.find('{')?..)?).ok()
    });
    assert_eq!(logged.map(|finding| text(&finding["finding_id"])).collect::<BTreeSet<_>>(), ids);
    drop(logging.stdin.take());
    logging.wait().expect("it ends");
}
