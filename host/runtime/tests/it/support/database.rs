//! A sink that keeps rows and epochs in one transaction, and deaths of the process at
//! every point of the protocol.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flowctl_runtime::{Checkpoint, CheckpointStore, Fault, MemoryStore, Rejection, Sink, StoreError};
use flowctl_types::Batch;
use tokio::sync::watch;

use super::numbers;

/// What outlives the process: rows that were committed, and the epoch they end at.
#[derive(Clone, Default)]
pub(crate) struct Database {
    pub(crate) kept: Arc<Mutex<Kept>>,
    /// Calls, counted from 0, that break the connection before they do anything.
    pub(crate) breaks: Arc<Mutex<HashSet<u64>>>,
    /// Epochs whose commit is made, and whose answer is lost.
    pub(crate) unanswered: Arc<Mutex<HashSet<u64>>>,
    /// Whether it cannot be opened.
    pub(crate) is_shut: bool,
    pub(crate) death: Option<Crash>,
    pub(crate) name: &'static str,
}

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) rows: Vec<(String, u64)>,
    pub(crate) epoch: Option<u64>,
    pub(crate) n_calls: u64,
}

impl Database {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    pub(crate) fn rows(&self) -> Vec<(String, u64)> {
        self.kept.lock().unwrap().rows.clone()
    }

    pub(crate) fn make(&self) -> Box<dyn Sink> {
        Box::new(Transaction { database: self.clone(), rows: Vec::new() })
    }

    fn call(&self) -> Result<(), Fault> {
        let mut kept = self.kept.lock().unwrap();
        kept.n_calls += 1;
        match self.breaks.lock().unwrap().remove(&(kept.n_calls - 1)) {
            true => Err(Fault::Lost("the connection broke".to_owned())),
            false => Ok(()),
        }
    }
}

struct Transaction {
    database: Database,
    rows: Vec<(String, u64)>,
}

#[async_trait]
impl Sink for Transaction {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        if self.database.is_shut {
            return Err(Fault::Fatal("no such database".to_owned()));
        }
        Ok(self.database.kept.lock().unwrap().epoch)
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        self.database.call()?;
        let rows = numbers(batch).into_iter().enumerate().map(|(index, n)| (batch.ids.get(index), n));
        self.rows.extend(rows);
        Ok(Vec::new())
    }

    async fn flush(&mut self, epoch: u64) -> Result<(), Fault> {
        if let Some(death) = &self.database.death {
            death.at(Point::BeforeTake(self.database.name), epoch).await;
        }
        self.database.call()?;
        {
            let mut kept = self.database.kept.lock().unwrap();
            kept.rows.append(&mut self.rows);
            kept.epoch = Some(epoch);
        }
        if self.database.unanswered.lock().unwrap().remove(&epoch) {
            return Err(Fault::Lost("the connection broke before the answer".to_owned()));
        }
        if let Some(death) = &self.database.death {
            death.at(Point::AfterTake(self.database.name), epoch).await;
        }
        Ok(())
    }

    async fn rewind(&mut self) -> Result<Option<u64>, Fault> {
        self.rows.clear();
        self.open().await
    }
}

/// Where the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    BeforePending,
    AfterPending,
    BeforeTake(&'static str),
    AfterTake(&'static str),
    BeforeCommit,
    AfterCommit,
}

/// A death of the process: whoever gets there never goes on, and the test drops the run.
#[derive(Clone)]
pub(crate) struct Crash {
    pub(crate) point: Point,
    pub(crate) epoch: u64,
    pub(crate) is_dead: Arc<watch::Sender<bool>>,
}

impl Crash {
    pub(crate) fn new(point: Point, epoch: u64) -> Self {
        Self { point, epoch, is_dead: Arc::new(watch::channel(false).0) }
    }

    async fn at(&self, point: Point, epoch: u64) {
        if (point, epoch) == (self.point, self.epoch) {
            self.is_dead.send_replace(true);
        }
        if *self.is_dead.borrow() {
            std::future::pending::<()>().await;
        }
    }
}

/// A store that the process dies in.
pub(crate) struct Deadly {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) death: Crash,
}

#[async_trait]
impl CheckpointStore for Deadly {
    async fn put_pending(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        let epoch = checkpoint.epoch;
        self.death.at(Point::BeforePending, epoch).await;
        self.store.put_pending(checkpoint).await?;
        self.death.at(Point::AfterPending, epoch).await;
        Ok(())
    }

    async fn commit(&self, epoch: u64) -> Result<(), StoreError> {
        self.death.at(Point::BeforeCommit, epoch).await;
        self.store.commit(epoch).await?;
        self.death.at(Point::AfterCommit, epoch).await;
        Ok(())
    }

    async fn committed(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.store.committed().await
    }

    async fn pending(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.store.pending().await
    }
}
