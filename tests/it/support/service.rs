//! Runs `trailhound serve` as a child process. Tests send it HTTP requests and signals, and read
//! its findings and its log.

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
    /// Address of the HTTP server, as `HOST:PORT`.
    pub(crate) address: String,
    finding_lines: Receiver<Value>,
    log_lines: Receiver<String>,
    /// The findings read so far, by id, each in its last revision.
    pub(crate) findings: BTreeMap<String, Value>,
}

impl Service {
    /// Starts `trailhound serve` with `config` and `lake`, and waits until it listens.
    pub(crate) fn start(program: &Program, config: &str, lake: &str) -> Self {
        // The service uses the real clock. After each commit it evaluates the events that arrived,
        // whatever their event time.
        let mut command = program.command(&["--config", config, "serve", "--lake", lake]);
        command.env_remove("TRAILHOUND_NOW");
        Self::spawn(command)
    }

    /// Starts `trailhound serve` with the fixed time of the tests. For tests in which the present
    /// determines which data is read.
    pub(crate) fn start_at_test_time(program: &Program, config: &str, lake: &str) -> Self {
        Self::spawn(program.command(&["--config", config, "serve", "--lake", lake]))
    }

    /// Runs `command`, which must be a `trailhound serve`, and waits until it listens.
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

    /// Discards all findings that the service prints from now on. For tests with too many findings
    /// to hold in memory.
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

    /// Returns the lines of standard error that have not been read yet.
    pub(crate) fn take_log(&mut self) -> Vec<String> {
        self.log_lines.try_iter().collect()
    }

    /// Reads findings until `enough` returns true. `enough` receives the event ids of all open
    /// findings, by rule id.
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

    /// Reads findings until one is `wanted`, and returns it.
    pub(crate) fn wait_for_finding(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(found) = self.findings.values().find(|finding| wanted(finding)) {
                return found.clone();
            }
            let finding = self.finding_lines.recv_timeout(PATIENCE);
            self.record(finding.unwrap_or_else(|e| panic!("{e}: {:?}", self.findings)));
        }
    }

    /// Reads findings until the event ids of all open findings, by rule id, equal `expected`.
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
                    let differing_entries =
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
                        differing_entries(expected, &open),
                        differing_entries(&open, expected)
                    );
                }
            }
        }
    }

    fn record(&mut self, finding: Value) {
        self.findings.insert(finding["finding_id"].to_string(), finding);
    }

    /// Returns the event ids of all open findings read so far, by rule id.
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

    /// Sends a GET request for `path` and returns the status and the body of the response.
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

    /// Checks `condition` again and again until it is true, for example on a metric, a response of
    /// the service or a row of the catalog. `what` describes the condition in the failure message.
    pub(crate) fn wait_until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        wait_for(
            || condition(self).then_some(()),
            || {
                let (ready, metrics) = (self.get("/readyz").1, self.get("/metrics").1);
                format!("{what} does not come true; {ready}\n{metrics}")
            },
        );
    }

    /// Waits until the metric `trailhound_records_total` with the label `fate` equals `records`.
    /// `fate` is `received`, `stored`, `duplicate` or `quarantined`.
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

    /// Returns the value of the metric `name`, which includes the labels. Returns 0 if the service
    /// does not export the metric.
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

    /// The processes that the service has started and that run: their command lines.
    pub(crate) fn child_processes(&self) -> Vec<String> {
        let parent = format!(" {} ", self.child.id());
        let processes = std::fs::read_dir("/proc").expect("a folder").flatten();
        processes
            .filter_map(|process| {
                let status = std::fs::read_to_string(process.path().join("stat")).ok()?;
                // Behind the name: state and parent.
                let is_child = status.rsplit_once(')')?.1.get(2..)?.starts_with(&parent);
                let command = std::fs::read_to_string(process.path().join("cmdline")).ok()?;
                is_child.then_some(command)
            })
            .collect()
    }

    /// Reads one more finding.
    pub(crate) fn wait_for_new_finding(&mut self) {
        let finding = self.finding_lines.recv_timeout(PATIENCE);
        self.record(finding.unwrap_or_else(|e| panic!("{e}: {:?}", self.findings)));
    }

    /// Waits until the service ends by itself, and reads the last findings. Returns the exit status, and the event ids of all open
    /// findings by rule id.
    pub(crate) fn wait_for_exit(&mut self) -> (i32, BTreeMap<String, BTreeSet<String>>) {
        let status = wait_for(
            || self.child.try_wait().expect("it can be waited for"),
            || "the service does not end".to_owned(),
        );
        while let Ok(finding) = self.finding_lines.recv_timeout(PATIENCE) {
            self.record(finding);
        }
        (status.code().unwrap_or(-1), self.open_findings())
    }

    /// Sends SIGKILL and waits until the process has ended.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Sends SIGTERM and reads the last findings. Returns the exit status, and the event ids of all
    /// open findings by rule id.
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
