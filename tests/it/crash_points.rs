//! The crash points of a checkpoint, one by one: a process runs the pipeline and ends itself
//! with SIGKILL right there, then `flowctl run` goes on.
//!
//! The process that dies is this binary, started anew: it runs the real runtime, store and
//! connectors, and every sink, letter and checkpoint passes something that knows the point.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use async_trait::async_trait;
use flowctl_connectors::Pipeline;
use flowctl_registry::Registry;
use flowctl_runtime::{
    Change, Checkpoint, CheckpointStore, DeadLetter, DeadLetterSink, Fault, Options, PrepareError, Rejection, Run,
    Sink, Source, Stage, StoreError, Workshop,
};
use flowctl_schema::Schema;
use flowctl_store::{Checkpoints, PipelineState};
use flowctl_topology::{Node, plan};
use flowctl_types::Batch;
use libtest_mimic::{Failed, Trial};

use crate::flowctl::Flowctl;

/// The variable that makes this binary the process that dies: the point.
const POINT: &str = "FLOWCTL_TEST_CRASH_POINT";
/// The epoch that it dies in: others were committed before.
const EPOCH: u64 = 3;
const N_EVENTS: usize = 4_000;
const ORDER: &str = include_str!("../../wit/events/example-order/event.wit");
const PIPELINE: &str = "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: orders}
spec:
  sources: [{id: in, type: generate, config: {type: example.order.v1, count: 4000, rate: 40000}}]
  sinks:
    - {id: a, type: sqlite, inputs: [in], config: {path: a.db, table: orders}}
    - {id: b, type: sqlite, inputs: [in], config: {path: b.db, table: orders}}
    - {id: lines, type: file, inputs: [in], config: {path: lines.jsonl}}
  batch: {max_events: 50}
  checkpoint: {interval: 10ms}
";

/// In the order of a checkpoint.
const POINTS: [&str; 11] = [
    "before-pending",
    "after-pending",
    "before-letters",
    "after-letters",
    "before-take-a",
    "after-take-a",
    "before-take-b",
    "after-take-b",
    "after-take-lines",
    "before-commit",
    "after-commit",
];

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |point: &'static str| {
        Trial::test(format!("crash_points::every_row_is_there_once_after_a_kill {point}"), move || killed_at(point))
    };
    POINTS.map(trial).into()
}

fn killed_at(point: &str) -> Result<(), Failed> {
    let whole = Flowctl::new();
    whole.write("p.yaml", PIPELINE);
    whole.run("run p.yaml").success();
    let broken = Flowctl::new();
    broken.write("p.yaml", PIPELINE);
    let mut child = Command::new(std::env::current_exe()?);
    let ended = child.current_dir(broken.path("")).env(POINT, point).output()?;
    let signal = std::os::unix::process::ExitStatusExt::signal(&ended.status);
    if signal != Some(9) {
        return Err(format!("it was to be killed, and ended with {}: {ended:?}", ended.status).into());
    }
    broken.run("run p.yaml").success();
    for database in ["a.db", "b.db"] {
        let (want, found) = (rows(&whole.path(database)), rows(&broken.path(database)));
        assert_eq!(want.len(), N_EVENTS);
        assert!(want == found, "{database} has {} rows of {N_EVENTS}, or others", found.len());
    }
    // at least once, and no line is torn
    let lines = |flowctl: &Flowctl| {
        let text = flowctl.read("lines.jsonl");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines.dedup();
        lines
    };
    assert!(lines(&whole) == lines(&broken), "the lines differ");
    Ok(())
}

/// Every row as text, sorted.
fn rows(database: &Path) -> Vec<String> {
    let database = rusqlite::Connection::open(database).unwrap();
    let mut query = database.prepare("SELECT * FROM orders").unwrap();
    let n_columns = query.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let values = (0..n_columns).map(|column| row.get_ref(column).map(|value| format!("{value:?}")));
        Ok(values.collect::<Result<Vec<_>, _>>()?.join("|"))
    };
    let mut rows: Vec<String> = query.query_map([], row).unwrap().map(Result::unwrap).collect();
    rows.sort();
    rows
}

/// Runs the pipeline of the working folder and dies, where this process is to.
pub(crate) fn child() -> Option<ExitCode> {
    let point = std::env::var(POINT).ok()?;
    let (document, faults) = flowctl_intent::read("p.yaml", PIPELINE, &|_| None);
    assert!(faults.is_empty(), "{faults:?}");
    let document = document.unwrap();
    let registry = Registry::build(flowctl_connectors::catalogue(), Schema::from_wit(ORDER).unwrap());
    let topology = plan(&document, &registry, &|_| None).unwrap();
    let dir = Path::new("state/flowctl/orders");
    let state = PipelineState::open(dir, &document.name).unwrap();
    let pipeline = Pipeline {
        name: document.name.clone(),
        state_id: state.id().to_owned(),
        is_new: true,
        state_dir: dir.to_owned(),
        base_dir: None,
    };
    let death = Death { point };
    let store = Dying { inner: state.checkpoints(3), death: death.clone() };
    let workshop = Arc::new(DyingWorkshop { pipeline, death });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut run = Run::new(workshop, Options { store: Arc::new(store), ..Options::default() });
        run.apply(Change::from_empty(&topology)).await.unwrap();
        run.wait().await;
    });
    // it lived: the parent says so
    Some(ExitCode::SUCCESS)
}

/// When this process ends.
#[derive(Clone)]
struct Death {
    point: String,
}

impl Death {
    fn at(&self, point: &str, epoch: u64) {
        if epoch == EPOCH && self.point == point {
            let this = rustix::process::getpid();
            rustix::process::kill_process(this, rustix::process::Signal::KILL).unwrap();
        }
    }
}

/// Passes everything on, and ends the process at the point.
struct Dying<T> {
    inner: T,
    death: Death,
}

#[async_trait]
impl CheckpointStore for Dying<Checkpoints> {
    async fn put_pending(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        let epoch = checkpoint.epoch;
        self.death.at("before-pending", epoch);
        self.inner.put_pending(checkpoint).await?;
        self.death.at("after-pending", epoch);
        Ok(())
    }

    async fn commit(&self, epoch: u64) -> Result<(), StoreError> {
        self.death.at("before-commit", epoch);
        self.inner.commit(epoch).await?;
        self.death.at("after-commit", epoch);
        Ok(())
    }

    async fn committed(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.inner.committed().await
    }

    async fn pending(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.inner.pending().await
    }
}

/// A sink, with the name of its node.
type NamedSink = (String, Box<dyn Sink>);

#[async_trait]
impl Sink for Dying<NamedSink> {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        self.inner.1.open().await
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        self.inner.1.write(batch).await
    }

    async fn flush(&mut self, epoch: u64) -> Result<(), Fault> {
        self.death.at(&format!("before-take-{}", self.inner.0), epoch);
        self.inner.1.flush(epoch).await?;
        self.death.at(&format!("after-take-{}", self.inner.0), epoch);
        Ok(())
    }

    async fn rewind(&mut self) -> Result<Option<u64>, Fault> {
        self.inner.1.rewind().await
    }
}

#[async_trait]
impl DeadLetterSink for Dying<Box<dyn DeadLetterSink>> {
    async fn open(&mut self) -> Result<(), Fault> {
        self.inner.open().await
    }

    async fn write(&mut self, letters: &[DeadLetter]) -> Result<(), Fault> {
        self.inner.write(letters).await
    }

    async fn flush(&mut self, epoch: u64) -> Result<(), Fault> {
        self.death.at("before-letters", epoch);
        self.inner.flush(epoch).await?;
        self.death.at("after-letters", epoch);
        Ok(())
    }
}

struct DyingWorkshop {
    pipeline: Pipeline,
    death: Death,
}

#[async_trait]
impl Workshop for DyingWorkshop {
    async fn source(&self, node: &Node) -> Result<Box<dyn Source>, PrepareError> {
        Ok(flowctl_connectors::source(node, &self.pipeline).unwrap())
    }

    async fn processor(&self, node: &Node) -> Result<Arc<dyn Stage>, PrepareError> {
        panic!("there is no processor `{}`", node.id);
    }

    async fn sink(&self, node: &Node) -> Result<Box<dyn Sink>, PrepareError> {
        let sink = flowctl_connectors::sink(node, &self.pipeline).unwrap();
        Ok(Box::new(Dying { inner: (node.id.to_string(), sink), death: self.death.clone() }))
    }

    async fn dead_letters(&self, _: Option<&Node>) -> Result<Box<dyn DeadLetterSink>, PrepareError> {
        let file = self.pipeline.state_dir.join("dead-letters.jsonl");
        let inner = flowctl_connectors::dead_letter_file(file);
        Ok(Box::new(Dying { inner, death: self.death.clone() }))
    }
}
