//! The sink's life: a session, a transaction for each epoch, and what becomes of them.
//!
//! Invariant: a transaction holds the advisory lock of its sink before it holds a row.
//! Whoever has the lock, therefore, sees what an earlier connection came to, one that a
//! killed process left behind included: an epoch is never read while its commit is
//! under way.
//!
//! An error drops the session, and with it whatever was open. Whether that loses rows is
//! known, but for one case: when the connection breaks while a commit is under way, the
//! next session looks for the epoch.

use std::sync::Arc;

use async_trait::async_trait;
use flowctl_runtime::{Fault, Rejection, Sink};
use flowctl_types::Batch;
use tracing::warn;

use super::address::Address;
use super::definition;
use super::epochs::Epochs;
use super::fault::Meaning;
use super::session::{Failure, Session};
use super::target::{Open, Target};
use crate::sql::table::Table;

/// The sink of one node.
pub(super) struct Postgres {
    address: Address,
    schema: Option<String>,
    targets: Vec<Target>,
    epochs: Epochs,
    state: State,
    /// Whether a call was dropped before its end.
    is_given_up: bool,
    /// Whether rows were lost and nobody went back yet.
    is_lost: bool,
}

enum State {
    /// There is no connection, and no transaction.
    Closed,
    /// A connection without a transaction.
    Idle(Live),
    /// A transaction that holds rows, or is about to.
    Writing(Live),
    /// An epoch was being committed when the connection broke.
    Unknown,
}

/// A session with its tables.
struct Live {
    session: Session,
    tables: Vec<Open>,
    /// Where the epochs are, quoted.
    epochs: String,
    /// Whether the transaction at hand holds rows.
    has_rows: bool,
}

#[async_trait]
impl Sink for Postgres {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        self.state = State::Closed;
        let (live, held) = self.connect().await?;
        self.state = State::Idle(live);
        (self.is_given_up, self.is_lost) = (false, false);
        Ok(held)
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        if matches!(self.state, State::Unknown) {
            self.is_lost = true;
        }
        self.check()?;
        let kind = batch.columns.kind as usize;
        if kind >= self.targets.len() {
            let n = self.targets.len();
            return Err(Fault::Fatal(format!("a batch is of kind {kind}, but the sink has {n} input types")));
        }
        self.is_given_up = true;
        let written = self.write_to(kind, batch).await;
        self.is_given_up = false;
        self.is_lost = matches!(written, Err(Fault::Lost(_)));
        written
    }

    async fn flush(&mut self, epoch: u64) -> Result<(), Fault> {
        self.check()?;
        self.is_given_up = true;
        let flushed = self.commit(epoch).await;
        self.is_given_up = false;
        self.is_lost = matches!(flushed, Err(Fault::Lost(_)));
        flushed
    }

    async fn rewind(&mut self) -> Result<Option<u64>, Fault> {
        if let State::Idle(live) | State::Writing(live) = std::mem::replace(&mut self.state, State::Closed)
            && !self.is_given_up
            && let Some((live, held)) = self.roll_back(live).await
        {
            self.state = State::Idle(live);
            self.is_lost = false;
            return Ok(held);
        }
        self.open().await
    }
}

impl Postgres {
    pub(super) fn new(address: Address, schema: Option<String>, targets: Vec<Target>, epochs: Epochs) -> Self {
        Self { address, schema, targets, epochs, state: State::Closed, is_given_up: false, is_lost: false }
    }

    /// Whether a call may go on where the one before it ended.
    fn check(&mut self) -> Result<(), Fault> {
        // a commit that was given up is looked for, what else was given up is gone
        if self.is_given_up && !matches!(self.state, State::Unknown) {
            self.state = State::Closed;
            self.is_lost = true;
        }
        match self.is_lost {
            true => Err(Fault::Lost(format!("what was written to {} and not flushed is lost", self.address))),
            false => Ok(()),
        }
    }

    /// Opens a session, checks the tables, and answers the epoch that is held.
    async fn connect(&mut self) -> Result<(Live, Option<u64>), Fault> {
        let mut session = Session::open(&self.address).await?;
        definition::set_up(&mut session).await?;
        let tables: Vec<Table> = self.targets.iter().map(|target| target.table.clone()).collect();
        let (ready, epochs) = definition::prepare(&mut session, self.schema.as_deref(), &tables).await?;
        let held = self.epochs.held(&mut session, &epochs).await?;
        let mut tables = Vec::new();
        for (index, (target, ready)) in self.targets.iter().zip(ready).enumerate() {
            let open = target.open(&mut session, ready, index).await;
            tables.push(open.map_err(Failure::again)?);
        }
        Ok((Live { session, tables, epochs, has_rows: false }, held))
    }

    /// The session, in a transaction. A fault leaves nothing taken.
    async fn begin(&mut self) -> Result<Live, Fault> {
        let mut live = match std::mem::replace(&mut self.state, State::Closed) {
            State::Writing(live) => return Ok(live),
            State::Idle(live) if !live.session.is_closed() => live,
            State::Idle(_) | State::Closed | State::Unknown => self.connect().await?.0,
        };
        let has_rules = live.tables.iter().any(Open::has_rules);
        self.epochs.begin(&mut live.session, has_rules).await?;
        live.tables.iter_mut().for_each(Open::begin);
        live.has_rows = false;
        Ok(live)
    }

    async fn write_to(&mut self, kind: usize, batch: &Batch) -> Result<Vec<Rejection>, Fault> {
        let mut live = self.begin().await?;
        let written = match self.settle(&mut live, Some(kind)).await {
            Ok(()) => self.targets[kind].write(&mut live.tables[kind], &mut live.session, batch).await,
            Err(failure) => Err(failure),
        };
        match written {
            Ok(rejected) => {
                live.has_rows |= rejected.len() < batch.len();
                self.state = State::Writing(live);
                Ok(rejected)
            }
            // the session is dropped, and its transaction with it
            Err(failure) if live.has_rows => Err(failure.lost()),
            Err(failure) => Err(failure.again()),
        }
    }

    /// Waits for what is on its way to the tables, one aside.
    async fn settle(&mut self, live: &mut Live, but: Option<usize>) -> Result<(), Failure> {
        for (kind, (target, open)) in self.targets.iter_mut().zip(&mut live.tables).enumerate() {
            if but != Some(kind) {
                target.settle(open, &mut live.session).await?;
            }
        }
        Ok(())
    }

    async fn commit(&mut self, epoch: u64) -> Result<(), Fault> {
        if matches!(self.state, State::Unknown) {
            return self.look(epoch).await;
        }
        let mut live = self.begin().await?;
        self.settle(&mut live, None).await.map_err(Failure::lost)?;
        for (target, open) in self.targets.iter_mut().zip(&mut live.tables) {
            if let Err(failure) = target.merge(open, &mut live.session).await {
                return Err(failure.lost());
            }
        }
        self.state = State::Unknown;
        let Err(error) = self.epochs.commit(&live.session.client, &live.epochs, epoch).await else {
            self.state = State::Idle(live);
            return Ok(());
        };
        let mut failure = live.session.failure(&format!("commit epoch {epoch}"), error).await;
        match failure.meaning {
            Meaning::Broken if live.has_rows => {
                warn!(epoch, error = %failure.text, "the outcome of a commit is not known");
                return self.look(epoch).await;
            }
            // a rule that is checked at the end only, and came to be since the tables were looked at
            Meaning::Row => failure.meaning = Meaning::Passing,
            Meaning::Broken | Meaning::Passing | Meaning::Lasting => {}
        }
        self.state = State::Closed;
        Err(if live.has_rows { failure.lost() } else { failure.again() })
    }

    /// Finds out whether `epoch` was committed when the connection broke.
    async fn look(&mut self, epoch: u64) -> Result<(), Fault> {
        let (live, held) = self.connect().await?;
        self.state = State::Idle(live);
        if held >= Some(epoch) {
            return Ok(());
        }
        Err(Fault::Lost(format!("epoch {epoch} was not committed to {} when the connection broke", self.address)))
    }

    /// Rolls back what the session has open; none where it cannot be used any more.
    async fn roll_back(&self, mut live: Live) -> Option<(Live, Option<u64>)> {
        live.tables.iter_mut().for_each(Open::begin);
        live.session.client.batch_execute("ROLLBACK").await.ok()?;
        let held = self.epochs.held(&mut live.session, &live.epochs).await.ok()?;
        Some((live, held))
    }
}
