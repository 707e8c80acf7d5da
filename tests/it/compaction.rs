//! Compaction merges small files and changes nothing else.

use crate::support::program::Program;

#[test]
fn compaction_leaves_few_files_and_every_row() {
    let program = Program::new();
    for number in 0..40 {
        let event = |id: u32, time: &str| {
            format!(
                r#"{{"eventId":"{number}-{id}","eventName":"DescribeInstances","eventTime":"{time}","serviceName":"Ecs","acsRegion":"cn-hangzhou","userIdentity":{{"type":"ram-user","accountId":"1","userName":"a"}}}}"#
            )
        };
        let day = 10 + number % 2;
        let times = [
            format!("2026-09-{day}T08:00:00Z"),
            format!("2026-09-{day}T09:00:00.5Z"),
            "1999-01-01T00:00:00Z".to_owned(),
        ];
        let events: Vec<String> = times.iter().zip(0..).map(|(time, id)| event(id, time)).collect();
        let name = format!("in/{number}.json");
        program.write(&name, events.join("\n") + "\nbroken\n");
        program.run(&["ingest", &name, "--lake", "lake"]);
    }
    let files = || {
        program.run_ok(&["lake", "info", "--lake", "lake", "--json"]).json()[0]["files"]
            .as_u64()
            .expect("a count")
    };
    let (keys, before) = (program.event_keys("lake"), files());
    assert_eq!(keys.len(), 120);
    let merged = program.run_ok(&["lake", "compact", "--lake", "lake"]);
    assert!(merged.out.contains("files merged into"), "{}", merged.out);
    assert!(files() <= 4 * 7 && files() < before / 3, "{before} files became {}", files());
    assert!(program.event_keys("lake") == keys);
    assert_eq!(program.run(&["lake", "verify", "--lake", "lake"]).status, 0);
    // What was there is still known, and the files merged away are still there for readers that began before.
    let again = program.run(&["ingest", "in", "--lake", "lake", "--json"]).json()[0].clone();
    assert_eq!((&again["stored"], &again["objects_unchanged"]), (&0.into(), &40.into()));
    assert_eq!(
        program.run_ok(&["lake", "compact", "--lake", "lake"]).out,
        "0 files merged into 0\n"
    );
}
