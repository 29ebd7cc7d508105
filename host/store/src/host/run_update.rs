//! How a run changes while it goes on.

use rusqlite::{OptionalExtension, params};

use super::{Durability, HostStore, RunStatus, now};
use crate::StateError;

/// What changes of a run; what is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunUpdate {
    /// The run.
    pub id: String,
    /// How far it is. One that lies behind the run is passed over.
    pub status: Option<RunStatus>,
    /// When every node was ready; the first time counts. None stands for the time of the
    /// call where the run comes to run.
    pub started_at: Option<i64>,
    /// When it ended, where it does with this; none stands for the time of the call.
    pub ended_at: Option<i64>,
    /// Why it failed, with causes.
    pub error: Option<String>,
    /// The error's code.
    pub error_code: Option<String>,
    /// What to do about the error.
    pub hint: Option<String>,
    /// What it became: nodes, digests and edges, as JSON.
    pub resolved: Option<String>,
    /// Figures by node and edge, as JSON.
    pub figures: Option<String>,
    /// The last epoch that every sink took.
    pub epoch: Option<u64>,
    /// Events that sources read.
    pub events_in: Option<u64>,
    /// Events that sinks took.
    pub events_out: Option<u64>,
    /// Events that were set aside.
    pub rejected: Option<u64>,
    /// Where rejected events go, as a path.
    pub dead_letters: Option<String>,
}

impl HostStore {
    /// Changes a run. One that has ended stays as it is, and a status never moves back:
    /// so updates of several threads may come in any order.
    ///
    /// Answers the status after it; none where there is no such run. An update without a
    /// status may be lost when the machine crashes, as the next figures follow.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails. The run is as it was.
    pub fn update_run(&self, update: &RunUpdate) -> Result<Option<RunStatus>, StateError> {
        let durability = if update.status.is_some() { Durability::Now } else { Durability::Soon };
        let find = "SELECT number, status FROM run WHERE id = ?1";
        let set = "UPDATE run SET status = ?2, started_at = coalesce(started_at, ?3), ended_at = ?4,
            error = coalesce(?5, error), hint = coalesce(?6, hint), figures = coalesce(?7, figures),
            epoch = coalesce(?8, epoch), events_in = coalesce(?9, events_in), events_out = coalesce(?10, events_out),
            rejected = coalesce(?11, rejected), dead_letters = coalesce(?12, dead_letters),
            error_code = coalesce(?13, error_code) WHERE number = ?1";
        let set_text = "UPDATE run_text SET resolved = ?2 WHERE run = ?1";
        self.write(durability, |transaction| {
            let found = transaction
                .prepare_cached(find)?
                .query_row([&update.id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, RunStatus>(1)?)));
            let Some((number, before)) = found.optional()? else { return Ok(None) };
            if before.is_ended() {
                return Ok(Some(before));
            }
            let after = update.status.filter(|status| status.place() > before.place()).unwrap_or(before);
            let comes_to_run = after == RunStatus::Running && before != RunStatus::Running;
            transaction.prepare_cached(set)?.execute(params![
                number,
                after,
                update.started_at.or_else(|| comes_to_run.then(now)),
                after.is_ended().then(|| update.ended_at.unwrap_or_else(now)),
                update.error,
                update.hint,
                update.figures,
                update.epoch.map(u64::cast_signed),
                update.events_in.map(u64::cast_signed),
                update.events_out.map(u64::cast_signed),
                update.rejected.map(u64::cast_signed),
                update.dead_letters,
                update.error_code,
            ])?;
            if let Some(resolved) = &update.resolved {
                transaction.prepare_cached(set_text)?.execute(params![number, resolved])?;
            }
            Ok(Some(after))
        })
    }
}
