//! The epoch that a sink keeps with its rows, and the lock that goes before both.

use flowctl_runtime::Fault;
use sha2::{Digest as _, Sha256};
use tokio_postgres::{Client, Error};
use tracing::warn;

use super::session::Session;
use crate::sql::Place;

/// How long another transaction is waited for, milliseconds: one that holds the sink's
/// lock, or a row that this one writes too.
pub(super) const LOCK_TIMEOUT_MS: u32 = 30_000;
/// The same for the lock of an earlier connection, which has nothing left to do.
const TAKE_OVER_TIMEOUT_MS: u32 = 3_000;

/// The SQLSTATE of a lock that was waited for in vain.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Keeps the epochs of one sink.
#[derive(Debug)]
pub(super) struct Epochs {
    place: Place,
    /// The key of the sink's advisory lock.
    lock: i64,
}

impl Epochs {
    pub(super) fn new(place: Place) -> Self {
        let name = format!("flowctl sink {}/{}", place.state_id, place.node);
        let digest = Sha256::digest(name.as_bytes());
        let lock = i64::from_be_bytes(*digest.first_chunk().expect("a digest has 32 bytes"));
        Self { place, lock }
    }

    /// The last epoch that was committed, once no earlier connection has its
    /// transaction open. A fault leaves nothing behind but the session.
    pub(super) async fn held(&self, session: &mut Session, epochs: &str) -> Result<Option<u64>, Fault> {
        self.open(session, TAKE_OVER_TIMEOUT_MS, "").await?;
        let Place { state_id, node, .. } = &self.place;
        let sql = format!("SELECT epoch FROM {epochs} WHERE state_id = $1 AND node = $2");
        let read = match session.client.query_opt(&sql, &[state_id, node]).await {
            Ok(row) => session.client.batch_execute("COMMIT").await.map(|()| row),
            Err(error) => Err(error),
        };
        match read {
            Ok(row) => Ok(row.map(|row| row.get::<_, i64>(0).unsigned_abs())),
            Err(error) => Err(session.failure(&format!("read the epoch in {epochs}"), error).await.again()),
        }
    }

    /// Opens a transaction. `has_rules`: constraints are checked with each row, so that
    /// none is left to refuse the commit.
    pub(super) async fn begin(&self, session: &mut Session, has_rules: bool) -> Result<(), Fault> {
        let rules = if has_rules { "; SET CONSTRAINTS ALL IMMEDIATE" } else { "" };
        // a COPY takes as long as there are events for it
        self.open(session, LOCK_TIMEOUT_MS, &format!("; SET LOCAL statement_timeout = 0{rules}")).await
    }

    /// Commits the transaction as `epoch`. An error that the server answers means that
    /// it was not committed.
    pub(super) async fn commit(&self, client: &Client, epochs: &str, epoch: u64) -> Result<(), Error> {
        let Place { pipeline, state_id, node } = &self.place;
        let [pipeline, state_id, node] = [pipeline, state_id, node].map(|text| literal(text));
        // in one message: a transaction that has failed stops before its COMMIT, which
        // would pass for one otherwise
        let sql = format!(
            "INSERT INTO {epochs} (pipeline, state_id, node, epoch, updated_at) VALUES ({pipeline}, {state_id}, {node}, {epoch}, clock_timestamp())
            ON CONFLICT (state_id, node) DO UPDATE SET pipeline = excluded.pipeline, epoch = excluded.epoch, updated_at = excluded.updated_at;
            COMMIT"
        );
        client.batch_execute(&sql).await
    }

    /// Opens a transaction that has the sink's lock. An earlier connection that keeps it
    /// is ended, so that the next attempt passes.
    async fn open(&self, session: &mut Session, lock_timeout_ms: u32, and: &str) -> Result<(), Fault> {
        let lock = self.lock;
        let sql = format!(
            "BEGIN; SET LOCAL lock_timeout = {lock_timeout_ms}; SELECT pg_advisory_xact_lock({lock}); SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}{and}"
        );
        let Err(error) = session.client.batch_execute(&sql).await else { return Ok(()) };
        if error.code().is_none_or(|code| code.code() != LOCK_NOT_AVAILABLE) {
            return Err(session.failure("open a transaction", error).await.again());
        }
        let [high, low] = [lock >> 32, lock & 0xffff_ffff];
        let sql = format!(
            "ROLLBACK; SELECT pg_terminate_backend(pid) FROM pg_locks
            WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid = {}::oid AND objid = {low}::oid AND pid <> pg_backend_pid()",
            high as u32
        );
        if let Err(error) = session.client.batch_execute(&sql).await {
            warn!(node = self.place.node, %error, "an earlier connection of this sink cannot be ended");
        }
        Err(Fault::Retry("an earlier connection of this sink has its transaction open still".to_owned()))
    }
}

/// A text as SQL has it, whatever is in it.
fn literal(text: &str) -> String {
    // with the E, a backslash is read the same way whatever the server's settings
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
