//! Tests the delivery of findings to sinks: all findings arrive despite failures of the service and
//! of the sinks.

use crate::support::broker::{broker, read_messages};
use crate::support::http_receiver::{HttpReceiver, Reply, Request, accepted_ids};
use crate::support::kafka_pipeline::{KafkaPipeline, revision_key};
use crate::support::mounts::{SmallDisk, with_hosts_file};
use crate::support::ports::reserve_port;
use crate::support::postgres::postgres;
use crate::support::program::text;
use crate::support::service::Service;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

const TAKEN: Reply = Reply::Respond(204, "", "");

/// The secret that webhook requests are signed with.
const SECRET: &str = "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0IHdoaWNoIGlzIG5vbmU=";

/// The revisions in the files of a file sink, rotated files included.
fn lines(pipeline: &KafkaPipeline, folder: &str) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(pipeline.program.path(folder))
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).expect("text"));
    texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .map(|line| revision_key(&serde_json::from_str(&line).expect("JSON")))
        .collect()
}

/// Answers to the first requests of the webhook sink, one fault each.
const FAULTS: [Reply; 11] = [
    Reply::Close,
    Reply::Respond(500, "", "oops"),
    Reply::Respond(429, "Retry-After: 1\r\n", ""),
    Reply::Respond(429, "", "slow down"),
    Reply::ResetMidBody,
    Reply::Respond(401, "", "no such token"),
    Reply::Respond(302, "Location: http://127.0.0.1/\r\n", ""),
    Reply::Respond(413, "", "too large"),
    Reply::Respond(404, "", ""),
    Reply::EndlessBody,
    Reply::NeverRespond,
];

/// The servers behind the sinks. Each answers as its service documents it.
struct Servers {
    hook: HttpReceiver,
    ding: HttpReceiver,
    feishu: HttpReceiver,
    wecom: HttpReceiver,
    slack: HttpReceiver,
    alerts: HttpReceiver,
}

impl Servers {
    fn start() -> Self {
        let robot = |answers: &'static [&'static str], well: &'static str| {
            // Without it, a rate-limited sink pauses for a minute.
            HttpReceiver::start(move |number, _| {
                Reply::Respond(
                    200,
                    "Retry-After: 1\r\n",
                    answers.get(number).copied().unwrap_or(well),
                )
            })
        };
        Self {
            hook: HttpReceiver::start(|number, _| FAULTS.get(number).cloned().unwrap_or(TAKEN)),
            ding: robot(
                &[
                    r#"{"errcode":310000,"errmsg":"sign not match"}"#,
                    r#"{"errcode":130101,"errmsg":"send too fast"}"#,
                ],
                r#"{"errcode":0,"errmsg":"ok"}"#,
            ),
            feishu: robot(&[], r#"{"code":0,"msg":"success"}"#),
            wecom: robot(&[], r#"{"errcode":0,"errmsg":"ok"}"#),
            slack: robot(&["no_text"], "ok"),
            alerts: HttpReceiver::start(|_, _| Reply::Respond(200, "", "")),
        }
    }

    /// Configures these servers, two files and a topic as sinks.
    fn configure(&self, pipeline: &KafkaPipeline, servers: &str) {
        pipeline.program.write("hook", format!("http://127.0.0.1:{}/findings", self.hook.port));
        for (name, robot) in [
            ("ding", &self.ding),
            ("feishu", &self.feishu),
            ("wecom", &self.wecom),
            ("slack", &self.slack),
        ] {
            pipeline
                .program
                .write(name, format!("http://127.0.0.1:{}/robot?key=canary-7f3a", robot.port));
        }
        pipeline.program.write("key", SECRET);
        pipeline.program.write("sec", "SECcanary-7f3a");
        let allowed = "private_allowed = [\"127.0.0.1/32\"]";
        pipeline.add_configuration(&format!(
            "[[sink]]\nname = \"file\"\n[sink.file]\npath = \"told/findings.jsonl\"\n\
             [[sink]]\nname = \"ocsf\"\nseverity_min = \"high\"\n[sink.file]\npath = \"ocsf/findings.jsonl\"\nform = \"ocsf\"\n\
             [[sink]]\nname = \"topic\"\n[sink.kafka]\nbootstrap_servers = \"{}\"\ntopic = \"told-findings\"\n\
             [[sink]]\nname = \"hook\"\n[sink.webhook]\nurl = \"file:hook\"\nsecret = \"file:key\"\n{allowed}\n\
             [[sink]]\nname = \"ding\"\n[sink.dingtalk]\nurl = \"file:ding\"\nsecret = \"file:sec\"\nlanguage = \"zh\"\n{allowed}\n\
             [[sink]]\nname = \"feishu\"\nrules = [\"AT-ROOT-*\"]\n[sink.feishu]\nurl = \"file:feishu\"\nsecret = \"file:sec\"\n{allowed}\n\
             [[sink]]\nname = \"wecom\"\nseverity_min = \"critical\"\n[sink.wecom]\nurl = \"file:wecom\"\n{allowed}\n\
             [[sink]]\nname = \"slack\"\n[sink.slack]\nurl = \"file:slack\"\n{allowed}\n\
             [[sink]]\nname = \"alerts\"\n[sink.alertmanager]\nurl = \"http://127.0.0.1:{}/api/v2/alerts\"\n{allowed}\n",
            servers, self.alerts.port
        ));
    }
}

/// Asserts which deliveries are dead-lettered, and their notes.
fn assert_dead_lettered(pipeline: &KafkaPipeline) {
    let dead_lettered = pipeline.outbox(None, Some("dead_lettered"));
    let notes: BTreeSet<String> = dead_lettered
        .iter()
        .map(|row| format!("{}: {}", text(&row["sink"]), text(&row["note"])))
        .collect();
    for expected in [
        "hook: HTTP 401: no such token",
        "hook: HTTP 413: too large",
        "hook: HTTP 404",
        "slack: HTTP 200: no_text",
    ] {
        assert!(notes.contains(expected), "{notes:?}");
    }
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("ding: HTTP 200") && note.contains("sign not match")),
        "{notes:?}"
    );
    assert!(
        notes.iter().any(|note| note.starts_with("hook: HTTP 302")
            && note.contains("redirects are not followed")),
        "{notes:?}"
    );
}

/// Asserts that each request is signed over id, time and body.
fn assert_signed(requests: &[Request]) {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"secret of the test which is none");
    for request in requests {
        let header = |name: &str| request.headers[name].as_str();
        let signed =
            format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), request.body);
        let tag = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            &header("webhook-signature")[3..],
        )
        .expect("base64");
        ring::hmac::verify(&key, signed.as_bytes(), &tag).expect("signed");
    }
}

/// Asserts that a burst is grouped in one message, and that filtered findings are not sent.
fn assert_told(pipeline: &KafkaPipeline, servers: &Servers, findings: usize) {
    let burst: Vec<Value> = servers.slack.requests().iter().map(Request::json).collect();
    assert!(burst.len() < findings / 2, "{} messages for {} findings", burst.len(), findings);
    assert!(
        burst
            .iter()
            .any(|message| text(&message["blocks"][0]["text"]["text"]).contains(" findings\n")),
        "{burst:?}"
    );
    let ding_messages: Vec<Request> = servers.ding.requests();
    assert!(
        ding_messages
            .iter()
            .all(|request| request.target.contains("&timestamp=")
                && request.target.contains("&sign="))
    );
    assert!(
        ding_messages
            .iter()
            .any(|request| text(&request.json()["text"]["content"]).contains("条检测结果"))
    );
    assert!(
        servers
            .feishu
            .requests()
            .iter()
            .all(|request| request.json()["sign"].is_string() && request.body.contains("AT-ROOT-"))
    );
    for row in pipeline.outbox(Some("wecom"), None) {
        assert_eq!(row["severity"], "critical");
    }
}

/// Alertmanager has an alert for each finding of `all`; the file in OCSF has findings of detections.
fn assert_alerts_and_ocsf(pipeline: &KafkaPipeline, servers: &Servers, all: &BTreeSet<String>) {
    let labels: BTreeSet<String> = servers
        .alerts
        .requests()
        .iter()
        .flat_map(|request| request.json().as_array().expect("alerts").clone())
        .map(|alert| text(&alert["labels"]["finding_id"]))
        .collect();
    assert_eq!(
        labels,
        all.iter().map(|key| key.split('.').next().expect("an id").to_owned()).collect()
    );
    let text = std::fs::read_to_string(pipeline.program.path("ocsf/findings.jsonl")).expect("text");
    let ocsf: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&ocsf["class_uid"], &ocsf["category_uid"]), (&2004.into(), &2.into()));
}

#[test]
fn every_finding_arrives_whatever_the_sinks_answer() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "told", 1, 20_000, 5);
    broker.create_topic("told-findings", 1);
    let servers = Servers::start();
    servers.configure(&pipeline, &broker.servers());
    let hook = &servers.hook;
    let mut service = pipeline.start_service();
    pipeline.publish(broker);
    service.wait_for_records("stored", 20_000);
    service.wait_for_findings(|open| open.contains_key("AT-HEALTH-002"));
    // Refused deliveries are dead-lettered until somebody retries them.
    service.wait_until("all faults", |_| hook.requests().len() > FAULTS.len());
    service.wait_until("nothing pending", |_| pipeline.outbox(None, Some("pending")).is_empty());
    assert_dead_lettered(&pipeline);
    pipeline.program.run_ok(&["outbox", "retry", "--lake", "lake"]);
    service.wait_until("everything delivered", |_| pipeline.all_delivered());

    // A reset connection leaves a delivery unsure; a rate-limited delivery was retried.
    assert!(pipeline.outbox(Some("hook"), None).iter().any(|row| row["unsure"].as_i64() > Some(0)));
    assert!(
        pipeline
            .outbox(Some("ding"), None)
            .iter()
            .any(|row| row["attempts"].as_i64() > Some(1) && row["unsure"] == 0)
    );

    // File: exactly once. All others: at least once.
    let all = pipeline.outbox_revisions("file");
    assert!(all.len() > 50, "{} findings are few", all.len());
    let written = lines(&pipeline, "told");
    assert_eq!((written.len(), &written.into_iter().collect::<BTreeSet<_>>()), (all.len(), &all));
    let topic = read_messages(&broker.servers(), "told-findings", all.len());
    assert!(topic.iter().all(|(id, bodies)| {
        bodies.iter().all(|body| body.contains(&format!("\"finding_id\":\"{id}\"")))
    }));
    let requests = hook.requests();
    assert_eq!(accepted_ids(&requests), pipeline.outbox_revisions("hook"));
    assert_eq!(pipeline.outbox_revisions("hook"), all);
    assert_signed(&requests);
    assert_told(&pipeline, &servers, all.len());
    assert_alerts_and_ocsf(&pipeline, &servers, &all);

    // The outbox is counted periodically.
    service.wait_until("nothing counted as waiting", |service| {
        ["pending", "parked"].iter().all(|state| {
            service.metric(&format!("trailhound_outbox{{sink=\"hook\",state=\"{state}\"}}")) == 0.0
        })
    });
    let delivered = "trailhound_deliveries_total{sink=\"hook\",outcome=\"delivered\"}";
    service.wait_until("every delivery counted", |service| {
        service.metric(delivered) as usize == all.len()
    });
    // No secret is printed.
    let said = service.take_log();
    assert!(!said.is_empty() && said.iter().all(|line| !line.contains("canary")), "{said:?}");
    let (status, _) = service.stop();
    assert_eq!(status, 0);
    let listed =
        pipeline.program.run_ok(&["--config", "serve.toml", "sinks", "list", "--lake", "lake"]);
    let rows = pipeline
        .program
        .run_ok(&["outbox", "list", "--lake", "lake", "--limit", "100000", "--format", "json"]);
    assert!(!listed.out.contains("canary") && !rows.out.contains("canary"));
}

#[test]
fn a_service_killed_while_delivering_loses_nothing_and_writes_each_finding_once() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "told-killed", 1, 20_000, 6);
    let hook = HttpReceiver::start(|_, _| TAKEN);
    let allowed = "private_allowed = [\"127.0.0.1/32\"]";
    pipeline.add_configuration(&format!(
        "[[sink]]\nname = \"file\"\n[sink.file]\npath = \"told/findings.jsonl\"\nrotate_mib = 1\n\
         [[sink]]\nname = \"hook\"\n[sink.webhook]\nurl = \"http://127.0.0.1:{}/\"\n{allowed}\n",
        hook.port
    ));
    pipeline.publish(broker);
    let kills: u32 =
        std::env::var("TRAILHOUND_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(8);
    let seed: u64 =
        std::env::var("TRAILHOUND_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(61);
    let mut rng = Pcg64::seed_from_u64(seed);
    for kill in 0..kills {
        // Some deliveries are queued again, so that each round has something to interrupt.
        let before = hook.requests().len();
        let service = pipeline.start_service();
        if kill == 0 {
            hook.wait_until("the first finding", |requests| !requests.is_empty());
        } else {
            pipeline.program.run_ok(&["outbox", "retry", "--lake", "lake"]);
        }
        let more = rng.random_range(0..20);
        // A kill at a random moment is the subject of this test.
        let moment = Duration::from_millis(rng.random_range(50..1500));
        hook.wait_at_most(moment, |requests| requests.len() >= before + more);
        service.kill();
    }
    // An incomplete last line, as a full disk or a crash leaves it.
    let path = pipeline.program.path("told/findings.jsonl");
    if path.exists() {
        std::fs::OpenOptions::new()
            .append(true)
            .open(path)
            .expect("open")
            .write_all(b"{\"revision\":1,\"torn")
            .expect("written");
    }
    let mut service = pipeline.start_service();
    let expected = crate::support::program::expected_findings(&pipeline.program.path("g"));
    service.wait_until("everything stored", |_| pipeline.ledger("stored") == 20_000);
    service.wait_until("the findings", |_| {
        let open = pipeline.program.catalog("lake").rules_with_findings();
        expected.keys().all(|rule| open.contains(rule))
    });
    service.wait_until("everything delivered", |_| pipeline.all_delivered());
    let (owed, written) = (pipeline.outbox_revisions("file"), lines(&pipeline, "told"));
    assert_eq!(written.len(), owed.len(), "seed {seed}");
    assert_eq!(written.into_iter().collect::<BTreeSet<_>>(), owed, "seed {seed}");
    assert_eq!(accepted_ids(&hook.requests()), pipeline.outbox_revisions("hook"), "seed {seed}");
    assert_eq!(service.take_log().iter().filter(|line| line.contains("panicked")).count(), 0);
    assert_eq!(service.stop().0, 0);
}

#[test]
fn a_file_sink_waits_for_a_full_disk_and_then_writes_each_finding_once() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "told-full", 1, 20_000, 7);
    let Some(disk) = SmallDisk::mount(&pipeline.program.path("told"), 4) else { return };
    disk.fill(3000);
    pipeline.add_configuration(
        "[[sink]]\nname = \"file\"\n[sink.file]\npath = \"told/findings.jsonl\"\n",
    );
    let service = pipeline.start_service();
    pipeline.publish(broker);
    service.wait_for_records("stored", 20_000);
    // Both in one row of one read: a retried row has the state `leased` in the next.
    service.wait_until("a failed attempt that says why", |_| {
        let why = |row: &Value| {
            row["attempts"].as_i64() > Some(0) && text(&row["note"]).contains("No space left")
        };
        pipeline.outbox(None, Some("pending")).iter().any(why)
    });
    disk.free();
    pipeline.program.run_ok(&["outbox", "retry", "--lake", "lake"]);
    service.wait_until("everything delivered", |_| {
        let rows = pipeline.outbox(None, None);
        rows.len() > 50 && rows.iter().all(|row| row["state"] == "delivered")
    });
    assert_eq!(service.stop().0, 0);
    let (owed, written) = (pipeline.outbox_revisions("file"), lines(&pipeline, "told"));
    assert_eq!((written.len(), written.into_iter().collect::<BTreeSet<_>>()), (owed.len(), owed));
}

#[test]
fn findings_wait_while_a_host_name_is_unknown_or_resolves_to_a_private_address() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "told-names", 1, 20_000, 8);
    let hosts = pipeline.program.write("hosts", "127.0.0.1 hook.example.com\n");
    let command = pipeline.program.command(&["--config", "serve.toml", "serve", "--lake", "lake"]);
    let Some(mut command) = with_hosts_file(&hosts, &command) else { return };
    command.env_remove("TRAILHOUND_NOW");
    // After three requests the name resolves to another address, and the open connection closes.
    let turning = hosts.clone();
    let port = reserve_port();
    let hook = HttpReceiver::start_at(&format!("127.0.0.1:{port}"), move |number, _| {
        if number == 3 {
            std::fs::write(&turning, "127.0.0.2 hook.example.com\n").expect("written");
            return Reply::Close;
        }
        TAKEN
    });
    let inside = HttpReceiver::start_at(&format!("127.0.0.2:{port}"), |_, _| TAKEN);
    let sink = |name: &str, host: &str| {
        let url = format!("http://{host}:{}/{name}", hook.port);
        format!(
            "[[sink]]\nname = \"{name}\"\n[sink.webhook]\nurl = \"{url}\"\nprivate_allowed = [\"127.0.0.1/32\"]\n"
        )
    };
    pipeline.add_configuration(
        &[sink("hook", "hook.example.com"), sink("gone", "gone.example.com")].concat(),
    );
    let service = Service::spawn(command);
    pipeline.publish(broker);
    service.wait_for_records("stored", 20_000);
    let waits = |sink: &str, why: &str| {
        pipeline
            .outbox(Some(sink), Some("pending"))
            .iter()
            .any(|row| text(&row["note"]).contains(why))
    };
    service
        .wait_until("the name seen through", |_| waits("hook", "127.0.0.2 is an internal address"));
    service.wait_until("the unknown name told", |_| waits("gone", "it could not be asked"));
    assert_eq!(inside.requests().len(), 0, "who was not meant was told");
    std::fs::write(&hosts, "127.0.0.1 hook.example.com gone.example.com\n").expect("written");
    pipeline.program.run_ok(&["outbox", "retry", "--lake", "lake"]);
    service.wait_until("everything delivered", |_| {
        let rows = pipeline.outbox(None, None);
        rows.len() > 100 && rows.iter().all(|row| row["state"] == "delivered")
    });
    assert_eq!(service.stop().0, 0);
    for name in ["hook", "gone"] {
        let requests: Vec<Request> = hook
            .requests()
            .into_iter()
            .filter(|request| request.target == format!("/{name}"))
            .collect();
        assert_eq!(accepted_ids(&requests), pipeline.outbox_revisions(name));
    }
    assert_eq!(inside.requests().len(), 0, "who was not meant was told");
}

#[test]
fn services_sharing_a_lake_deliver_each_finding_once() {
    let (Some(broker), Some(postgres)) = (broker(), postgres()) else { return };
    let pipeline = KafkaPipeline::new(broker, "told-shared", 2, 20_000, 24);
    crate::support::postgres::use_postgres_catalog(
        &pipeline.program,
        "lake",
        &postgres.database("told"),
    );
    let hook = HttpReceiver::start(|_, _| TAKEN);
    pipeline.add_configuration(&format!(
        "[[sink]]\nname = \"file\"\n[sink.file]\npath = \"told/findings.jsonl\"\n\
         [[sink]]\nname = \"hook\"\n[sink.webhook]\nurl = \"http://127.0.0.1:{}/\"\nprivate_allowed = [\"127.0.0.1/32\"]\n",
        hook.port
    ));
    let (first, second) = (pipeline.start_service(), pipeline.start_service());
    for service in [&first, &second] {
        service.wait_until_ready();
    }
    pipeline.publish(broker);
    hook.wait_until("some findings", |requests| requests.len() > 5);
    assert_eq!(first.stop().0, 0);
    second.wait_until("everything stored", |_| pipeline.ledger("stored") == 20_000);
    let expected: BTreeSet<String> =
        crate::support::program::expected_findings(&pipeline.program.path("g"))
            .into_keys()
            .collect();
    second.wait_until("the findings", |_| {
        expected.is_subset(&pipeline.program.catalog("lake").rules_with_findings())
    });
    second.wait_until("everything delivered", |_| pipeline.all_delivered());
    assert_eq!(second.stop().0, 0);
    let (owed, written) = (pipeline.outbox_revisions("file"), lines(&pipeline, "told"));
    assert_eq!((written.len(), written.into_iter().collect::<BTreeSet<_>>()), (owed.len(), owed));
    let ids: Vec<String> =
        hook.requests().iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert_eq!(ids.iter().cloned().collect::<BTreeSet<_>>(), pipeline.outbox_revisions("hook"));
    assert_eq!(
        ids.len(),
        pipeline.outbox_revisions("hook").len(),
        "nobody was killed, so nothing was sent twice"
    );
}

/// A sink with a mistake, and what the error says of it.
const MISTAKES: [(&str, &str); 12] = [
    ("", "it has no kind"),
    ("[sink.file]\npath = \"a\"\n[sink.slack]\nurl = \"env:X\"", "it is both file and slack"),
    ("[sink.webhook]\nurl = \"http://2130706433/\"", "127.0.0.1 is an internal address"),
    ("[sink.webhook]\nurl = \"https://user:canary@example.com/\"", "must not hold a user name"),
    ("[sink.slack]\nurl = \"https://hooks.example.com/canary\"", "a secret is given by reference"),
    (
        "[sink.dingtalk]\nurl = \"env:NO_SUCH_VARIABLE\"",
        "the environment has no `NO_SUCH_VARIABLE`",
    ),
    (
        "[sink.mail]\nhost = \"mail.example.com\"\nfrom = \"nobody\"\nto = [\"a@example.com\"]",
        "`nobody` is no address",
    ),
    (
        "[sink.mail]\nhost = \"mail.example.com\"\nfrom = \"a@example.com\"\nto = []",
        "`to` names nobody",
    ),
    ("severity_min = \"urgent\"\n[sink.file]\npath = \"a\"", "unknown variant `urgent`"),
    (
        "quiet = { from = \"22\", until = \"07:00\", time_zone = \"Asia/Shanghai\" }\n[sink.file]\npath = \"a\"",
        "write the time of day as",
    ),
    ("rules = [\"[\"]\n[sink.file]\npath = \"a\"", "rules: "),
    ("[sink.wehook]\nurl = \"x\"", "did you mean `webhook`"),
];

#[test]
fn sinks_test_sends_a_message_and_reports_wrong_configuration() {
    let program = crate::support::program::Program::new();
    let hook =
        HttpReceiver::start(
            |number, _| if number == 0 { TAKEN } else { Reply::Respond(403, "", "gone away") },
        );
    let write = |sink: &str| program.write("c.toml", format!("[[sink]]\nname = \"s\"\n{sink}\n"));
    let test = || program.run(&["--config", "c.toml", "sinks", "test", "s"]);
    let url = format!("url = \"http://127.0.0.1:{}/\"", hook.port);
    write(&format!("[sink.webhook]\n{url}\nprivate_allowed = [\"127.0.0.1/32\"]"));
    let first = test();
    assert_eq!((first.status, first.out.as_str()), (0, "s (webhook) accepted it: HTTP 204\n"));
    assert_eq!(hook.requests()[0].json()["rule_id"], "AT-HEALTH-000");
    let second = test();
    assert_eq!(
        (second.status, second.out.as_str()),
        (1, "s (webhook) rejects it for good: HTTP 403: gone away\n")
    );
    let not_allowed = format!("[sink.webhook]\n{url}");
    let not_allowed = (&*not_allowed, "private_allowed = [\"127.0.0.1/32\"]");
    for (sink, complaint) in MISTAKES.into_iter().chain([not_allowed]) {
        write(sink);
        let ran = test();
        assert_eq!(ran.status, 2, "{sink}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(complaint) && !ran.err.contains("canary"), "{sink}: {}", ran.err);
    }
    write("[sink.file]\npath = \"a\"\n[[sink]]\nname = \"s\"\n[sink.file]\npath = \"b\"");
    assert!(test().err.contains("another sink has this name"));
    write("[sink.file]\npath = \"a/findings.jsonl\"");
    assert_eq!(test().status, 0);
    assert!(
        program
            .run(&["--config", "c.toml", "sinks", "test", "other"])
            .err
            .contains("there is no sink `other`; there is s")
    );
    // A symlink is not followed.
    std::os::unix::fs::symlink("elsewhere", program.path("link")).expect("a link");
    write("[sink.file]\npath = \"link\"");
    let ran = test();
    assert_eq!(ran.status, 1, "{}", ran.out);
    assert!(!program.path("elsewhere").exists());
}

#[test]
fn the_example_of_the_documentation_is_a_valid_configuration() {
    let program = crate::support::program::Program::new();
    let page = include_str!("../../docs/sinks.md")
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("an example");
    program.write("page.toml", page);
    let mut command = program.command(&[
        "--config",
        "page.toml",
        "sinks",
        "list",
        "--lake",
        "none",
        "--format",
        "csv",
    ]);
    command
        .env("DINGTALK_URL", "https://oapi.dingtalk.com/robot/send?access_token=x")
        .env("DINGTALK_SECRET", "SECx");
    let listed = String::from_utf8(command.output().expect("it runs").stdout).expect("text");
    assert_eq!(
        listed.lines().skip(1).collect::<Vec<_>>(),
        ["archive,file,0,0,0,,0", "oncall,dingtalk,0,0,0,,0"]
    );
}
