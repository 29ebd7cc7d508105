//! What an observer hears of a run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flowctl_runtime::{
    Checkpoint, CheckpointStore, Fault, MemoryStore, Observer, Options, RunEvent, Status, StoreError,
};
use flowctl_topology::Retry;

use crate::support::{Database, Pipe, Rule, SinkSpec, SourceSpec, Verdict, options};

/// Writes down what it hears; commits without the time they took.
#[derive(Default)]
struct Record(Mutex<Vec<String>>);

impl Observer for Record {
    fn observe(&self, event: &RunEvent) {
        let line = match event {
            RunEvent::Started { n_nodes } => format!("started {n_nodes}"),
            RunEvent::NodeRestarted { node, reason } => format!("{node} restarted: {reason}"),
            RunEvent::CallRepeated { node, attempt, reason } => format!("{node} repeated after {attempt}: {reason}"),
            RunEvent::BatchTakenApart { node, n_events, reason } => format!("{node} apart {n_events}: {reason}"),
            RunEvent::WentBack { epoch, node, reason } => {
                format!("back to {epoch} for {}: {reason}", node.as_ref().unwrap())
            }
            RunEvent::Committed { epoch, took } => {
                assert!(*took < Duration::from_secs(60));
                format!("committed {epoch}")
            }
            RunEvent::CheckpointFailed { epoch, reason } => format!("failed {epoch}: {reason}"),
            RunEvent::LettersWritten { epoch, n_letters } => format!("letters {n_letters} with {epoch}"),
            RunEvent::Finished { source } => format!("{source} finished"),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(line);
    }
}

/// What is heard of a run of `pipe`, and how it ended.
async fn heard(mut pipe: Pipe) -> (Vec<String>, Status) {
    let record = Arc::<Record>::default();
    pipe.options.observer = record.clone();
    let summary = pipe.run().await;
    let lines = record.0.lock().unwrap().clone();
    (lines, summary.status)
}

fn slow(n_events: u64) -> SourceSpec {
    SourceSpec { pause: Duration::from_millis(100), ..SourceSpec::new(n_events) }
}

#[tokio::test(start_paused = true)]
async fn a_run_without_faults_starts_commits_and_finishes() {
    let (lines, status) = heard(Pipe::line(slow(45), Rule::identity(), &SinkSpec::new())).await;
    assert_eq!(status, Status::Completed);
    assert_eq!(lines, ["started 3", "committed 1", "s finished", "committed 2"]);
}

#[tokio::test(start_paused = true)]
async fn faults_of_a_stateless_node_are_heard_where_they_are() {
    let rule = Rule::new(|n| match n {
        4 => Verdict::Crash,
        5 => Verdict::Reject,
        _ => Verdict::Emit(n),
    });
    let (lines, _) = heard(Pipe::line(SourceSpec::new(9), rule, &SinkSpec::new())).await;
    let want = [
        "started 3",
        "p apart 3: trapped at 4",
        "p restarted: trapped at 4",
        "p restarted: trapped at 4",
        "s finished",
        "letters 2 with 1",
        "committed 1",
    ];
    let mut lines = lines;
    // the source is ahead of the processor, by as much as the edges hold
    let finished = lines.iter().position(|line| line == "s finished").unwrap();
    let line = lines.remove(finished);
    lines.insert(4, line);
    assert_eq!(lines, want);
}

#[tokio::test(start_paused = true)]
async fn going_back_is_heard_with_its_reason() {
    let rule = Rule::new(|n| if n == 40 { Verdict::CrashInCompany } else { Verdict::Emit(n) });
    let pipe = Pipe::line(slow(60), Rule { is_sum: true, ..rule }, &SinkSpec::new());
    let (lines, status) = heard(pipe).await;
    assert_eq!(status, Status::Completed);
    let at = lines.iter().position(|line| line == "back to 1 for p: trapped at 40").unwrap();
    assert_eq!(lines[at + 1], "p restarted: trapped at 40");
    assert_eq!(lines[..at], ["started 3", "committed 1"]);
    assert_eq!(lines.iter().filter(|line| line.starts_with("started")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_lost_a_checkpoint_is_no_restart() {
    let database = Database::new("out");
    // ten writes and the first flush, which breaks
    database.breaks.lock().unwrap().insert(10);
    let pipe = Pipe::new().source("s", SourceSpec::new(30)).database("out", &database, &["s"]);
    let (lines, status) = heard(pipe).await;
    assert_eq!(status, Status::Completed);
    let failed = lines.iter().position(|line| line == "failed 1: the connection broke").unwrap();
    assert_eq!(lines[failed + 1], "back to 0 for out: the connection broke", "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("restarted")), "{lines:?}");
    assert_eq!(database.rows().len(), 30);
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_repeated_and_sources_made_anew_are_heard() {
    let crash = Fault::Crashed { reason: "died".to_owned(), log_tail: String::new() };
    let faults = [(3, Fault::Retry("busy".to_owned())), (6, crash)].into();
    let source = SourceSpec { faults, ..SourceSpec::new(9) };
    let mut pipe = Pipe::line(source, Rule::identity(), &SinkSpec::new());
    pipe = pipe.settings(|settings| settings.retry = Retry { max_attempts: 3, ..settings.retry });
    let (lines, _) = heard(pipe).await;
    assert_eq!(
        lines[..4],
        ["started 3", "s repeated after 1: busy", "s repeated after 1: died", "s restarted: died"],
        "{lines:?}"
    );
}

/// A store that keeps what is pending and cannot commit, or not even that.
struct Full {
    store: MemoryStore,
    keeps_pending: Keeps,
}

#[derive(Clone, Copy, PartialEq)]
enum Keeps {
    Pending,
    Nothing,
}

fn full() -> StoreError {
    StoreError::Failed("no space left".into())
}

#[async_trait]
impl CheckpointStore for Full {
    async fn put_pending(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        match self.keeps_pending {
            Keeps::Pending => self.store.put_pending(checkpoint).await,
            Keeps::Nothing => Err(full()),
        }
    }

    async fn commit(&self, _: u64) -> Result<(), StoreError> {
        Err(full())
    }

    async fn committed(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.store.committed().await
    }

    async fn pending(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.store.pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_cannot_be_kept_is_heard() {
    for keeps_pending in [Keeps::Pending, Keeps::Nothing] {
        let mut pipe = Pipe::line(slow(60), Rule::identity(), &SinkSpec::new());
        let store = Arc::new(Full { store: MemoryStore::default(), keeps_pending });
        pipe.options = Options { store, ..options() };
        let (lines, status) = heard(pipe).await;
        assert_eq!(status, Status::Failed);
        let failed = "failed 1: checkpoint 1 cannot be kept: checkpoint store failed: no space left";
        assert_eq!(lines, ["started 3", failed]);
    }
}
