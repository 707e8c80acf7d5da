//! Memory is bounded by configuration, not by the input.

use crate::support::program::Program;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{BufWriter, Write};

/// Interval between two readings of the peak memory. The last reading can miss the growth in this
/// interval before the end of the process.
#[cfg(target_os = "linux")]
const READ: std::time::Duration = std::time::Duration::from_millis(5);

/// Peak memory of a run in KiB, as the system accounts it.
#[cfg(target_os = "linux")]
fn peak_kib(program: &Program, args: &[&str]) -> u64 {
    let child = program
        .command(args)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    let status = format!("/proc/{}/status", child.id());
    let mut child = child;
    let mut peak = 0;
    while child.try_wait().expect("a child").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
        peak =
            peak.max(line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0));
        std::thread::sleep(READ);
    }
    peak
}

#[test]
#[cfg(target_os = "linux")]
fn a_one_gigabyte_line_and_a_decompression_bomb_stay_within_the_memory_budget() {
    let program = Program::new();
    let path = program.write("big.json.gz", "");
    let mut gzip = GzEncoder::new(
        BufWriter::new(std::fs::File::create(path).expect("a file")),
        Compression::fast(),
    );
    gzip.write_all(b"[").expect("disk");
    // About a gigabyte in one line of one array.
    let filler: String = (0..1_100).map(|n| char::from(b'a' + (n * 7 % 26) as u8)).collect();
    for n in 0..800_000u64 {
        let comma = if n == 0 { "" } else { "," };
        write!(gzip, r#"{comma}{{"eventId":"id-{n}","eventName":"DescribeInstances","eventTime":"2026-09-21T02:{:02}:05Z","acsRegion":"cn-hangzhou","userIdentity":{{"type":"ram-user","accountId":"1","userName":"a"}},"requestParameters":{{"text":"{}{filler}"}}}}"#, n % 60, n * 2_654_435)
            .expect("disk");
    }
    gzip.write_all(b"]").expect("disk");
    gzip.finish().expect("disk").flush().expect("disk");
    let peak = peak_kib(&program, &["ingest", "big.json.gz", "--lake", "l"]);
    assert_eq!(program.query_number("l", "SELECT count(*) FROM events"), 800_000);
    assert!(peak > 0 && peak < 512 * 1024, "{peak} KiB");
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..1024 {
        bomb.write_all(&[b' '; 1 << 20]).expect("memory");
    }
    program.write("bomb.json.gz", bomb.finish().expect("memory"));
    let peak = peak_kib(&program, &["ingest", "bomb.json.gz", "--lake", "l"]);
    assert!(peak < 256 * 1024, "{peak} KiB");
    assert_eq!(
        program.query_number("l", "SELECT count(*) FROM quarantine WHERE code = 'too_large'"),
        1
    );
}
