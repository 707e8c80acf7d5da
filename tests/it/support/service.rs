//! The program as a service: a child process that is queried, signalled and killed.

use crate::support::program::Program;
use crate::support::waiting::{PATIENCE, wait_for};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

pub(crate) struct Service {
    child: Child,
    /// `HOST:PORT` of its HTTP server.
    pub(crate) address: String,
    finding_lines: Receiver<Value>,
    log_lines: Receiver<String>,
    /// The findings printed so far, the last revision of each.
    pub(crate) findings: BTreeMap<String, Value>,
}

impl Service {
    /// Starts `trailhound serve` on `config` and `lake` and waits until it listens.
    pub(crate) fn start(program: &Program, config: &str, lake: &str) -> Self {
        // With the real clock: after each commit, detection looks at the events that arrived, whatever their time.
        let mut command = program.command(&["--config", config, "serve", "--lake", lake]);
        command.env_remove("TRAILHOUND_NOW");
        Self::spawn(command)
    }

    /// Starts it with the fixed clock of the tests, for tests in which the present decides what is read.
    pub(crate) fn start_at_test_time(program: &Program, config: &str, lake: &str) -> Self {
        Self::spawn(program.command(&["--config", config, "serve", "--lake", lake]))
    }

    /// Starts `command`, a `trailhound serve`, and waits until it listens.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (found, findings) = channel();
        let out = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // A killed service may leave an incomplete line.
                if let Ok(finding) = serde_json::from_str(&line) {
                    let _ = found.send(finding);
                }
            }
        });
        let (said, errors) = channel();
        let err = BufReader::new(child.stderr.take().expect("piped"));
        std::thread::spawn(move || {
            err.lines().map_while(Result::ok).try_for_each(|line| said.send(line))
        });
        let mut service = Self {
            child,
            address: String::new(),
            finding_lines: findings,
            log_lines: errors,
            findings: BTreeMap::new(),
        };
        let line = service.wait_for_log("serving on http://");
        service.address = line
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split(';').next())
            .expect("an address")
            .to_owned();
        service
    }

    /// Drops the findings it prints from here on, because there are too many to hold in memory.
    pub(crate) fn discard_findings(mut self) -> Self {
        self.finding_lines = channel().1;
        self
    }

    /// Waits for a line of standard error that contains `text`, and returns the line.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.log_lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(e) => panic!("{e}: nothing said `{text}`:\n{}", seen.join("\n")),
            }
        }
    }

    /// Returns the lines of standard error since the last call.
    pub(crate) fn take_log(&mut self) -> Vec<String> {
        self.log_lines.try_iter().collect()
    }

    /// Reads findings until `enough` accepts the event ids of the open ones, by rule.
    pub(crate) fn wait_for_findings(
        &mut self,
        mut enough: impl FnMut(&BTreeMap<String, BTreeSet<String>>) -> bool,
    ) {
        let deadline = Instant::now() + PATIENCE;
        while !enough(&self.open_findings()) {
            let finding =
                self.finding_lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            self.record(
                finding
                    .unwrap_or_else(|e| panic!("{e}; findings so far: {:?}", self.open_findings())),
            );
        }
    }

    /// Reads findings until the event ids of the open ones, by rule, equal `expected`.
    pub(crate) fn wait_for_exact_findings(
        &mut self,
        expected: &BTreeMap<String, BTreeSet<String>>,
    ) {
        let deadline = Instant::now() + PATIENCE;
        while self.open_findings() != *expected {
            match self
                .finding_lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(finding) => self.record(finding),
                Err(e) => {
                    let open = self.open_findings();
                    let beside =
                        |these: &BTreeMap<String, BTreeSet<String>>,
                         those: &BTreeMap<String, BTreeSet<String>>| {
                            these
                                .iter()
                                .filter(|(rule, ids)| those.get(*rule) != Some(*ids))
                                .map(|(rule, ids)| (rule.clone(), ids.clone()))
                                .collect::<Vec<_>>()
                        };
                    panic!(
                        "{e}\nexpected: {:?}\nfound: {:?}",
                        beside(expected, &open),
                        beside(&open, expected)
                    );
                }
            }
        }
    }

    fn record(&mut self, finding: Value) {
        self.findings.insert(finding["finding_id"].to_string(), finding);
    }

    /// Event ids of the open findings read so far, by rule.
    pub(crate) fn open_findings(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut open: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for finding in self.findings.values().filter(|finding| finding["status"] == "open") {
            let ids = finding["event_ids"]
                .as_array()
                .expect("ids")
                .iter()
                .map(crate::support::program::text);
            open.entry(crate::support::program::text(&finding["rule_id"])).or_default().extend(ids);
        }
        open
    }

    /// Status and body of a GET.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        (
            head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"),
            body.to_owned(),
        )
    }

    /// Waits until `question` is true: a metric, an answer of the service, or a row of its catalog.
    pub(crate) fn wait_until(&self, what: &str, mut question: impl FnMut(&Self) -> bool) {
        wait_for(
            || question(self).then_some(()),
            || {
                let (ready, metrics) = (self.get("/readyz").1, self.get("/metrics").1);
                format!("{what} does not come true; {ready}\n{metrics}")
            },
        );
    }

    /// Waits until the counter of records with this fate (`received`, `stored`, `duplicate`, `quarantined`) equals `records`.
    pub(crate) fn wait_for_records(&self, fate: &str, records: u64) {
        let name = format!("trailhound_records_total{{fate=\"{fate}\"}}");
        let what = format!("{records} records {fate}");
        self.wait_until(&what, |service| service.metric(&name) as u64 == records);
    }

    /// Waits until `/readyz` answers 200.
    pub(crate) fn wait_until_ready(&self) {
        let is_ready = |service: &Self| service.get("/readyz").0 == 200;
        self.wait_until("readiness", is_ready);
    }

    /// The value of the metric `name`, which includes its labels; 0 where it is not exported.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").1;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }

    /// Sends SIGKILL and waits for the end of the process.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Sends SIGTERM, reads the last findings, and returns the exit status and the open findings.
    pub(crate) fn stop(mut self) -> (i32, BTreeMap<String, BTreeSet<String>>) {
        self.signal("TERM");
        let status = self.child.wait().expect("ends").code().unwrap_or(-1);
        while let Ok(finding) = self.finding_lines.recv_timeout(PATIENCE) {
            self.record(finding);
        }
        (status, self.open_findings())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
