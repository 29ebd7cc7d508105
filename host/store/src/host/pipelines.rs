//! Pipelines as they were submitted.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::retention::remove_run;
use super::runs::{ROW, row};
use super::values::{Json, count, json};
use super::{Durability, HostStore, RunRow};
use crate::StateError;

/// A pipeline as it was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineRecord {
    /// Whose it is.
    pub tenant: String,
    /// Its name within the tenant.
    pub name: String,
    /// The file, with `${NAME}` as written.
    pub text: String,
    /// What faults call the file.
    pub file_name: String,
    /// What relative paths in the file start from.
    pub base_dir: String,
    /// Folders of plugins, or `.wasm` files.
    pub plugins: Vec<String>,
    /// The lock file's text; empty where there is none.
    pub lock: String,
    /// How it was asked to run, as JSON that whoever stored it reads.
    pub options: String,
    /// Whether it runs again after its host restarts.
    pub is_wanted: bool,
    /// When a pipeline of this name was first submitted.
    pub created_at: i64,
    /// When it was last submitted.
    pub changed_at: i64,
    /// The revision that it is; 0 where none was written down. Not stored with the
    /// pipeline: see [`HostStore::put_revision`].
    pub revision: u64,
}

/// A pipeline in a list: without its text and lock, with its last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineRow {
    /// Whose it is.
    pub tenant: String,
    /// Its name within the tenant.
    pub name: String,
    /// What faults call the file.
    pub file_name: String,
    /// What relative paths in the file start from.
    pub base_dir: String,
    /// Folders of plugins, or `.wasm` files.
    pub plugins: Vec<String>,
    /// How it was asked to run, as JSON that whoever stored it reads.
    pub options: String,
    /// Whether it runs again after its host restarts.
    pub is_wanted: bool,
    /// When a pipeline of this name was first submitted.
    pub created_at: i64,
    /// When it was last submitted.
    pub changed_at: i64,
    /// The run that goes on, else the last one; none where it never ran.
    pub last_run: Option<RunRow>,
    /// Its runs that are still stored.
    pub n_runs: u64,
}

/// Which pipelines are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineQuery {
    /// Whose.
    pub tenant: String,
    /// Only those whose names are behind this one.
    pub after: Option<String>,
    /// Whether only pipelines that run now are listed.
    pub is_active: bool,
    /// The most that are listed.
    pub limit: u32,
}

impl PipelineQuery {
    /// The first 100 pipelines of `tenant`, whether they run or not.
    #[must_use]
    pub fn of(tenant: impl Into<String>) -> Self {
        Self { tenant: tenant.into(), after: None, is_active: false, limit: 100 }
    }
}

/// The columns of [`record`].
const RECORD: &str =
    "tenant, name, text, file_name, base_dir, plugins, lock, options, is_wanted, created_at, changed_at, revision";

/// Holds for a run that goes on of the pipeline `p`.
const GOES_ON: &str = "r.tenant = p.tenant AND r.pipeline = p.name AND r.ended_at IS NULL";

impl HostStore {
    /// Stores a pipeline, in the place of the tenant's one of that name, whose
    /// `created_at` and runs stay.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails. Nothing was stored.
    pub fn put_pipeline(&self, pipeline: &PipelineRecord) -> Result<(), StateError> {
        let put = "INSERT INTO pipeline
            (tenant, name, text, file_name, base_dir, plugins, lock, options, is_wanted, created_at, changed_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
            ON CONFLICT DO UPDATE SET text = excluded.text, file_name = excluded.file_name,
            base_dir = excluded.base_dir, plugins = excluded.plugins, lock = excluded.lock,
            options = excluded.options, is_wanted = excluded.is_wanted, changed_at = excluded.changed_at";
        self.write(Durability::Now, |transaction| {
            transaction.prepare_cached(put)?.execute(params![
                pipeline.tenant,
                pipeline.name,
                pipeline.text,
                pipeline.file_name,
                pipeline.base_dir,
                Json(&pipeline.plugins),
                pipeline.lock,
                pipeline.options,
                pipeline.is_wanted,
                pipeline.created_at,
                pipeline.changed_at,
            ])?;
            Ok(())
        })
    }

    /// Stores whether a pipeline runs again after its host restarts. Answers whether there
    /// is such a pipeline.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails. Nothing was stored.
    pub fn set_wanted(&self, tenant: &str, name: &str, is_wanted: bool) -> Result<bool, StateError> {
        self.write(Durability::Now, |transaction| {
            let set = "UPDATE pipeline SET is_wanted = ?3 WHERE tenant = ?1 AND name = ?2";
            Ok(transaction.prepare_cached(set)?.execute(params![tenant, name, is_wanted])? > 0)
        })
    }

    /// A pipeline as it was submitted.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn pipeline(&self, tenant: &str, name: &str) -> Result<Option<PipelineRecord>, StateError> {
        let select = format!("SELECT {RECORD} FROM pipeline WHERE tenant = ?1 AND name = ?2");
        self.read(|database| database.prepare_cached(&select)?.query_row([tenant, name], record).optional())
    }

    /// A pipeline as lists show it.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn pipeline_row(&self, tenant: &str, name: &str) -> Result<Option<PipelineRow>, StateError> {
        let mut rows = self.pipeline_rows("p.tenant = ?1 AND p.name = ?2", &[&tenant, &name])?;
        Ok(rows.pop())
    }

    /// Pipelines of a tenant, by name.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn pipelines(&self, query: &PipelineQuery) -> Result<Vec<PipelineRow>, StateError> {
        // no EXISTS: SQLite would make a join of it, which reads all runs
        let active = format!("AND (SELECT r.number FROM run r WHERE {GOES_ON} LIMIT 1) IS NOT NULL");
        let active = if query.is_active { &*active } else { "" };
        // no name is empty
        let after = query.after.as_deref().unwrap_or_default();
        let condition = format!("p.tenant = ?1 AND p.name > ?2 {active} ORDER BY p.name LIMIT ?3");
        self.pipeline_rows(&condition, &[&query.tenant, &after, &query.limit])
    }

    /// The pipelines that run again after their host restarts, of all tenants, by tenant
    /// and name.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn wanted(&self) -> Result<Vec<PipelineRecord>, StateError> {
        let select = format!("SELECT {RECORD} FROM pipeline WHERE is_wanted ORDER BY tenant, name");
        self.read(|database| database.prepare_cached(&select)?.query_map([], record)?.collect())
    }

    /// Forgets a pipeline with its runs and their events. Answers whether there was one.
    ///
    /// Runs go one by one, so that other calls come between; a crash may leave the
    /// pipeline with some of them.
    ///
    /// # Errors
    ///
    /// [`StateError::Runs`] when a run of it goes on; any other [`StateError`] when the
    /// database fails. The pipeline is still there, perhaps without some runs that had
    /// ended.
    pub fn delete_pipeline(&self, tenant: &str, name: &str) -> Result<bool, StateError> {
        let remove = "DELETE FROM pipeline WHERE tenant = ?1 AND name = ?2";
        loop {
            match self.read(|database| any_run(database, tenant, name))? {
                Some(Obstacle { is_active: true, .. }) => return Err(StateError::Runs { pipeline: name.to_owned() }),
                Some(Obstacle { number, .. }) => {
                    self.write(Durability::Soon, |transaction| remove_run(transaction, number))?;
                }
                None => {
                    let removed = self.write(Durability::Now, |transaction| {
                        let is_free = any_run(transaction, tenant, name)?.is_none();
                        if is_free {
                            transaction
                                .prepare_cached("DELETE FROM revision WHERE tenant = ?1 AND pipeline = ?2")?
                                .execute([tenant, name])?;
                        }
                        is_free.then(|| transaction.prepare_cached(remove)?.execute([tenant, name])).transpose()
                    })?;
                    if let Some(n_removed) = removed {
                        return Ok(n_removed > 0);
                    }
                }
            }
        }
    }

    fn pipeline_rows(&self, condition: &str, values: &[&dyn ToSql]) -> Result<Vec<PipelineRow>, StateError> {
        let select = format!(
            "SELECT p.tenant, p.name, p.file_name, p.base_dir, p.plugins, p.options, p.is_wanted, p.created_at,
                p.changed_at, (SELECT count(*) FROM run r WHERE r.tenant = p.tenant AND r.pipeline = p.name), {ROW}
             FROM pipeline p LEFT JOIN run ON run.number = coalesce(
                (SELECT r.number FROM run r WHERE {GOES_ON} ORDER BY r.number DESC LIMIT 1),
                (SELECT r.number FROM run r WHERE r.tenant = p.tenant AND r.pipeline = p.name
                 ORDER BY r.number DESC LIMIT 1))
             WHERE {condition}"
        );
        self.read(|database| database.prepare_cached(&select)?.query_map(values, pipeline_row)?.collect())
    }
}

/// A run that has to go before its pipeline.
struct Obstacle {
    number: i64,
    is_active: bool,
}

/// A run of a pipeline: one that goes on, else the earliest.
fn any_run(database: &Connection, tenant: &str, name: &str) -> rusqlite::Result<Option<Obstacle>> {
    let find = "SELECT number, ended_at IS NULL FROM run WHERE number = coalesce(
        (SELECT number FROM run WHERE tenant = ?1 AND pipeline = ?2 AND ended_at IS NULL LIMIT 1),
        (SELECT number FROM run WHERE tenant = ?1 AND pipeline = ?2 ORDER BY number LIMIT 1))";
    let read = |row: &Row<'_>| Ok(Obstacle { number: row.get(0)?, is_active: row.get(1)? });
    database.prepare_cached(find)?.query_row([tenant, name], read).optional()
}

fn record(row: &Row<'_>) -> rusqlite::Result<PipelineRecord> {
    Ok(PipelineRecord {
        tenant: row.get(0)?,
        name: row.get(1)?,
        text: row.get(2)?,
        file_name: row.get(3)?,
        base_dir: row.get(4)?,
        plugins: json(row, 5)?,
        lock: row.get(6)?,
        options: row.get(7)?,
        is_wanted: row.get(8)?,
        created_at: row.get(9)?,
        changed_at: row.get(10)?,
        revision: count(row, 11)?,
    })
}

fn pipeline_row(columns: &Row<'_>) -> rusqlite::Result<PipelineRow> {
    let has_run = columns.get::<_, Option<i64>>(10)?.is_some();
    Ok(PipelineRow {
        tenant: columns.get(0)?,
        name: columns.get(1)?,
        file_name: columns.get(2)?,
        base_dir: columns.get(3)?,
        plugins: json(columns, 4)?,
        options: columns.get(5)?,
        is_wanted: columns.get(6)?,
        created_at: columns.get(7)?,
        changed_at: columns.get(8)?,
        n_runs: count(columns, 9)?,
        last_run: has_run.then(|| row(columns, 10)).transpose()?,
    })
}
