//! A service killed again and again while topic and bucket bring the same trail: lake and findings end as in an undisturbed
//! run. `TRAILHOUND_KILLS` and `TRAILHOUND_SEED` ask for more and other faults, `TRAILHOUND_PROGRAM` for another build.

use crate::support::broker::broker;
use crate::support::kafka_pipeline::assert_findings_exact;
use crate::support::object_store::{ObjectStore, configure, generated_objects};
use crate::support::program::Program;
use crate::support::service::Service;
use flate2::read::GzDecoder;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;
use trailhound_ingest::source::kafka::TopicProducer;

const EVENTS: usize = 30_000;

fn asked(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Counts of the faults injected.
#[derive(Debug, Default)]
struct Done(BTreeMap<&'static str, u64>);

impl Done {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

/// The events as messages and as objects, and how many of each are delivered.
struct Delivery<'d> {
    sender: TopicProducer,
    store: &'d ObjectStore,
    messages: Vec<Vec<u8>>,
    objects: Vec<(String, Vec<u8>)>,
    sent: usize,
    put: usize,
}

impl Delivery<'_> {
    /// Delivers messages and objects up to `share` of all.
    fn up_to(&mut self, share: f64) {
        let part = |all: usize| (all as f64 * share.min(1.0)).ceil() as usize;
        for message in &self.messages[self.sent..part(self.messages.len())] {
            self.sender.send(None, message).expect("sent");
        }
        self.sender.flush().expect("taken");
        self.objects[self.put..part(self.objects.len())]
            .iter()
            .for_each(|(key, content)| self.store.put(key, content));
        (self.sent, self.put) = (part(self.messages.len()), part(self.objects.len()));
    }
}

/// Starts the service once and ends it by the fault that is due.
fn one_life(program: &Program, life: u64, rng: &mut Pcg64, done: &mut Done) {
    // Each kind of end in turn, so that every one happens; the moment is random.
    let kind = life * 7 % 20;
    if kind < 5 {
        // A kill at a random moment is the subject of this test: here while it opens the lake, sweeps and joins its group.
        let mut child = program.command(&["--config", "serve.toml", "serve", "--lake", "lake"]);
        let mut child =
            child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
        std::thread::sleep(Duration::from_micros(rng.random_range(0..120_000)));
        child.kill().expect("killed");
        assert_eq!(child.wait().expect("gone").signal(), Some(9), "it had ended by itself");
        return done.count("kill while it starts");
    }
    let service = Service::start_at_test_time(program, "serve.toml", "lake");
    std::thread::sleep(Duration::from_millis(rng.random_range(0..1800)));
    match kind {
        5..17 => {
            service.kill();
            done.count("kill");
        }
        17 => {
            service.signal("STOP");
            // Long enough that broker and store have requests of it open.
            std::thread::sleep(Duration::from_millis(300));
            service.kill();
            done.count("kill while frozen");
        }
        18 => {
            service.signal("TERM");
            std::thread::sleep(Duration::from_millis(rng.random_range(0..60)));
            service.kill();
            done.count("kill while it ends");
        }
        _ => {
            assert_eq!(service.stop().0, 0);
            done.count("orderly end");
        }
    }
}

#[test]
fn a_service_killed_repeatedly_loses_and_duplicates_nothing() {
    let (Some(broker), Some(store)) = (broker(), ObjectStore::start()) else { return };
    let (kills, seed) = (asked("TRAILHOUND_KILLS", 40), asked("TRAILHOUND_SEED", 6));
    let mut rng = Pcg64::seed_from_u64(seed);
    let program = Program::new();
    let objects = generated_objects(&program, &EVENTS.to_string(), &seed.to_string());
    broker.create_topic("kills", 3);
    let kafka = format!(
        "[[source.kafka]]\nname = \"sls\"\nbootstrap_servers = \"{}\"\ntopics = [\"kills\"]\ngroup_id = \"kills\"\n\
         [source.kafka.settings]\n\"session.timeout.ms\" = \"6000\"\n",
        broker.servers()
    );
    configure(&program, &format!("{}\n{kafka}", store.source()));
    let config = std::fs::read_to_string(program.path("serve.toml")).expect("a file");
    program
        .write("serve.toml", config.replace("[service]\n", "[service]\ntidy_every_seconds = 1\n"));
    let events = |content: &[u8]| {
        serde_json::from_reader::<_, Vec<Value>>(GzDecoder::new(content)).expect("an array")
    };
    let messages = objects
        .iter()
        .flat_map(|(_, content)| events(content))
        .map(|event| event.to_string().into_bytes())
        .collect();
    let sender = TopicProducer::connect(
        &[("bootstrap.servers".to_owned(), broker.servers())].into(),
        "kills",
    )
    .expect("a client");
    let mut delivery = Delivery { sender, store: &store, messages, objects, sent: 0, put: 0 };
    let mut done = Done::default();
    for life in 0..kills {
        delivery.up_to((life + 1) as f64 / kills as f64);
        one_life(&program, life, &mut rng, &mut done);
    }
    let told = format!("seed {seed}, {kills} lives: {:?}\n", done.0);
    std::io::stderr().write_all(told.as_bytes()).expect("standard error");
    let service = Service::start_at_test_time(&program, "serve.toml", "lake");
    let ledger = |field: &str| program.catalog("lake").ledger(field);
    service.wait_until(&told, |_| ledger("received") == 2 * EVENTS as u64);
    assert_eq!(service.stop().0, 0, "{told}");
    assert_eq!((ledger("stored"), ledger("duplicate")), (EVENTS as u64, EVENTS as u64), "{told}");
    let copies = "SELECT count(*) FROM copies JOIN events ON copies.event_key = events.event_key WHERE copies.source <> events.source";
    assert_eq!(
        program.query_number("lake", copies),
        EVENTS as i64,
        "{told}each event has come by both ways"
    );
    let (problems, _) = program.catalog("lake").verify();
    assert!(problems.is_empty(), "{told}{problems:?}");
    program.run_ok(&["ingest", "g/events", "--lake", "whole"]);
    assert!(
        program.event_keys("lake") == program.event_keys("whole"),
        "{told}the lakes hold other events"
    );
    assert_findings_exact(&program);
}
