//! Tests of the supervisor: every way to end is told, and what follows from it.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// Passes on what the supervisor tells.
struct Told(mpsc::Sender<TaskFailure>);

impl TaskObserver for Told {
    fn task_failed(&self, failure: &TaskFailure) {
        self.0.try_send(failure.clone()).expect("room");
    }
    fn end_is_overdue(&self) {
        unreachable!("no test takes so long");
    }
}

fn supervisor(faults: &str) -> (Supervisor, mpsc::Receiver<TaskFailure>) {
    let (sender, told) = mpsc::channel(64);
    let faults = TaskFaults::parse(faults).expect("faults");
    (Supervisor::new(Arc::new(Told(sender)), faults).expect("a thread"), told)
}

const KINDS: [(&str, FailureKind); 4] = [
    ("panic", FailureKind::Panicked),
    ("return", FailureKind::Returned),
    ("error", FailureKind::Failed),
    ("hang", FailureKind::Silent),
];

/// Works for ever.
async fn work(pulse: Pulse) -> Result<(), String> {
    loop {
        pulse.worked();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ends_in_any_way_is_told_and_started_again() {
    for (fault, kind) in KINDS {
        let (supervisor, mut told) = supervisor(&format!("work={fault}"));
        let lives = Arc::new(AtomicUsize::new(0));
        let (counted, (lived, mut again)) = (Arc::clone(&lives), mpsc::channel(4));
        supervisor.spawn("work", TaskPolicy::restarting(Duration::from_secs(60)), move |pulse| {
            counted.fetch_add(1, Ordering::Relaxed);
            lived.try_send(()).expect("room");
            work(pulse)
        });
        again.recv().await.expect("a first life");
        let failure = told.recv().await.expect("a failure");
        assert_eq!((failure.kind, failure.ends_service), (kind, false), "{fault}");
        assert!(supervisor.tasks()[0].problem.is_some(), "{fault}");
        again.recv().await.expect("a second life");
        assert_eq!(lives.load(Ordering::Relaxed), 2, "{fault}");
        assert!(supervisor.tasks()[0].problem.is_some(), "{fault}: not proven yet");
        supervisor.abort_all();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_vital_task_or_thread_ends_the_service() {
    for (fault, kind) in KINDS {
        let (supervisor, mut told) = supervisor(&format!("work={fault},thread={fault}"));
        let vital = TaskPolicy::vital(Duration::from_secs(60));
        supervisor.spawn("work", vital.clone(), work);
        supervisor.spawn_thread("thread", vital, |pulse| {
            let (_sender, receiver) = sync_channel::<()>(1);
            loop {
                pulse.worked();
                assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err());
            }
        });
        let mut ends = BTreeMap::new();
        while ends.len() < 2 {
            let failure = told.recv().await.expect("a failure");
            if failure.ends_service {
                ends.insert(failure.task, failure.kind);
            }
        }
        assert_eq!((ends["work"], ends["thread"]), (kind, kind), "{fault}");
        supervisor.abort_all();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_may_return_when_the_service_stops_or_its_flag_says_so() {
    let (supervisor, mut told) = supervisor("");
    let flag = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let policy = TaskPolicy::restarting(Duration::from_secs(60));
    let returning = |_| async { Ok(()) };
    supervisor.spawn("flagged", policy.clone().until(&flag), returning).ended().await;
    supervisor.stop();
    supervisor.spawn("stopped", policy, returning).ended().await;
    assert!(told.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_connection_is_told() {
    let (supervisor, mut told) = supervisor("");
    supervisor.spawn_brief("connection", async { panic!("a bug") });
    let failure = told.recv().await.expect("a failure");
    assert_eq!((failure.task.as_str(), failure.reason.as_str()), ("connection", "a bug"));
    assert_eq!(supervisor.tasks()[0].name, "connection");
}

#[tokio::test]
async fn blocking_work_that_panics_is_an_error_for_its_caller() {
    assert_eq!(run_blocking(|| 7).await, Ok(7));
    let panicked = run_blocking(|| -> u8 { panic!("a bug") }).await;
    assert_eq!(panicked, Err("it panicked: a bug".to_owned()));
}
