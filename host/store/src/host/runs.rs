//! Runs: every start of a pipeline, with what became of it.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::values::{count, position, words};
use super::{Durability, HostStore, now};
use crate::StateError;

/// How far a run is. It moves forward only: from starting over running and stopping to
/// one of the ends, where it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// Its nodes are made ready.
    Starting,
    /// Events flow.
    Running,
    /// It was told to stop, and what is under way flows to the sinks.
    Stopping,
    /// Its sources finished for good, and the sinks took everything.
    Completed,
    /// It ended with an error.
    Failed,
    /// It was told to stop, and did.
    Stopped,
}

words!(RunStatus {
    Starting = "starting",
    Running = "running",
    Stopping = "stopping",
    Completed = "completed",
    Failed = "failed",
    Stopped = "stopped",
});

impl RunStatus {
    /// Whether the run has ended.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Stopped)
    }

    /// Its place on the way from start to end.
    pub(super) const fn place(self) -> u8 {
        match self {
            Self::Starting => 0,
            Self::Running => 1,
            Self::Stopping => 2,
            Self::Completed | Self::Failed | Self::Stopped => 3,
        }
    }
}

/// A start of a pipeline. Texts are empty where there is nothing to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// What it is called by; unique among the runs of all tenants.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// The pipeline that was started.
    pub pipeline: String,
    /// The host that runs it.
    pub host_id: String,
    /// How far it is.
    pub status: RunStatus,
    /// When it was asked for.
    pub created_at: i64,
    /// When every node was ready.
    pub started_at: Option<i64>,
    /// When it ended: known if and only if it has.
    pub ended_at: Option<i64>,
    /// Why it failed, with causes.
    pub error: String,
    /// The error's code.
    pub error_code: String,
    /// What to do about the error.
    pub hint: String,
    /// The file as submitted, with `${NAME}` as written.
    pub config: String,
    /// What it became: nodes, digests and edges, as JSON.
    pub resolved: String,
    /// Figures by node and edge, as JSON.
    pub figures: String,
    /// The last epoch that every sink took; 0 where there is none.
    pub epoch: u64,
    /// Events that sources read.
    pub events_in: u64,
    /// Events that sinks took.
    pub events_out: u64,
    /// Events that were set aside.
    pub rejected: u64,
    /// Where rejected events go, as a path.
    pub dead_letters: String,
}

/// A run in a list: without `config`, `resolved` and `figures`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its position in lists: later runs have larger ones.
    pub number: u64,
    /// What it is called by; unique among the runs of all tenants.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// The pipeline that was started.
    pub pipeline: String,
    /// The host that runs it.
    pub host_id: String,
    /// How far it is.
    pub status: RunStatus,
    /// When it was asked for.
    pub created_at: i64,
    /// When every node was ready.
    pub started_at: Option<i64>,
    /// When it ended: known if and only if it has.
    pub ended_at: Option<i64>,
    /// Why it failed, with causes.
    pub error: String,
    /// The error's code.
    pub error_code: String,
    /// What to do about the error.
    pub hint: String,
    /// The last epoch that every sink took; 0 where there is none.
    pub epoch: u64,
    /// Events that sources read.
    pub events_in: u64,
    /// Events that sinks took.
    pub events_out: u64,
    /// Events that were set aside.
    pub rejected: u64,
    /// Where rejected events go, as a path.
    pub dead_letters: String,
}

/// Which runs are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunQuery {
    /// Whose.
    pub tenant: String,
    /// Only those of this pipeline.
    pub pipeline: Option<String>,
    /// Whether only runs that have not ended are listed.
    pub is_active: bool,
    /// Only those before this [`RunRow::number`]: that of the last run of the page before.
    pub before: Option<u64>,
    /// The most that are listed.
    pub limit: u32,
}

impl RunQuery {
    /// The latest 100 runs of `tenant`.
    #[must_use]
    pub fn of(tenant: impl Into<String>) -> Self {
        Self { tenant: tenant.into(), pipeline: None, is_active: false, before: None, limit: 100 }
    }
}

/// The columns of [`row`].
pub(super) const ROW: &str = "run.number, run.id, run.tenant, run.pipeline, run.host_id, run.status, run.created_at,
    run.started_at, run.ended_at, run.error, run.error_code, run.hint, run.epoch, run.events_in, run.events_out,
    run.rejected, run.dead_letters";

impl HostStore {
    /// Stores a new run of a pipeline that is stored.
    ///
    /// # Errors
    ///
    /// [`StateError::NoPipeline`] without its pipeline, [`StateError::Exists`] when there
    /// is a run of that id, any other [`StateError`] when the database fails. Nothing was
    /// stored.
    pub fn create_run(&self, run: &RunRecord) -> Result<(), StateError> {
        let find = "SELECT 1 FROM pipeline WHERE tenant = ?1 AND name = ?2";
        let insert = "INSERT INTO run (id, tenant, pipeline, host_id, status, created_at, started_at, ended_at, error,
            error_code, hint, epoch, events_in, events_out, rejected, dead_letters, figures)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) ON CONFLICT DO NOTHING";
        let insert_text = "INSERT INTO run_text (run, config, resolved) VALUES (?1, ?2, ?3)";
        self.write(Durability::Now, |transaction| {
            if !transaction.prepare_cached(find)?.exists([&run.tenant, &run.pipeline])? {
                return Ok(Err(StateError::NoPipeline { tenant: run.tenant.clone(), pipeline: run.pipeline.clone() }));
            }
            let n_inserted = transaction.prepare_cached(insert)?.execute(params![
                run.id,
                run.tenant,
                run.pipeline,
                run.host_id,
                run.status,
                run.created_at,
                run.started_at,
                run.status.is_ended().then(|| run.ended_at.unwrap_or_else(now)),
                run.error,
                run.error_code,
                run.hint,
                run.epoch.cast_signed(),
                run.events_in.cast_signed(),
                run.events_out.cast_signed(),
                run.rejected.cast_signed(),
                run.dead_letters,
                run.figures,
            ])?;
            if n_inserted == 0 {
                return Ok(Err(StateError::Exists { object: format!("run `{}`", run.id) }));
            }
            let number = transaction.last_insert_rowid();
            transaction.prepare_cached(insert_text)?.execute(params![number, run.config, run.resolved])?;
            Ok(Ok(()))
        })?
    }

    /// A run of a tenant.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn run(&self, tenant: &str, id: &str) -> Result<Option<RunRecord>, StateError> {
        self.read(|database| record(database, "run.tenant = ?1 AND run.id = ?2", &[&tenant, &id]))
    }

    /// Runs of a tenant, the latest first. Runs that come in the meantime move no page.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn runs(&self, query: &RunQuery) -> Result<Vec<RunRow>, StateError> {
        let before = query.before.map_or(i64::MAX, position);
        let mut values: Vec<&dyn ToSql> = vec![&query.tenant, &before, &query.limit];
        let mut condition = "";
        if let Some(pipeline) = &query.pipeline {
            condition = "AND pipeline = ?4";
            values.push(pipeline);
        }
        // few go on, and any other index would lead through all that have ended
        let (index, active) =
            if query.is_active { ("INDEXED BY run_that_goes_on", "AND ended_at IS NULL") } else { ("", "") };
        let select = format!(
            "SELECT {ROW} FROM run {index} WHERE tenant = ?1 AND number < ?2 {condition} {active}
             ORDER BY number DESC LIMIT ?3"
        );
        self.read(|database| {
            database.prepare_cached(&select)?.query_map(&*values, |columns| row(columns, 0))?.collect()
        })
    }
}

/// The run of that number.
pub(super) fn numbered(database: &Connection, number: i64) -> rusqlite::Result<RunRecord> {
    record(database, "run.number = ?1", &[&number])?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// The run that the columns of [`ROW`] from `first` on tell of.
pub(super) fn row(columns: &Row<'_>, first: usize) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        number: count(columns, first)?,
        id: columns.get(first + 1)?,
        tenant: columns.get(first + 2)?,
        pipeline: columns.get(first + 3)?,
        host_id: columns.get(first + 4)?,
        status: columns.get(first + 5)?,
        created_at: columns.get(first + 6)?,
        started_at: columns.get(first + 7)?,
        ended_at: columns.get(first + 8)?,
        error: columns.get(first + 9)?,
        error_code: columns.get(first + 10)?,
        hint: columns.get(first + 11)?,
        epoch: count(columns, first + 12)?,
        events_in: count(columns, first + 13)?,
        events_out: count(columns, first + 14)?,
        rejected: count(columns, first + 15)?,
        dead_letters: columns.get(first + 16)?,
    })
}

fn record(database: &Connection, condition: &str, values: &[&dyn ToSql]) -> rusqlite::Result<Option<RunRecord>> {
    let select = format!(
        "SELECT {ROW}, run.figures, run_text.config, run_text.resolved
         FROM run JOIN run_text ON run_text.run = run.number WHERE {condition}"
    );
    let read = |columns: &Row<'_>| {
        let row = row(columns, 0)?;
        Ok(RunRecord {
            id: row.id,
            tenant: row.tenant,
            pipeline: row.pipeline,
            host_id: row.host_id,
            status: row.status,
            created_at: row.created_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            error: row.error,
            error_code: row.error_code,
            hint: row.hint,
            config: columns.get(18)?,
            resolved: columns.get(19)?,
            figures: columns.get(17)?,
            epoch: row.epoch,
            events_in: row.events_in,
            events_out: row.events_out,
            rejected: row.rejected,
            dead_letters: row.dead_letters,
        })
    };
    database.prepare_cached(&select)?.query_row(values, read).optional()
}
