//! A clock that is wrong or jumps does no harm, in either direction, and is told.

use crate::support::object_store::ObjectStore;
use crate::support::postgres::{postgres, use_postgres_catalog};
use crate::support::program::Program;
use crate::support::service::Service;
use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

const DAY: i64 = 86_400;
/// The jumps, in seconds.
const JUMPS: [i64; 4] = [3652 * DAY, 500 * DAY, -500 * DAY, -3652 * DAY];

/// The service with a clock that is wrong by the seconds in the file `wrong_by`.
fn start(program: &Program, wrong_by: i64) -> Service {
    program.write("wrong_by", wrong_by.to_string());
    let mut command = program.command(&["--config", "serve.toml", "serve", "--lake", "lake"]);
    command.env_remove("TRAILHOUND_NOW").env("TRAILHOUND_TEST_CLOCK", program.path("wrong_by"));
    Service::spawn(command)
}

/// An object with an event for each of `ages`, in days.
fn object(name: &str, ages: std::ops::Range<i64>) -> Vec<u8> {
    let event = |age: i64| {
        let time = Utc::now() - TimeDelta::days(age);
        json!({
            "eventId": format!("{name}-{age}"), "eventName": "StartInstance", "acsRegion": "cn-hangzhou",
            "eventTime": time.to_rfc3339_opts(SecondsFormat::Secs, true),
            "userIdentity": { "type": "ram-user", "accountId": "1", "userName": "a" },
        })
    };
    serde_json::to_vec(&ages.map(event).collect::<Vec<Value>>()).expect("JSON")
}

fn configure(program: &Program, source: &str, more: &str) {
    let config = format!(
        "[lake]\nretention_days = 90\n[service]\nlisten = \"127.0.0.1:0\"\nmaintenance_interval_seconds = 1\n{source}\n\
         [[sink]]\nname = \"f\"\n[sink.file]\npath = \"told.jsonl\"\n{more}"
    );
    program.write("serve.toml", config);
    program.write("id", "testkey\n");
    program.write("secret", "testsecret\n");
}

const UNREACHABLE: &str =
    "[[source.kafka]]\nname = \"k\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"x\"]";

fn readiness(service: &Service) -> Value {
    serde_json::from_str(&service.get("/readyz").1).expect("JSON")
}

/// Waits until the maintenance has looked at the lake again, by the files that it counts.
fn wait_for_maintenance(service: &Service, program: &Program) {
    service.wait_until("a round of maintenance", |service| {
        let files = program.catalog("lake").info()["files"].as_u64();
        files == Some(service.metric("trailhound_lake_files") as u64)
    });
}

#[test]
fn a_jump_of_the_clock_drops_nothing_expires_nothing_and_is_told() {
    let Some(store) = ObjectStore::start() else { return };
    let folder = "AliyunLogs/Actiontrail/cn-hangzhou";
    let today = Utc::now().format("%Y/%m/%d");
    for jump in JUMPS {
        let program = Program::new();
        configure(&program, &store.source(), "");
        store.put(&format!("{folder}/{today}/a.json"), &object("a", 0..60));
        let mut service = start(&program, 0);
        service.wait_for_records("stored", 60);
        service.wait_until("a confirmed time", |service| {
            readiness(service)["time_is_confirmed"] == true
        });
        program.write("wrong_by", jump.to_string());
        service.wait_until("the jump told", |service| {
            let (status, document) = service.get("/readyz");
            let document: Value = serde_json::from_str(&document).expect("JSON");
            status == 503 && document["clock"].as_str().is_some_and(|told| told.contains("jumped"))
        });
        assert!(service.metric("trailhound_clock_problem") == 1.0);
        service.wait_for_finding(|finding| finding["rule_id"] == "AT-HEALTH-007");
        // Meanwhile everything works: events are read and stored, none is expired or dropped, findings are delivered.
        store.put(&format!("{folder}/{today}/b{jump}.json"), &object(&format!("b{jump}"), 0..60));
        service.wait_for_records("stored", 120);
        wait_for_maintenance(&service, &program);
        service.wait_until("the finding delivered", |_| {
            let told = std::fs::read_to_string(program.path("told.jsonl")).unwrap_or_default();
            told.contains("AT-HEALTH-007")
        });
        program.write("wrong_by", "0");
        service.wait_until("the end of the jump", |service| readiness(service)["clock"].is_null());
        assert_eq!(service.stop().0, 0);
        let info = program.catalog("lake").info();
        let counts = (&info["ledger"]["stored"], &info["ledger"]["expired"], &info["events"]);
        assert_eq!(counts, (&json!(120), &json!(0), &json!(120)), "{jump}");
        store.remove(&format!("{folder}/{today}/b{jump}.json"));
    }
}

#[test]
fn a_clock_that_is_wrong_from_the_start_drops_nothing_and_detection_works() {
    for wrong_by in JUMPS {
        let program = Program::new();
        configure(&program, UNREACHABLE, "");
        program.write("e/a.json", object("a", 0..60));
        program.run_ok(&["ingest", "e", "--lake", "lake"]);
        let service = start(&program, wrong_by);
        service.wait_until("the first look", |service| {
            readiness(service)["tasks"]["clock"].is_object()
        });
        wait_for_maintenance(&service, &program);
        let document = readiness(&service);
        assert_eq!(document["time_is_confirmed"], false, "{document}");
        assert!(document["detection"].is_null(), "{document}");
        assert_eq!(service.stop().0, 0);
        assert_eq!(program.catalog("lake").info()["events"], 60, "{wrong_by}");
    }
}

#[test]
fn files_aside_stay_until_the_time_is_confirmed() {
    let program = Program::new();
    configure(&program, UNREACHABLE, "");
    program.write("e/a.json", object("a", 0..3));
    program.run_ok(&["ingest", "e", "--lake", "lake"]);
    let aside =
        program.write("lake/aside/2020-01-01/files/main/events/day=2019-12-31/a.parquet", "rest");
    let mut sweep = program.command(&["lake", "sweep", "--lake", "lake"]);
    let swept = sweep.env_remove("TRAILHOUND_NOW").output().expect("the program starts");
    assert!(swept.status.success() && aside.exists(), "{swept:?}");
    let service = start(&program, 0);
    wait_for_maintenance(&service, &program);
    assert_eq!(readiness(&service)["time_is_confirmed"], false);
    assert!(aside.exists());
    assert_eq!(service.stop().0, 0);
    // A time that was told is confirmed.
    let service = Service::start_at_test_time(&program, "serve.toml", "lake");
    service.wait_until("the files removed", |_| !aside.exists());
    assert_eq!(service.stop().0, 0);
}

#[test]
fn what_stands_in_the_future_is_due_now() {
    let program = Program::new();
    configure(
        &program,
        UNREACHABLE,
        "[[report]]\nname = \"r\"\nschedule = \"* * * * *\"\nperiod = \"day\"\nformats = [\"json\"]\nfolder = \"r\"\n",
    );
    program.write("e/a.json", object("a", 0..3));
    program.run_ok(&["ingest", "e", "--lake", "lake"]);
    // A dead-lettered finding, a delivery and a report from a life whose clock was ten years ahead.
    let mut service = start(&program, 3652 * DAY);
    service.wait_until("the report registered", |_| {
        program.catalog("lake").report_runs().iter().any(|(_, _, state)| state == "registered")
    });
    program.write("wrong_by", "0");
    service.wait_for_finding(|finding| finding["rule_id"] == "AT-HEALTH-007");
    service.wait_until("a row in the outbox", |_| {
        !program.catalog("lake").outbox(None, None).is_empty()
    });
    assert_eq!(service.stop().0, 0);
    let catalog = program.catalog("lake");
    assert!(catalog.change("UPDATE trailhound_outbox_message SET state = 'pending', holder = '', due_at = due_at + 315576000000000") > 0);
    std::fs::remove_file(program.path("told.jsonl")).expect("delivered before");
    let service = start(&program, 0);
    service.wait_until("the delivery", |_| {
        let rows = catalog.outbox(None, None);
        rows.iter().all(|row| row["state"] == "delivered")
    });
    service.wait_until("the report", |_| {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        catalog.report_runs().iter().any(|(_, due, state)| state == "made" && *due <= now)
    });
    assert_eq!(service.stop().0, 0);
}

#[test]
fn the_lease_of_a_dead_member_whose_clock_was_wrong_is_free() {
    let Some(postgres) = postgres() else { return };
    let program = Program::new();
    configure(&program, UNREACHABLE, "");
    use_postgres_catalog(&program, "lake", &postgres.database("wrong_leases"));
    program.write("e/a.json", object("a", 0..3));
    program.run_ok(&["ingest", "e", "--lake", "lake"]);
    let catalog = program.catalog("lake");
    for name in ["detection", "delivery", "upkeep", "verifier", "reports"] {
        let statement = match name {
            "detection" => {
                "INSERT INTO trailhound_leader_lease VALUES ('detection', 'dead', 2100000000000000)"
            }
            "delivery" => {
                "INSERT INTO trailhound_leader_lease VALUES ('delivery', 'dead', 2100000000000000)"
            }
            "upkeep" => {
                "INSERT INTO trailhound_leader_lease VALUES ('upkeep', 'dead', 2100000000000000)"
            }
            "verifier" => {
                "INSERT INTO trailhound_leader_lease VALUES ('verifier', 'dead', 2100000000000000)"
            }
            _ => "INSERT INTO trailhound_leader_lease VALUES ('reports', 'dead', 2100000000000000)",
        };
        assert_eq!(catalog.change(statement), 1);
    }
    // A member whose own clock is wrong takes and gives leases by the clock of the database.
    for wrong_by in [0, 3652 * DAY, -3652 * DAY] {
        // Else the maintenance waits until the lease of the service before ends.
        let far =
            "UPDATE trailhound_leader_lease SET until = 2100000000000000 WHERE name = 'upkeep'";
        assert_eq!(catalog.change(far), 1);
        let service = start(&program, wrong_by);
        wait_for_maintenance(&service, &program);
        service.wait_until("detection", |service| {
            service.metric("trailhound_detection_seconds_count") >= 1.0 || wrong_by != 0
        });
        service.wait_until("the files read again", |service| {
            service.metric("trailhound_verification_walks_total") >= 1.0
        });
        if wrong_by != 0 {
            service.wait_until("the clock told", |service| {
                let document = readiness(service);
                document["clock"]
                    .as_str()
                    .is_some_and(|told| told.contains("the catalog's database"))
            });
        }
        assert_eq!(service.stop().0, 0);
    }
    let left = "UPDATE trailhound_leader_lease SET until = 0 WHERE until > 2000000000000000 AND name <> 'reports'";
    assert_eq!(catalog.change(left), 0, "every lease was taken and given back, or ends soon");
    assert_eq!(catalog.info()["events"], 3);
}
