//! Sink `sqlite`: events as rows of an SQLite database, exactly once.
//!
//! A file can have one writer at a time. So rows wait in a temporary table, which SQLite
//! keeps in a file of its own, and `flush` brings them into the database with the
//! epoch's number: the file is locked for that long only. A table with rules of its own
//! is written at once, so that the event that breaks one is known; the file is locked
//! from its first row to the flush then, and two such sinks in one pipeline need a file
//! each.
//!
//! Invariant: a call that is given up goes on to its end on its thread, and the next one
//! waits for it; what it did is then taken for lost, unless it was a commit, which is
//! looked up.

mod database;
mod definition;
mod rows;
mod worker;

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use flowctl_runtime::{Fault, Rejection, Sink};
use flowctl_topology::Node;
use flowctl_types::Batch;
use serde::Deserialize;

use self::database::{Database, Plan};
use self::worker::Worker;
use super::{Mode, Place, Wanted};
use crate::base_dir::BaseDir;
use crate::reach::Reach;
use crate::{ConnectorError, Pipeline, config};

pub(crate) const NAME: &str = "sqlite";

/// The configuration, as WIT; [`Config`] is what it is read into.
pub(crate) const CONFIG: &str = "
/// Where rows go.
record config {
    /// The database's file, made where it is missing. Its directory must exist. An
    /// unsigned 64-bit number past 9223372036854775807 and a float that is no number are
    /// refused: SQLite has no place for them.
    path: string,
    /// The table to write to, made where it is missing. Default: one table for each event
    /// type, named after it: `example_order_v1`.
    table: option<string>,
    /// Whether every event is a row, `append`, which is the default, or the last event
    /// of each key is its row, `upsert`.
    mode: option<mode>,
    /// The columns that tell rows apart, with `mode: upsert`.
    key: option<list<string>>,
}

/// What happens to a row whose key is there already.
enum mode {
    /// Rows have no key.
    append,
    /// It is replaced.
    upsert,
}
";

/// What every database that is not empty starts with.
const HEAD: &[u8; 16] = b"SQLite format 3\0";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    path: PathBuf,
    table: Option<String>,
    mode: Option<Mode>,
    key: Option<Vec<String>>,
}

pub(crate) fn sink(node: &Node, pipeline: &Pipeline) -> Result<Box<dyn Sink>, ConnectorError> {
    let Config { path, table, mode, key } = config::read(NAME, node)?;
    check_named(&path)?;
    let path = pipeline.path(path);
    check(&path)?;
    let tables = Wanted { table, mode, key }.tables(NAME, node)?;
    let targets = tables.into_iter().zip(node.inputs.iter().cloned()).collect();
    let plan = Plan { path, place: Place::of(pipeline, node), targets };
    Ok(Box::new(Sqlite { plan: Arc::new(plan), worker: None, is_given_up: false, is_lost: false }))
}

/// What is wrong with a configuration that has the right fields.
pub(crate) fn check_config(config: &serde_json::Value) -> Vec<ConnectorError> {
    let Config { path, table, mode, key } = match config::read_value(NAME, config) {
        Ok(config) => config,
        Err(error) => return vec![error],
    };
    let key = Wanted { table, mode, key }.key(NAME).map(drop);
    [check_named(&path), key].into_iter().filter_map(Result::err).collect()
}

/// What a sink of this configuration touches: the database, and the files that SQLite
/// keeps beside it.
pub(crate) fn reach(config: &serde_json::Value, base: BaseDir<'_>) -> Result<Reach, ConnectorError> {
    let Config { path, .. } = config::read_value(NAME, config)?;
    let beside = |ending: &str| {
        let mut path = base.reached(&path).into_os_string();
        path.push(ending);
        path.into()
    };
    Ok(Reach { writes: ["", "-journal", "-wal", "-shm"].map(beside).to_vec(), ..Reach::default() })
}

fn check_named(path: &Path) -> Result<(), ConnectorError> {
    if path.as_os_str().is_empty() {
        return Err(ConnectorError::field(NAME, "path", "is empty: name the database's file"));
    }
    Ok(())
}

/// Whether a database can be at `path`, found out without creating it.
fn check(path: &Path) -> Result<(), ConnectorError> {
    let error = |source| ConnectorError::File { connector: NAME, action: "write", path: path.to_owned(), source };
    let wrong = |reason: String| ConnectorError::field(NAME, "path", reason);
    check_named(path)?;
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(source) if source.kind() == ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return match std::fs::metadata(parent) {
                Ok(metadata) if metadata.is_dir() => Ok(()),
                Ok(_) => Err(error(ErrorKind::NotADirectory.into())),
                Err(source) => Err(error(source)),
            };
        }
        Err(source) => return Err(error(source)),
    };
    if metadata.is_dir() {
        return Err(wrong(format!("names a directory: write `{}`, for instance", path.join("events.db").display())));
    }
    if !metadata.is_file() {
        return Err(wrong(format!("names no file: `{}`", path.display())));
    }
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(error)?;
    file.take(HEAD.len() as u64).read_to_end(&mut head).map_err(error)?;
    if head.is_empty() || head == HEAD {
        return Ok(());
    }
    Err(wrong(format!("names a file that is no SQLite database: `{}`; name another", path.display())))
}

struct Sqlite {
    plan: Arc<Plan>,
    worker: Option<Worker>,
    /// Whether a call was dropped before its end.
    is_given_up: bool,
    /// Whether rows were lost and nobody went back yet.
    is_lost: bool,
}

#[async_trait]
impl Sink for Sqlite {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        // a call that was given up still has the file
        if let Some(worker) = self.worker.take() {
            worker.end().await;
        }
        let plan = Arc::clone(&self.plan);
        let (worker, held) = Worker::start(move || Database::open(&plan)).await?;
        self.worker = Some(worker);
        (self.is_given_up, self.is_lost) = (false, false);
        Ok(held)
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        if self.is_given_up {
            self.is_lost = true;
        }
        let batch = Arc::clone(batch);
        self.call(move |database| database.write(&batch)).await
    }

    async fn flush(&mut self, epoch: u64) -> Result<(), Fault> {
        if self.is_given_up {
            let held = self.worker()?.run(|database| database.last_epoch()).await?;
            self.is_given_up = false;
            if held >= Some(epoch) {
                return Ok(());
            }
            self.is_lost = true;
        }
        self.call(move |database| database.commit(epoch)).await
    }

    async fn rewind(&mut self) -> Result<Option<u64>, Fault> {
        self.open().await
    }
}

impl Sqlite {
    async fn call<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Database) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        if self.is_lost {
            let path = self.plan.path.display();
            return Err(Fault::Lost(format!("what was written to `{path}` and not flushed is lost")));
        }
        self.is_given_up = true;
        let answer = self.worker()?.run(act).await;
        self.is_given_up = false;
        let answer = answer.and_then(|answer| answer);
        self.is_lost = matches!(answer, Err(Fault::Lost(_)));
        answer
    }

    fn worker(&mut self) -> Result<&mut Worker, Fault> {
        self.worker
            .as_mut()
            .ok_or_else(|| Fault::Fatal("the sink `sqlite` was not opened before it was used".to_owned()))
    }
}
