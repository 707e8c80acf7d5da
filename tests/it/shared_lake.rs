//! A lake with its catalog in PostgreSQL: the same as any other, and shared by several services.

use crate::support::broker::broker;
use crate::support::kafka_pipeline::KafkaPipeline;
use crate::support::postgres::{postgres, use_postgres_catalog};
use crate::support::program::Program;
use crate::support::service::Service;

#[test]
fn a_lake_migrates_to_a_postgresql_catalog_unchanged() {
    let Some(postgres) = postgres() else { return };
    let program = Program::new();
    program.run_ok(&["generate", "--events", "20000", "--seed", "21", "--days", "3", "--out", "g"]);
    program.write("g/events/odd.json", "[1,7]");
    let config = program.path("g/trailhound.toml").display().to_string();
    let scan = |lake: &str| {
        program.run(&["--config", &config, "scan", "g/events", "--lake", lake, "--format", "json"])
    };
    let before = scan("lake");
    let (keys, info) = (
        program.event_keys("lake"),
        program.run_ok(&["lake", "info", "--lake", "lake", "--json"]).json(),
    );
    program.write("lake/url", postgres.database("moved"));
    let moved = program.run_ok(&["lake", "migrate", "--lake", "lake", "--to", "file:url"]);
    assert!(moved.out.contains("rows of the catalog moved"), "{}", moved.out);
    assert!(!program.path("lake/catalog.sqlite").exists());
    assert!(program.event_keys("lake") == keys);
    let same = program.run_ok(&["lake", "info", "--lake", "lake", "--json"]).json();
    assert_eq!(
        (&same[0]["ledger"], &same[0]["days"], &same[0]["sources"]),
        (&info[0]["ledger"], &info[0]["days"], &info[0]["sources"])
    );
    let verified = program.run(&["lake", "verify", "--lake", "lake"]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
    // The migrated lake recognises stored events, takes new ones and gives the same findings.
    assert_eq!(scan("lake").open_findings(), before.open_findings());
    program.write("more.json", r#"{"eventId":"more","eventName":"StartInstance","eventTime":"2026-09-30T10:00:00Z","acsRegion":"cn-hangzhou","userIdentity":{"type":"ram-user","accountId":"1","userName":"a"}}"#);
    let more =
        program.run_ok(&["ingest", "more.json", "g/events", "--lake", "lake", "--json"]).json()[0]
            .clone();
    assert_eq!((&more["stored"], &more["duplicate"]), (&1.into(), &0.into()));
    program.run_ok(&["lake", "compact", "--lake", "lake"]);
    assert_eq!(program.event_keys("lake").len(), keys.len() + 1);
    assert_eq!(program.run(&["lake", "verify", "--lake", "lake"]).status, 0);
    for (to, says) in [("file:url", "already"), ("postgresql://x", "already")] {
        let refused = program.run(&["lake", "migrate", "--lake", "lake", "--to", to]);
        assert!(refused.status == 2 && refused.err.contains(says), "{}", refused.err);
    }
    // Another lake cannot be migrated into a database in use, and no error repeats a secret.
    program.run_ok(&["ingest", "more.json", "--lake", "other"]);
    std::fs::copy(program.path("lake/url"), program.path("other/url")).expect("copied");
    for (to, says) in [
        ("file:url", "holds a catalog"),
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
    assert_eq!(program.event_keys("other").len(), 1);
}

#[test]
fn members_share_a_topic_and_a_lake_while_one_is_killed_and_one_frozen() {
    let (Some(broker), Some(postgres)) = (broker(), postgres()) else { return };
    let pipeline = KafkaPipeline::new(broker, "shared", 3, 30_000, 22);
    use_postgres_catalog(&pipeline.program, "lake", &postgres.database("shared"));
    let first = pipeline.start_service();
    pipeline.publish(broker);
    first.wait_until("a first commit", |service| service.metric("trailhound_commits_total") >= 1.0);
    let (second, third) = (pipeline.start_service(), pipeline.start_service());
    third.kill();
    pipeline.publish(broker);
    second.signal("STOP");
    // Its session ends when the broker has heard no heartbeat for six seconds; the other is then given its partitions.
    broker.wait_for_members("shared", 1);
    first.wait_until("both deliveries", |_| pipeline.ledger("received") == 60_000);
    second.signal("CONT");
    let fourth = pipeline.start_service();
    pipeline.publish(broker);
    first.wait_until("three deliveries", |_| pipeline.ledger("received") == 90_000);
    for service in [first, second, fourth] {
        assert_eq!(service.stop().0, 0);
    }
    assert_eq!((pipeline.ledger("stored"), pipeline.ledger("duplicate")), (30_000, 60_000));
    pipeline.assert_lake_and_findings_exact();
}

#[test]
fn a_member_reading_the_partitions_of_another_has_its_commits_refused() {
    let (Some(broker), Some(postgres)) = (broker(), postgres()) else { return };
    let pipeline = KafkaPipeline::new(broker, "zombies", 2, 20_000, 23);
    use_postgres_catalog(&pipeline.program, "lake", &postgres.database("zombies"));
    // In a group of its own it is assigned every partition, like a member that does not know it was expelled.
    let config = std::fs::read_to_string(pipeline.program.path("serve.toml")).expect("a file");
    pipeline.program.write(
        "zombie.toml",
        config.replace("group_id = \"zombies\"", "group_id = \"of-its-own\""),
    );
    let (member, zombie) =
        (pipeline.start_service(), Service::start(&pipeline.program, "zombie.toml", "lake"));
    for service in [&member, &zombie] {
        service.wait_until_ready();
    }
    let refused = |service: &Service| service.metric("trailhound_commits_refused_total");
    for delivery in 1..=5 {
        pipeline.publish(broker);
        member.wait_until("the delivery", |_| pipeline.ledger("received") == 20_000 * delivery);
        if refused(&member) + refused(&zombie) > 0.0 {
            break;
        }
    }
    assert!(refused(&member) + refused(&zombie) > 0.0, "nobody was ever refused");
    for service in [member, zombie] {
        assert_eq!(service.stop().0, 0);
    }
    assert_eq!(pipeline.ledger("stored"), 20_000);
    pipeline.assert_lake_and_findings_exact();
}
