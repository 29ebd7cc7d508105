//! The control plane's database: components, pipelines, runs with their events, credentials.
//!
//! One file, `host.db`, which several processes may have open; each is a host with an id
//! and a lock of its own. Invariants: whatever decides what runs, or who may, is on the
//! disk when its call has returned; a run that has ended never changes again; a run that
//! has not ended belongs to a host, and whoever finds that host's lock free may fail it.
//!
//! One connection behind a mutex: each call is short, SQLite lets one of them write at a
//! time anyway, and what has to be flushed is told apart by transaction, not by
//! connection. Times are milliseconds since the Unix epoch throughout.
//!
//! Leaves out what the records mean: no secret, no type of the wire, and no component's
//! liveness comes here.

mod components;
mod credentials;
mod events;
mod hosts;
mod pipelines;
mod retention;
mod revisions;
mod run_update;
mod runs;
mod schema;
mod values;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use components::{ComponentRecord, ComponentRole, Heartbeat};
pub(crate) use credentials::listed as credentials;
pub use credentials::{CredentialKind, CredentialRecord};
pub use events::{EventLevel, EventRecord, EventRow, MAX_EVENT_BYTES, MAX_EVENTS, MAX_MESSAGE_BYTES};
pub use pipelines::{PipelineQuery, PipelineRecord, PipelineRow};
pub use retention::{Removed, Retention};
pub use revisions::{RevisionRecord, RevisionStatus};
pub use run_update::RunUpdate;
pub use runs::{RunQuery, RunRecord, RunRow, RunStatus};

use crate::lock::Lock;
use crate::{StateError, database, folder};
use hosts::Host;
pub(crate) use schema::FORMAT;

/// Statements that stay prepared: more than there are.
const N_STATEMENTS: usize = 64;

/// The control plane's database. Cheap to clone; calls from several threads take turns.
///
/// Its calls block, for a flush of the disk at most, or for another process that writes.
#[derive(Debug, Clone)]
pub struct HostStore {
    inner: Arc<Inner>,
}

// dropped in this order: nothing is written once the host's lock is free
#[derive(Debug)]
struct Inner {
    connection: Mutex<Connection>,
    dir: PathBuf,
    path: PathBuf,
    host: Host,
}

/// When a transaction is on the disk. It is whole in any case, and behind those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// When the call returns.
    Now,
    /// With the next one that is, or the next checkpoint of the log: a crash of the process
    /// loses nothing, one of the machine may.
    Soon,
}

/// The right to serve the control plane of a state directory.
#[derive(Debug)]
pub struct Serving {
    _lock: Lock,
}

impl HostStore {
    /// Opens the database `host.db` in the folder `dir`, which is created for this user
    /// alone where it is missing, and makes this process a host until the last clone is
    /// dropped.
    ///
    /// Waits for another process that is opening it. The database's pages are not checked
    /// here, as it may be large: damage is found by the call that reads it.
    ///
    /// # Errors
    ///
    /// [`StateError`] when it cannot be used. What was there is as it was.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        folder::create(dir)?;
        // creating, migrating and registering are one step before other processes
        let _turn = turn(dir)?;
        let path = dir.join("host.db");
        let connection = database::open(&path, &FORMAT, |_| Ok(()))?;
        connection.set_prepared_statement_cache_capacity(N_STATEMENTS);
        let id = database::random_id(&connection).map_err(|source| database::error(&path, &FORMAT, source))?;
        let host = Host::start(dir, id)?;
        Ok(Self { inner: Arc::new(Inner { connection: Mutex::new(connection), dir: dir.to_owned(), path, host }) })
    }

    /// Has this process be the only one that serves this database's control plane, for as long
    /// as what is answered is kept. Others may have it open.
    ///
    /// # Errors
    ///
    /// [`StateError::Served`] when another one does.
    pub fn serve_alone(&self) -> Result<Serving, StateError> {
        let taken = Lock::take(&self.inner.dir.join("serve.lock"));
        taken.map(|lock| Serving { _lock: lock }).map_err(|error| match error {
            StateError::Held { pid, path } => StateError::Served { pid, path },
            other => other,
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.inner.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, source: rusqlite::Error) -> StateError {
        database::error(&self.inner.path, &FORMAT, source)
    }

    /// Runs one statement, which is a transaction of its own.
    fn read<T>(&self, act: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StateError> {
        act(&self.connection()).map_err(|source| self.failed(source))
    }

    /// Reads and writes in one transaction, which is undone when `act` fails.
    fn write<T>(
        &self,
        durability: Durability,
        act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StateError> {
        let level = match durability {
            Durability::Now => "FULL",
            Durability::Soon => "NORMAL",
        };
        let write = |connection: &mut Connection| {
            connection.pragma_update(None, "synchronous", level)?;
            // immediate: a transaction that begins as a reader may not be let to write
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let answer = act(&transaction)?;
            transaction.commit()?;
            Ok(answer)
        };
        write(&mut self.connection()).map_err(|source| self.failed(source))
    }
}

/// The turn of one process: while it is held, no host starts, and none is found dead.
fn turn(dir: &Path) -> Result<Lock, StateError> {
    Lock::wait(&dir.join("host.lock"))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
