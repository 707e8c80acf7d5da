//! The service in a hostile environment: few resources, odd settings, a wrong clock. It continues, or says clearly why not.

use crate::support::broker::broker;
use crate::support::kafka_pipeline::KafkaPipeline;
use crate::support::mounts::ReadOnlyMount;
use crate::support::program::{Program, binary};
use crate::support::service::Service;
use std::process::{Command, Stdio};

/// The program in `program`'s folder, behind a command that takes something from it.
fn under(program: &Program, wrapper: &[&str], args: &[&str]) -> Command {
    let mut command = Command::new(wrapper[0]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .args(&wrapper[1..])
        .arg(binary())
        .args(args)
        .current_dir(program.path(""))
        .env_clear()
        .env("PATH", path);
    command.env("HOME", program.path("")).stdin(Stdio::null());
    command
}

const SERVE: [&str; 5] = ["--config", "serve.toml", "serve", "--lake", "lake"];

#[test]
fn one_core_few_files_no_temporary_folder_and_an_odd_locale_suffice() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "machine", 2, 20_000, 41);
    pipeline.publish(broker);
    let mut command =
        under(&pipeline.program, &["prlimit", "--nofile=64", "taskset", "-c", "0"], &SERVE);
    command.envs([
        ("TZ", "Asia/Kathmandu"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LANG", "C"),
        ("TMPDIR", "/nowhere"),
    ]);
    let service = Service::spawn(command);
    service.wait_for_records("stored", 20_000);
    assert_eq!(service.stop().0, 0);
    pipeline.assert_lake_and_findings_exact();
}

#[test]
fn running_out_of_memory_loses_nothing() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "starved", 2, 20_000, 42);
    pipeline.publish(broker);
    // The first lives have less and less of what they need; however each ends, the last has everything.
    for mebibytes in [900, 600, 400, 200, 60] {
        let limit = format!("--as={}", mebibytes << 20);
        let mut child =
            under(&pipeline.program, &["prlimit", &limit, "timeout", "--signal=KILL", "2"], &SERVE)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts");
        child.wait().expect("it ends");
    }
    let service = pipeline.start_service();
    service.wait_until("everything stored", |_| pipeline.ledger("stored") == 20_000);
    assert_eq!(service.stop().0, 0);
    pipeline.assert_lake_and_findings_exact();
}

#[test]
fn a_clock_ten_years_off_duplicates_and_loses_nothing() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "clock", 1, 3_000, 43);
    for (number, now) in ["2036-10-01T00:00:00Z", "2016-10-01T00:00:00Z", "2026-10-01T00:00:00Z"]
        .into_iter()
        .enumerate()
    {
        pipeline.publish(broker);
        let mut command = pipeline.program.command(&SERVE);
        command.env("TRAILHOUND_NOW", now);
        let service = Service::spawn(command);
        service.wait_until(now, |_| pipeline.ledger("received") == 3_000 * (number as u64 + 1));
        assert_eq!(service.stop().0, 0);
        assert_eq!(
            (pipeline.ledger("stored"), pipeline.ledger("duplicate")),
            (3_000, 3_000 * number as u64)
        );
    }
    pipeline.assert_lake_exact();
}

#[test]
fn ingest_resumes_after_a_disk_was_read_only() {
    let Some(broker) = broker() else { return };
    let pipeline = KafkaPipeline::new(broker, "read-only", 1, 20_000, 44);
    let service = pipeline.start_service();
    service.wait_until_ready();
    let Some(disk) = ReadOnlyMount::mount(&pipeline.program.path("lake/files")) else { return };
    pipeline.publish(broker);
    service.wait_until("a stall that is told", |service| {
        service.get("/readyz").1.contains("\"stalled\":\"")
    });
    drop(disk);
    service.wait_for_records("stored", 20_000);
    service.wait_until_ready();
    assert_eq!(service.stop().0, 0);
    pipeline.assert_lake_exact();
}
