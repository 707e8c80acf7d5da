//! Sinks of every kind that are unavailable while findings come: each receives everything afterwards.

use crate::support::broker::{Broker, broker, read_messages};
use crate::support::external::external_part;
use crate::support::http_receiver::{HttpReceiver, Reply, Request, accepted_ids};
use crate::support::kafka_pipeline::KafkaPipeline;
use crate::support::mail_server::MailServer;
use crate::support::ports::reserve_port;
use crate::support::program::text;
use crate::support::syslog_server::start_rsyslog;
use std::collections::BTreeSet;

/// The answer with which each service accepts a message.
fn well(request: &Request) -> Reply {
    Reply::Respond(
        200,
        "",
        match request.target.split('?').next().unwrap_or_default() {
            "/slack" => "ok",
            "/feishu" => r#"{"code":0,"msg":"success"}"#,
            _ => r#"{"errcode":0,"errmsg":"ok"}"#,
        },
    )
}

/// Configures a sink of every kind: on the ports of the HTTP, mail and syslog servers, and in the topic of `servers`.
fn configure(pipeline: &KafkaPipeline, [http, mail, syslog]: [u16; 3], servers: &str) {
    let mut configuration = String::new();
    for (name, kind) in
        [("ding", "dingtalk"), ("feishu", "feishu"), ("wecom", "wecom"), ("slack", "slack")]
    {
        pipeline.program.write(name, format!("http://127.0.0.1:{http}/{name}"));
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
        servers
    ));
    pipeline.add_configuration(&configuration);
}

#[test]
fn every_kind_of_sink_receives_all_findings_after_an_outage() {
    let (Some(broker), Some(frozen)) = (broker(), Broker::start_dedicated()) else { return };
    let (Some(python), Some(rsyslogd)) =
        (external_part("TRAILHOUND_CLIENTS_PYTHON"), external_part("TRAILHOUND_RSYSLOGD"))
    else {
        return;
    };
    let pipeline = KafkaPipeline::new(broker, "told-away", 1, 20_000, 9);
    if !crate::support::certificate::create(&pipeline.program.path("")) {
        return;
    }
    frozen.create_topic("told-away", 1);
    let (http, mail, syslog) = (reserve_port(), reserve_port(), reserve_port());
    let sinks = ["hook", "ding", "feishu", "wecom", "slack", "alerts", "mail", "syslog", "topic"];
    configure(&pipeline, [http, mail, syslog], &frozen.servers());
    // The frozen broker accepts connections and answers nothing. On the ports of the other sinks nothing listens.
    frozen.signal("STOP");
    let service = pipeline.start_service();
    pipeline.publish(broker);
    service.wait_for_records("stored", 20_000);
    // An attempt to reach the frozen broker takes twenty seconds.
    service.wait_until("every one tried, and again", |_| {
        let rows = pipeline.outbox(None, None);
        let tried = |sink: &str| {
            rows.iter()
                .filter(|row| row["sink"] == sink)
                .filter_map(|row| row["attempts"].as_i64())
                .max()
        };
        sinks.iter().all(|sink| tried(sink) >= Some(if *sink == "topic" { 1 } else { 2 }))
    });
    let rows = pipeline.outbox(None, None);
    let waits = |row: &serde_json::Value| row["state"] == "pending" || row["state"] == "leased";
    assert!(rows.iter().all(waits), "nothing is given up: {rows:?}");
    let receiver = HttpReceiver::start_at(&format!("127.0.0.1:{http}"), |_, request| well(request));
    let _mail = MailServer::start_on(mail, &pipeline.program, &python, "none");
    let mut logging = start_rsyslog(syslog, &pipeline.program, &rsyslogd, false);
    frozen.signal("CONT");
    pipeline.program.run_ok(&["outbox", "retry", "--lake", "lake"]);
    service.wait_until("everything delivered", |_| pipeline.all_delivered());
    assert_eq!(service.stop().0, 0);
    let owed = pipeline.outbox_revisions("hook");
    assert!(owed.len() > 50, "{} findings are few", owed.len());
    for sink in sinks {
        assert_eq!(pipeline.outbox_revisions(sink), owed, "{sink}");
    }
    let at = |path: &str| -> Vec<Request> {
        receiver
            .requests()
            .into_iter()
            .filter(|request| request.target.split('?').next() == Some(path))
            .collect()
    };
    assert_eq!(accepted_ids(&at("/hook")), owed);
    for path in ["/ding", "/feishu", "/wecom", "/slack", "/api/v2/alerts"] {
        assert!(!at(path).is_empty(), "{path} was told nothing");
    }
    let ids: BTreeSet<String> =
        owed.iter().filter_map(|key| key.split('.').next()).map(str::to_owned).collect();
    let topic = read_messages(&frozen.servers(), "told-away", owed.len());
    assert!(ids.iter().all(|id| topic.contains_key(id)), "the topic lacks some");
    let received = std::fs::read_to_string(pipeline.program.path("received")).expect("text");
    let logged = received.lines().filter_map(|line| {
        serde_json::from_str::<serde_json::Value>(line.get(line.find('{')?..)?).ok()
    });
    assert_eq!(logged.map(|finding| text(&finding["finding_id"])).collect::<BTreeSet<_>>(), ids);
    drop(logging.stdin.take());
    logging.wait().expect("it ends");
}
