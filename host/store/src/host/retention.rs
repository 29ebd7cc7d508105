//! Which runs stay, and giving back the room of those that do not.

use std::time::Duration;

use rusqlite::{Connection, Transaction, params};

use super::{Durability, HostStore};
use crate::StateError;

/// Pages that one transaction gives back.
const N_PAGES: u32 = 256;

/// Which runs stay: those that go on, the last one of each pipeline, and those that both
/// limits allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The most that passes after a run's end.
    pub max_age: Duration,
    /// The latest runs of a pipeline that stay.
    pub max_runs_per_pipeline: u32,
    /// Now, in milliseconds since the Unix epoch.
    pub now: i64,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Runs.
    pub runs: u64,
    /// Events of these runs.
    pub events: u64,
}

impl HostStore {
    /// Removes runs that do not stay, with their events, and gives their room in the file
    /// back. Other calls come between; a crash of the machine may bring some of the runs
    /// back.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails. Some of the runs may be gone.
    pub fn retain(&self, retention: &Retention) -> Result<Removed, StateError> {
        let list = "SELECT number FROM (
                SELECT number, ended_at, row_number() OVER (PARTITION BY tenant, pipeline ORDER BY number DESC) AS place
                FROM run)
            WHERE ended_at IS NOT NULL AND place > 1 AND (place > ?1 OR ended_at < ?2) ORDER BY number";
        let max_age = i64::try_from(retention.max_age.as_millis()).unwrap_or(i64::MAX);
        let limits = params![retention.max_runs_per_pipeline, retention.now.saturating_sub(max_age)];
        let runs: Vec<i64> =
            self.read(|database| database.prepare_cached(list)?.query_map(limits, |row| row.get(0))?.collect())?;
        let mut removed = Removed::default();
        for run in runs {
            let one = self.write(Durability::Soon, |transaction| remove_run(transaction, run))?;
            removed.runs += one.runs;
            removed.events += one.events;
        }
        self.give_back()?;
        Ok(removed)
    }

    /// Gives the pages that are free back to the file system, some at a time.
    fn give_back(&self) -> Result<(), StateError> {
        let give = format!("PRAGMA incremental_vacuum({N_PAGES})");
        let give = |database: &Connection| {
            let mut statement = database.prepare_cached(&give)?;
            let mut rows = statement.query([])?;
            let mut n_pages = 0;
            // each step gives one page
            while rows.next()?.is_some() {
                n_pages += 1;
            }
            Ok(n_pages)
        };
        while self.read(give)? == N_PAGES {}
        // the file shrinks when the log's pages come to it; this waits for nobody
        self.read(|database| database.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())))
    }
}

/// Removes a run with all that belongs to it.
pub(super) fn remove_run(transaction: &Transaction<'_>, run: i64) -> rusqlite::Result<Removed> {
    let remove = |delete| transaction.prepare_cached(delete)?.execute([run]).map(|n_rows| n_rows as u64);
    let events = remove("DELETE FROM event WHERE run = ?1")?;
    Ok(Removed { runs: remove("DELETE FROM run WHERE number = ?1")?, events })
}
