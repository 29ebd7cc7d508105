//! What a pipeline was, change by change.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::values::{count, position, words};
use super::{Durability, HostStore};
use crate::StateError;

/// Revisions of one pipeline that are kept.
const MAX_REVISIONS: i64 = 100;

/// What became of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionStatus {
    /// A run was started with it.
    Started,
    /// It is to take over, and perhaps did.
    Switching,
    /// It runs, and may be taken back.
    OnTrial,
    /// It is kept.
    Kept,
    /// The one before it runs again.
    RolledBack,
}

words!(RevisionStatus {
    Started = "started",
    Switching = "switching",
    OnTrial = "on-trial",
    Kept = "kept",
    RolledBack = "rolled-back",
});

/// One revision of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionRecord {
    /// Whose pipeline it is.
    pub tenant: String,
    /// The pipeline.
    pub pipeline: String,
    /// From 1 within the pipeline.
    pub number: u64,
    /// The run that it was made in.
    pub run: String,
    /// When it was made.
    pub at: i64,
    /// What became of it.
    pub status: RevisionStatus,
    /// Why it was taken back, or what for it was made; may be empty.
    pub reason: String,
    /// What it changed, as JSON that whoever stored it reads.
    pub changes: String,
    /// What was measured of it, as JSON that whoever stored it reads.
    pub outcome: String,
    /// Its nodes in one line.
    pub chain: String,
    /// The file, with `${NAME}` as written.
    pub text: String,
    /// The lock file's text; empty where there is none.
    pub lock: String,
}

const COLUMNS: &str = "tenant, pipeline, number, run, at, status, reason, changes, outcome, chain, text, lock";

impl HostStore {
    /// Makes `revision` what the pipeline is, where it is the one behind the pipeline's own:
    /// of several that try, one succeeds. Its text and lock become the pipeline's. Answers
    /// whether it was stored. Of each pipeline the last hundred are kept.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails. Nothing was stored.
    pub fn put_revision(&self, revision: &RevisionRecord) -> Result<bool, StateError> {
        let swap = "UPDATE pipeline SET revision = ?3, text = ?4, lock = ?5, changed_at = ?6
            WHERE tenant = ?1 AND name = ?2 AND revision = ?3 - 1";
        let put = format!(
            "INSERT OR REPLACE INTO revision ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        );
        let forget = "DELETE FROM revision WHERE tenant = ?1 AND pipeline = ?2 AND number <= ?3 - ?4";
        self.write(Durability::Now, |transaction| {
            let RevisionRecord { tenant, pipeline, text, lock, at, .. } = revision;
            let number = position(revision.number);
            let swapped =
                transaction.prepare_cached(swap)?.execute(params![tenant, pipeline, number, text, lock, at])?;
            if swapped == 0 {
                return Ok(false);
            }
            transaction.prepare_cached(&put)?.execute(params![
                tenant,
                pipeline,
                number,
                revision.run,
                at,
                revision.status,
                revision.reason,
                revision.changes,
                revision.outcome,
                revision.chain,
                text,
                lock,
            ])?;
            transaction.prepare_cached(forget)?.execute(params![tenant, pipeline, number, MAX_REVISIONS])?;
            Ok(true)
        })
    }

    /// Writes down what became of a revision; a reason or an outcome that is empty leaves
    /// what is there.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails. Nothing was stored.
    pub fn settle_revision(
        &self,
        (tenant, pipeline, number): (&str, &str, u64),
        status: RevisionStatus,
        reason: &str,
        outcome: &str,
    ) -> Result<(), StateError> {
        let settle = "UPDATE revision SET status = ?4, reason = iif(?5 = '', reason, ?5),
            outcome = iif(?6 = '', outcome, ?6) WHERE tenant = ?1 AND pipeline = ?2 AND number = ?3";
        self.write(Durability::Now, |transaction| {
            transaction.prepare_cached(settle)?.execute(params![
                tenant,
                pipeline,
                position(number),
                status,
                reason,
                outcome
            ])?;
            Ok(())
        })
    }

    /// The revisions of a pipeline that are kept, the latest first.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn revisions(&self, tenant: &str, pipeline: &str) -> Result<Vec<RevisionRecord>, StateError> {
        let list = format!("SELECT {COLUMNS} FROM revision WHERE tenant = ?1 AND pipeline = ?2 ORDER BY number DESC");
        self.read(|database| database.prepare_cached(&list)?.query_map([tenant, pipeline], record)?.collect())
    }

    /// One revision of a pipeline.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn revision(&self, tenant: &str, pipeline: &str, number: u64) -> Result<Option<RevisionRecord>, StateError> {
        self.read(|database| one(database, tenant, pipeline, number))
    }
}

fn one(database: &Connection, tenant: &str, pipeline: &str, number: u64) -> rusqlite::Result<Option<RevisionRecord>> {
    let select = format!("SELECT {COLUMNS} FROM revision WHERE tenant = ?1 AND pipeline = ?2 AND number = ?3");
    database.prepare_cached(&select)?.query_row(params![tenant, pipeline, position(number)], record).optional()
}

fn record(row: &Row<'_>) -> rusqlite::Result<RevisionRecord> {
    Ok(RevisionRecord {
        tenant: row.get(0)?,
        pipeline: row.get(1)?,
        number: count(row, 2)?,
        run: row.get(3)?,
        at: row.get(4)?,
        status: row.get(5)?,
        reason: row.get(6)?,
        changes: row.get(7)?,
        outcome: row.get(8)?,
        chain: row.get(9)?,
        text: row.get(10)?,
        lock: row.get(11)?,
    })
}
