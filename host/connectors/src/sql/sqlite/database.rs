//! The database of one sink, with calls that block.
//!
//! Invariant: what is not committed is either all in temporary tables or all in one
//! transaction, so that closing the connection forgets it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flowctl_runtime::{Fault, Rejection};
use flowctl_schema::Schema;
use flowctl_types::Batch;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, OptionalExtension as _};

use super::definition::{self, Misfit, Ready};
use super::rows;
use crate::sql::table::Table;
use crate::sql::{EPOCHS, Place, quoted, quoted_list};

/// How long one call waits for another writer of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a sink writes, and where.
pub(super) struct Plan {
    pub(super) path: PathBuf,
    pub(super) place: Place,
    pub(super) targets: Vec<(Table, Schema)>,
}

/// An open database.
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    place: Place,
    tables: Vec<Open>,
    json: Vec<u8>,
    last_epoch: Option<u64>,
    /// Whether rows wait for the next commit.
    has_rows: bool,
}

struct Open {
    table: Table,
    schema: Schema,
    /// Writes a row: at once, or to the temporary table.
    insert: String,
    /// Brings rows from the temporary table into the table; none where they are there.
    merge: Option<String>,
}

impl Database {
    /// Opens the database and checks its tables. Answers the last epoch that it holds.
    pub(super) fn open(plan: &Plan) -> Result<(Self, Option<u64>), Fault> {
        let failed = |error| fault(&plan.path, "open", &error);
        let mut connection = connect(&plan.path).map_err(failed)?;
        let wanted: Vec<&Table> = plan.targets.iter().map(|(table, _)| table).collect();
        let ready = definition::prepare(&mut connection, &wanted).map_err(|misfit| match misfit {
            Misfit::Sqlite(error) => fault(&plan.path, "prepare the tables of", &error),
            Misfit::Table(text) => Fault::Fatal(format!("`{}`: {text}", plan.path.display())),
        })?;
        let targets = plan.targets.iter().zip(ready).enumerate();
        let tables: Vec<Open> =
            targets.map(|(index, ((table, schema), ready))| Open::of(table, schema, &ready, index)).collect();
        for (index, open) in tables.iter().enumerate() {
            if open.merge.is_some() {
                // without types, so that values stay as they are
                let columns = quoted_list(open.table.column_names());
                connection.execute_batch(&format!("CREATE TABLE {} ({columns})", stage(index))).map_err(failed)?;
            }
        }
        let sql = format!("SELECT epoch FROM main.{} WHERE state_id = ? AND node = ?", quoted(EPOCHS));
        let held = connection.query_row(&sql, [&plan.place.state_id, &plan.place.node], |row| row.get::<_, i64>(0));
        let last_epoch = held.optional().map_err(failed)?.map(i64::unsigned_abs);
        let database = Self {
            connection,
            path: plan.path.clone(),
            place: plan.place.clone(),
            tables,
            json: Vec::new(),
            last_epoch,
            has_rows: false,
        };
        Ok((database, last_epoch))
    }

    /// The last epoch that it holds.
    pub(super) fn last_epoch(&self) -> Option<u64> {
        self.last_epoch
    }

    /// Takes the events of `batch`, and answers those that are no rows.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<Vec<Rejection>, Fault> {
        let kind = batch.columns.kind as usize;
        let n = self.tables.len();
        let is_direct = match self.tables.get(kind) {
            Some(open) => open.merge.is_none(),
            None => return Err(Fault::Fatal(format!("a batch is of kind {kind}, but the sink has {n} input types"))),
        };
        let written = self.begin(is_direct).and_then(|()| self.insert(kind, batch));
        match written {
            Ok(rejected) => {
                self.has_rows |= rejected.len() < batch.len();
                Ok(rejected)
            }
            Err(error) => Err(self.failed("write to", &error)),
        }
    }

    /// Makes what was taken durable, as `epoch`.
    pub(super) fn commit(&mut self, epoch: u64) -> Result<(), Fault> {
        let doing = format!("commit epoch {epoch} to");
        if let Err(error) = self.begin(true).and_then(|()| self.merge()) {
            let fault = self.failed(&doing, &error);
            // a rule that came to be since the table was looked at: when the events come
            // again, the table is known to have it
            let is_surprise = error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation);
            return Err(if is_surprise { Fault::Lost(fault.to_string()) } else { fault });
        }
        match self.finish(epoch) {
            Ok(()) => {
                self.has_rows = false;
                self.last_epoch = Some(epoch);
                Ok(())
            }
            Err(error) => Err(self.failed(&doing, &error)),
        }
    }

    /// Opens the transaction that holds the file, where rows are written at once.
    fn begin(&mut self, is_direct: bool) -> Result<(), Error> {
        if is_direct && self.connection.is_autocommit() {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        Ok(())
    }

    fn insert(&mut self, kind: usize, batch: &Batch) -> Result<Vec<Rejection>, Error> {
        let Self { connection, tables, json, .. } = self;
        let Open { table, schema, insert, .. } = &tables[kind];
        connection.execute_batch("SAVEPOINT flowctl_batch")?;
        let inserted = connection
            .prepare(insert)
            .and_then(|mut statement| rows::insert(&mut statement, table, schema, batch, json))
            .and_then(|rejected| connection.execute_batch("RELEASE flowctl_batch").map(|()| rejected));
        let undo = "ROLLBACK TO flowctl_batch; RELEASE flowctl_batch";
        if inserted.is_err() && !connection.is_autocommit() && connection.execute_batch(undo).is_err() {
            // rather none than half a batch
            connection.execute_batch("ROLLBACK")?;
        }
        inserted
    }

    /// Brings the rows that wait in temporary tables into theirs.
    fn merge(&self) -> Result<(), Error> {
        for (index, open) in self.tables.iter().enumerate() {
            if let Some(merge) = &open.merge {
                self.connection.execute_batch(&format!("{merge}; DELETE FROM {}", stage(index)))?;
            }
        }
        Ok(())
    }

    fn finish(&self, epoch: u64) -> Result<(), Error> {
        let Place { pipeline, state_id, node } = &self.place;
        let sql = format!(
            "INSERT INTO main.{} (pipeline, state_id, node, epoch, updated_at) VALUES (?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%fZ'))
            ON CONFLICT (state_id, node) DO UPDATE SET pipeline = excluded.pipeline, epoch = excluded.epoch, updated_at = excluded.updated_at",
            quoted(EPOCHS)
        );
        let number = i64::try_from(epoch).map_err(|_| Error::IntegralValueOutOfRange(4, i64::MAX))?;
        self.connection.execute(&sql, (pipeline, state_id, node, number))?;
        self.connection.execute_batch("COMMIT")
    }

    /// What an error comes to. Rows that wait in temporary tables are there still; a
    /// transaction on the file is rolled back, or was by SQLite.
    fn failed(&mut self, doing: &str, error: &Error) -> Fault {
        let is_staged = self.tables.iter().all(|open| open.merge.is_some());
        if !self.connection.is_autocommit() && (is_staged || !self.has_rows) {
            // where this fails too, the next call says why
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        let is_lost = self.has_rows && !is_staged && self.connection.is_autocommit();
        match fault(&self.path, doing, error) {
            Fault::Retry(text) if is_lost => Fault::Lost(text),
            fault => fault,
        }
    }
}

impl Open {
    fn of(table: &Table, schema: &Schema, ready: &Ready, index: usize) -> Self {
        let place = format!("main.{}", quoted(&table.name));
        let columns = quoted_list(table.column_names());
        let marks = vec!["?"; table.columns.len()].join(", ");
        let conflict = conflict(table);
        let (insert, merge) = if ready.may_refuse {
            (format!("INSERT INTO {place} ({columns}) VALUES ({marks}){conflict}"), None)
        } else {
            let merge = format!(
                "INSERT INTO {place} ({columns}) SELECT {columns} FROM {} WHERE true ORDER BY rowid{conflict}",
                stage(index)
            );
            (format!("INSERT INTO {} VALUES ({marks})", stage(index)), Some(merge))
        };
        Self { table: table.clone(), schema: schema.clone(), insert, merge }
    }
}

fn conflict(table: &Table) -> String {
    if table.key.is_none() {
        return String::new();
    }
    let set: Vec<_> = table.other_names().map(|name| format!("{0} = excluded.{0}", quoted(name))).collect();
    let act = match set.as_slice() {
        [] => "NOTHING".to_owned(),
        set => format!("UPDATE SET {}", set.join(", ")),
    };
    format!(" ON CONFLICT ({}) DO {act}", quoted_list(table.key_names()))
}

fn stage(index: usize) -> String {
    format!("temp.flowctl_stage_{index}")
}

fn connect(path: &Path) -> Result<Connection, Error> {
    // a relative path starts with a dot, so that none is taken for a URI or for memory
    let path = if path.is_relative() { Path::new(".").join(path) } else { path.to_owned() };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // a file system that cannot do it stays with a journal, which is as safe
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn fault(path: &Path, doing: &str, error: &Error) -> Fault {
    let text = |more: &str| format!("cannot {doing} `{}`: {error}{more}", path.display());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Fault::Retry(text("; another writer holds the file"))
        }
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory) => Fault::Retry(text("")),
        Some(ErrorCode::NotADatabase) => Fault::Fatal(text("; name another file with `path:`")),
        _ => Fault::Fatal(text("")),
    }
}

#[cfg(test)]
mod tests {
    use flowctl_types::{Columns, Ids};

    use super::*;
    use crate::sql::table::{Column, Kind};

    const RULES: &str = "CREATE TABLE t (id INTEGER NOT NULL UNIQUE, text TEXT NOT NULL)";

    fn batch(schema: &Schema, id: u32, text: &str) -> Batch {
        let mut columns = Columns::default();
        let json = format!(r#"{{"id": {id}, "text": "{text}"}}"#);
        schema.json_to_payload(json.as_bytes(), &mut columns.data).unwrap();
        columns.finish_event(0);
        Batch::new(columns, Ids::numbered("test", 0))
    }

    /// A database that may not grow stands for a disk that cannot.
    fn limit(database: &Database, pages: u32) {
        database.connection.pragma_update(None, "max_page_count", pages).unwrap();
    }

    #[test]
    fn a_full_disk_may_be_tried_again_and_loses_nothing() {
        for sql in ["", RULES] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("events.db");
            Connection::open(&path).unwrap().execute_batch(sql).unwrap();
            let wit = "package test:note@1.0.0; interface event { record note { id: u32, text: string } }";
            let schema = Schema::from_wit(wit).unwrap().remove(0);
            let column = |name: &str, kind| Column { name: name.to_owned(), kind, is_nullable: false };
            let table = Table {
                name: "t".to_owned(),
                event_type: schema.event_type().clone(),
                columns: vec![column("id", Kind::Big), column("text", Kind::Text)],
                key: None,
            };
            let [pipeline, state_id, node] = ["p", "s", "n"].map(str::to_owned);
            let place = Place { pipeline, state_id, node };
            let plan = Plan { path, place, targets: vec![(table, schema.clone())] };
            let (mut database, held) = Database::open(&plan).unwrap();
            assert_eq!(held, None);
            assert!(database.write(&batch(&schema, 1, "one")).unwrap().is_empty());
            database.commit(1).unwrap();

            limit(&database, 1);
            let long = batch(&schema, 2, &"long ".repeat(10_000));
            assert!(database.write(&batch(&schema, 3, "three")).unwrap().is_empty());
            let written = database.write(&long);
            let full = |doing| format!("cannot {doing} `{}`: database or disk is full", plan.path.display());
            if sql.is_empty() {
                assert!(written.unwrap().is_empty());
                assert_eq!(database.commit(2), Err(Fault::Retry(full("commit epoch 2 to"))));
            } else {
                // SQLite gives the whole transaction up
                assert_eq!(written, Err(Fault::Lost(full("write to"))));
                let (again, held) = Database::open(&plan).unwrap();
                assert_eq!(held, Some(1));
                database = again;
                assert!(database.write(&batch(&schema, 3, "three")).unwrap().is_empty());
                assert!(database.write(&long).unwrap().is_empty());
            }
            limit(&database, 1_000);
            database.commit(2).unwrap();
            let sql = "SELECT group_concat(id || ' ' || length(text), ', ' ORDER BY id) FROM t";
            let there: String = database.connection.query_row(sql, [], |row| row.get(0)).unwrap();
            assert_eq!(there, "1 3, 2 50000, 3 5");
        }
    }
}
