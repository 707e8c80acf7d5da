//! A lake whose catalogue is in PostgreSQL: the same as any other, and shared by several services.

use crate::broker::broker;
use crate::live::Stage;
use crate::postgres::postgres;
use crate::program::Program;
use crate::service::Service;
use std::time::Duration;

/// An empty lake in PostgreSQL.
pub(crate) fn share(program: &Program, lake: &str, database: &str) {
    program.write(&format!("{lake}/url"), format!("{database}\n"));
    program.write(&format!("{lake}/catalog.postgresql"), "file:url\n");
}

#[test]
fn a_lake_moves_to_postgresql_and_stays_what_it_is() {
    let Some(postgres) = postgres() else { return };
    let program = Program::new();
    program.ok(&["generate", "--events", "20000", "--seed", "21", "--days", "3", "--out", "g"]);
    program.write("g/events/odd.json", "[1,7]");
    let config = program.path("g/trailhound.toml").display().to_string();
    let scan = |lake: &str| {
        program.run(&["--config", &config, "scan", "g/events", "--lake", lake, "--format", "json"])
    };
    let before = scan("lake");
    let (keys, info) =
        (program.keys("lake"), program.ok(&["lake", "info", "--lake", "lake", "--json"]).json());
    program.write("lake/url", postgres.database("moved"));
    let moved = program.ok(&["lake", "migrate", "--lake", "lake", "--to", "file:url"]);
    assert!(moved.out.contains("rows of the catalogue moved"), "{}", moved.out);
    assert!(!program.path("lake/catalog.sqlite").exists());
    assert!(program.keys("lake") == keys);
    let same = program.ok(&["lake", "info", "--lake", "lake", "--json"]).json();
    assert_eq!(
        (&same[0]["ledger"], &same[0]["days"], &same[0]["sources"]),
        (&info[0]["ledger"], &info[0]["days"], &info[0]["sources"])
    );
    let verified = program.run(&["lake", "verify", "--lake", "lake"]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
    // It knows what it holds, takes what is new, and says the same of it.
    assert_eq!(scan("lake").open(), before.open());
    program.write("more.json", r#"{"eventId":"more","eventTime":"2026-09-30T10:00:00Z"}"#);
    let more = program.ok(&["ingest", "more.json", "g/events", "--lake", "lake", "--json"]).json()
        [0]
    .clone();
    assert_eq!((&more["stored"], &more["duplicate"]), (&1.into(), &0.into()));
    program.ok(&["lake", "compact", "--lake", "lake"]);
    assert_eq!(program.keys("lake").len(), keys.len() + 1);
    assert_eq!(program.run(&["lake", "verify", "--lake", "lake"]).status, 0);
    for (to, says) in [("file:url", "already"), ("postgresql://x", "already")] {
        let refused = program.run(&["lake", "migrate", "--lake", "lake", "--to", to]);
        assert!(refused.status == 2 && refused.err.contains(says), "{}", refused.err);
    }
    // Another lake cannot be moved into a database that is taken, and says no secret on the way.
    program.ok(&["ingest", "more.json", "--lake", "other"]);
    std::fs::copy(program.path("lake/url"), program.path("other/url")).expect("copied");
    for (to, says) in [
        ("file:url", "holds a catalogue"),
        ("postgresql://user:hidden@host/db", "by reference"),
        ("env:NOWHERE", "NOWHERE"),
    ] {
        let refused = program.run(&["lake", "migrate", "--lake", "other", "--to", to]);
        assert!(
            refused.status == 2 && refused.err.contains(says) && !refused.err.contains("hidden"),
            "{}",
            refused.err
        );
    }
    assert_eq!(program.keys("other").len(), 1);
}

#[test]
fn members_share_a_topic_and_a_lake_while_one_is_killed_and_one_frozen() {
    let (Some(broker), Some(postgres)) = (broker(), postgres()) else { return };
    let stage = Stage::new(broker, "shared", 3, 30_000, 22);
    share(&stage.program, "lake", &postgres.database("shared"));
    let first = stage.serve();
    stage.send(broker);
    first.wait_until("a first commit", |service| service.metric("trailhound_commits_total") >= 1.0);
    let (second, third) = (stage.serve(), stage.serve());
    third.kill();
    stage.send(broker);
    second.signal("STOP");
    // The session ends after six seconds without a heartbeat; the broker then gives the partitions to the other.
    std::thread::sleep(Duration::from_secs(9));
    first.wait_until("both deliveries", |_| stage.ledger("received") == 60_000);
    second.signal("CONT");
    let fourth = stage.serve();
    stage.send(broker);
    first.wait_until("three deliveries", |_| stage.ledger("received") == 90_000);
    for service in [first, second, fourth] {
        assert_eq!(service.end().0, 0);
    }
    assert_eq!((stage.ledger("stored"), stage.ledger("duplicate")), (30_000, 60_000));
    stage.assert_exact_with_findings();
}

#[test]
fn who_reads_what_another_reads_has_its_commits_refused() {
    let (Some(broker), Some(postgres)) = (broker(), postgres()) else { return };
    let stage = Stage::new(broker, "zombies", 2, 20_000, 23);
    share(&stage.program, "lake", &postgres.database("zombies"));
    // In a group of its own it is given every partition, as a member is that does not know it was thrown out.
    let config = std::fs::read_to_string(stage.program.path("serve.toml")).expect("a file");
    stage.program.write(
        "zombie.toml",
        config.replace("group_id = \"zombies\"", "group_id = \"of-its-own\""),
    );
    let (member, zombie) = (stage.serve(), Service::start(&stage.program, "zombie.toml", "lake"));
    for service in [&member, &zombie] {
        service.wait_until("readiness", |service| service.get("/readyz").0 == 200);
    }
    let refused = |service: &Service| service.metric("trailhound_commits_refused_total");
    for delivery in 1..=5 {
        stage.send(broker);
        member.wait_until("the delivery", |_| stage.ledger("received") == 20_000 * delivery);
        if refused(&member) + refused(&zombie) > 0.0 {
            break;
        }
    }
    assert!(refused(&member) + refused(&zombie) > 0.0, "nobody was ever refused");
    for service in [member, zombie] {
        assert_eq!(service.end().0, 0);
    }
    assert_eq!(stage.ledger("stored"), 20_000);
    stage.assert_exact_with_findings();
}
