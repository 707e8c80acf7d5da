//! Reports on a schedule: made once, retried, delivered.

use crate::support::http_receiver::{HttpReceiver, Reply};
use crate::support::mounts::SmallDisk;
use crate::support::postgres::{postgres, use_postgres_catalog};
use crate::support::program::Program;
use crate::support::reports::read;
use crate::support::service::Service;
use serde_json::json;
use std::collections::BTreeSet;

/// A daily report that catches up on all missed times, a weekly one, and a daily one that skips missed times.
const SCHEDULE: &str = r#"
[service]
listen = "127.0.0.1:0"

[[source.kafka]]
name = "trail"
bootstrap_servers = "127.0.0.1:1"
topics = ["t"]

[[report]]
name = "daily"
schedule = "30 8 * * *"
time_zone = "Asia/Shanghai"
period = "day"
formats = ["json"]
folder = "daily"
catch_up = "all"

[[report]]
name = "weekly"
schedule = "0 9 * * MON"
period = "week"
profile = "audit"
language = "zh"
formats = ["html", "json"]
folder = "weekly"

[[report]]
name = "watched"
schedule = "0 12 * * *"
period = "day"
formats = ["json"]
folder = "watched"
catch_up = "none"
"#;

fn runs(program: &Program) -> Vec<(String, String, String)> {
    program.catalog("l").report_runs()
}

/// Runs the service at `now` until the runs in `due` are recorded.
fn serve_at(program: &Program, now: &str, due: &[(&str, &str, &str)]) {
    let mut command = program.command(&["--config", "schedule.toml", "serve", "--lake", "l"]);
    command.env("TRAILHOUND_NOW", now);
    let service = Service::spawn(command);
    let there = |runs: &[(String, String, String)]| {
        due.iter().all(|(name, time, state)| {
            runs.contains(&((*name).to_owned(), (*time).to_owned(), (*state).to_owned()))
        })
    };
    service.wait_until("the schedule", |_| there(&runs(program)));
    service.kill();
}

/// The reports in `folder`, by name.
fn made(program: &Program, folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(program.path(folder))
        .expect("a folder")
        .map(|file| file.expect("a file").file_name().into_string().expect("text"));
    let mut files: Vec<String> = files.filter(|name| name.ends_with(".json")).collect();
    files.sort();
    files
}

#[test]
fn each_report_is_made_once_across_restarts_and_downtime() {
    let program = Program::new();
    program.write("schedule.toml", SCHEDULE);
    // Sunday: registered.
    serve_at(
        &program,
        "2026-09-20T10:00:00Z",
        &[
            ("daily", "2026-09-20T10:00:00Z", "registered"),
            ("watched", "2026-09-20T10:00:00Z", "registered"),
        ],
    );
    // Monday, a minute before, on time, and again.
    serve_at(&program, "2026-09-21T00:29:59Z", &[]);
    assert!(!program.path("daily").exists());
    serve_at(&program, "2026-09-21T00:30:00Z", &[("daily", "2026-09-21T00:30:00Z", "made")]);
    let first = std::fs::metadata(program.path("daily/trailhound-security-2026-09-20-day.json"))
        .and_then(|file| file.modified())
        .expect("made");
    serve_at(
        &program,
        "2026-09-21T09:05:00Z",
        &[
            ("weekly", "2026-09-21T09:00:00Z", "made"),
            ("watched", "2026-09-20T12:00:00Z", "skipped"),
        ],
    );
    // Three days later: each missed `daily` is made, each missed `watched` is skipped.
    serve_at(
        &program,
        "2026-09-24T12:30:00Z",
        &[
            ("daily", "2026-09-22T00:30:00Z", "made"),
            ("daily", "2026-09-23T00:30:00Z", "made"),
            ("daily", "2026-09-24T00:30:00Z", "made"),
            ("watched", "2026-09-23T12:00:00Z", "skipped"),
            ("watched", "2026-09-24T12:00:00Z", "skipped"),
        ],
    );
    // Two weeks later: of the missed weekly reports the last is made.
    serve_at(
        &program,
        "2026-10-06T00:00:00Z",
        &[
            ("daily", "2026-10-05T00:30:00Z", "made"),
            ("weekly", "2026-10-05T09:00:00Z", "made"),
            ("daily", "2026-10-04T00:30:00Z", "made"),
        ],
    );
    // Fifteen days, each once, by the calendar of Shanghai.
    let days = made(&program, "daily");
    assert_eq!(days.len(), 15, "{days:?}");
    assert_eq!(
        (days[0].as_str(), days[14].as_str()),
        ("trailhound-security-2026-09-20-day.json", "trailhound-security-2026-10-04-day.json")
    );
    assert_eq!(
        made(&program, "weekly"),
        ["trailhound-audit-2026-09-14-week.json", "trailhound-audit-2026-09-28-week.json"]
    );
    let unchanged =
        std::fs::metadata(program.path("daily/trailhound-security-2026-09-20-day.json"))
            .and_then(|file| file.modified())
            .expect("there");
    assert_eq!(first, unchanged, "none is made twice");
    assert!(!program.path("watched").exists());
}

#[test]
fn services_sharing_a_lake_make_each_report_once() {
    let Some(postgres) = postgres() else { return };
    let program = Program::new();
    use_postgres_catalog(&program, "l", &postgres.database("reports"));
    let hook = HttpReceiver::start(|_, _| Reply::Respond(204, "", ""));
    let sink = format!(
        "[[sink]]\nname = \"hook\"\nrules = [\"AT-NONE\"]\n[sink.webhook]\nurl = \"http://127.0.0.1:{}/\"\nprivate_allowed = [\"127.0.0.1/32\"]\n",
        hook.port
    );
    program.write(
        "schedule.toml",
        SCHEDULE.replace("folder = \"daily\"", "folder = \"daily\"\nsinks = [\"hook\"]") + &sink,
    );
    serve_at(&program, "2026-09-20T10:00:00Z", &[("daily", "2026-09-20T10:00:00Z", "registered")]);
    let serve = || {
        let mut command = program.command(&["--config", "schedule.toml", "serve", "--lake", "l"]);
        command.env("TRAILHOUND_NOW", "2026-09-24T12:30:00Z");
        Service::spawn(command)
    };
    let services = [serve(), serve()];
    hook.wait_until("the messages", |requests| requests.len() == 4);
    let made = |service: &Service| {
        service.metric("trailhound_reports_total{report=\"daily\",outcome=\"made\"}") as u32
    };
    services[0].wait_until("all made", |_| services.iter().map(made).sum::<u32>() == 4);
    let delivered = |service: &Service| {
        service.metric("trailhound_deliveries_total{sink=\"hook\",outcome=\"delivered\"}") as u32
    };
    services[0].wait_until("all told", |_| services.iter().map(delivered).sum::<u32>() == 4);
    for service in services {
        service.kill();
    }
    let ids: BTreeSet<String> =
        hook.requests().iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert_eq!((ids.len(), hook.requests().len()), (4, 4), "{ids:?}");
    let listed = runs(&program);
    assert_eq!(
        listed.iter().filter(|(name, _, state)| name == "daily" && state == "made").count(),
        4,
        "{listed:?}"
    );
    assert_eq!(std::fs::read_dir(program.path("daily")).expect("a folder").count(), 4);
}

#[test]
fn a_chat_sink_receives_the_key_figures_and_the_link_of_a_report() {
    let program = Program::new();
    let chat =
        HttpReceiver::start(|_, _| Reply::Respond(200, "", r#"{"errcode":0,"errmsg":"ok"}"#));
    let hook = HttpReceiver::start(|_, _| Reply::Respond(204, "", ""));
    program.write("robot", format!("http://127.0.0.1:{}/robot", chat.port));
    let sinks = format!(
        "[[sink]]\nname = \"group\"\nrules = [\"AT-NONE\"]\n[sink.dingtalk]\nurl = \"file:robot\"\nprivate_allowed = [\"127.0.0.1/32\"]\n\
         [[sink]]\nname = \"hook\"\nrules = [\"AT-NONE\"]\n[sink.webhook]\nurl = \"http://127.0.0.1:{}/\"\nprivate_allowed = [\"127.0.0.1/32\"]\n",
        hook.port
    );
    let told = "sinks = [\"group\", \"hook\"]\nlink = \"https://reports.example.com/\"\nfolder = \"daily\"";
    program.write("schedule.toml", SCHEDULE.replace("folder = \"daily\"", told) + &sinks);
    serve_at(&program, "2026-09-20T10:00:00Z", &[("daily", "2026-09-20T10:00:00Z", "registered")]);
    let mut command = program.command(&["--config", "schedule.toml", "serve", "--lake", "l"]);
    command.env("TRAILHOUND_NOW", "2026-09-21T00:30:00Z");
    let service = Service::spawn(command);
    chat.wait_until("the message", |requests| requests.len() == 1);
    hook.wait_until("the request", |requests| requests.len() == 1);
    let outbox = || program.catalog("l").outbox(None, None);
    service.wait_until("the proof", |_| outbox().iter().all(|row| row["state"] == "delivered"));
    service.kill();
    let text = crate::support::program::text(&chat.requests()[0].json()["text"]["content"]);
    let place = "https://reports.example.com/trailhound-security-2026-09-20-day.json";
    for says in
        ["Security report, 2026-09-20 (Asia/Shanghai)", "critical findings: 0 (before 0)", place]
    {
        assert!(text.contains(says), "{text}");
    }
    let request = &hook.requests()[0];
    assert_eq!((&request.json()["places"][0], outbox().len()), (&json!(place), 2));
    assert!(request.headers["webhook-id"].starts_with("report:daily:"));
}

#[test]
fn a_failed_report_is_recorded_and_made_when_possible() {
    let program = Program::new();
    program.write("schedule.toml", SCHEDULE);
    // A file has the name of the report folder.
    program.write("daily", "");
    serve_at(&program, "2026-09-20T10:00:00Z", &[("daily", "2026-09-20T10:00:00Z", "registered")]);
    serve_at(&program, "2026-09-21T00:30:00Z", &[("daily", "2026-09-21T00:30:00Z", "failed")]);
    std::fs::remove_file(program.path("daily")).expect("removed");
    serve_at(&program, "2026-09-21T00:40:00Z", &[("daily", "2026-09-21T00:30:00Z", "made")]);
    assert!(program.path("daily/trailhound-security-2026-09-20-day.json").exists());
}

#[test]
fn a_report_waits_for_a_full_disk_and_follows_no_symlink() {
    let program = Program::new();
    let Some(disk) = SmallDisk::mount(&program.path("daily"), 1) else { return };
    program.write("schedule.toml", SCHEDULE);
    let elsewhere = program.write("elsewhere", "of somebody else");
    let file = program.path("daily/trailhound-security-2026-09-20-day.json");
    std::os::unix::fs::symlink(&elsewhere, &file).expect("a link");
    disk.fill(0);
    serve_at(&program, "2026-09-20T10:00:00Z", &[("daily", "2026-09-20T10:00:00Z", "registered")]);
    serve_at(&program, "2026-09-21T00:30:00Z", &[("daily", "2026-09-21T00:30:00Z", "failed")]);
    let listed = program.run_ok(&["--config", "schedule.toml", "report", "--lake", "l", "--list"]);
    assert!(listed.out.contains("No space left"), "{}", listed.out);
    assert!(
        std::fs::symlink_metadata(&file).expect("there").is_symlink(),
        "what stood there stays"
    );
    disk.free();
    serve_at(&program, "2026-09-21T00:40:00Z", &[("daily", "2026-09-21T00:30:00Z", "made")]);
    assert!(std::fs::symlink_metadata(&file).expect("there").is_file());
    assert_eq!(read(&file)["profile"], "security");
    assert_eq!(std::fs::read_to_string(elsewhere).expect("there"), "of somebody else");
}

#[test]
fn invalid_schedules_are_refused_at_start() {
    let program = Program::new();
    for (from, to, says) in [
        ("30 8 * * *", "30 25 * * *", "schedule"),
        ("30 8 * * *", "soon", "schedule"),
        ("30 8 * * *", "0 0 31 2 *", "never comes"),
        ("Asia/Shanghai", "Asia/Shangai", "Asia/Shangai"),
        ("profile = \"audit\"", "profile = \"audti\"", "there is no profile `audti`"),
        ("name = \"weekly\"", "name = \"daily\"", "two [[report]] are called `daily`"),
        ("catch_up = \"all\"", "catch_up = \"some\"", "catch_up"),
        ("formats = [\"json\"]", "formats = [\"docx\"]", "docx"),
        ("name = \"weekly\"", "name = \"周报\"", "name: only letters"),
        (
            "folder = \"daily\"",
            "folder = \"daily\"\nsinks = [\"nobody\"]",
            "there is no sink `nobody`",
        ),
    ] {
        program.write("schedule.toml", SCHEDULE.replacen(from, to, 1));
        let ran = program.run(&["--config", "schedule.toml", "serve", "--lake", "l"]);
        assert!(ran.status == 2 && ran.err.contains(says), "{to}: {} {}", ran.status, ran.err);
    }
}
