//! A database: opened, checked, brought to the format of this build.
//!
//! Invariant: a transaction that was committed is on the disk (`synchronous = FULL`),
//! unless whoever wrote it said otherwise.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::StateError;

/// How long a statement waits for other processes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A kind of database.
#[derive(Debug)]
pub(crate) struct Format {
    /// What brings a database from each format to the next; the first makes it from nothing.
    pub(crate) migrations: &'static [&'static str],
    /// Pragmas of a file that is new: they hold for its life.
    pub(crate) creation: &'static str,
    /// Pragmas of each connection.
    pub(crate) settings: &'static str,
    pub(crate) check: Check,
    /// What becomes of a host whose database is removed.
    pub(crate) loss: &'static str,
}

/// When damage is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// At the opening, which reads all of it: for a small database that decides what is right.
    AtOpening,
    /// When a damaged page is read: for a large one.
    WhenRead,
}

/// Opens the database `path`; `fill` writes what a new one holds besides its tables.
pub(crate) fn open(
    path: &Path,
    format: &Format,
    fill: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> Result<Connection, StateError> {
    // an empty file is a new database; SQLite's other files get the mode of this one
    let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    made.map_err(|source| StateError::File { action: "open", path: path.to_owned(), source })?;
    let failed = |source| error(path, format, source);
    let mut database = Connection::open(path).map_err(failed)?;
    database.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    if format.check == Check::AtOpening {
        let checked: String = database.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if checked != "ok" {
            return Err(damaged(path, format, checked));
        }
    }
    let n_pages: i64 = database.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(failed)?;
    if n_pages == 0 {
        database.execute_batch(format.creation).map_err(failed)?;
    }
    database.execute_batch(format.settings).map_err(failed)?;
    database
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
        .map_err(failed)?;
    let known = i64::try_from(format.migrations.len()).expect("there are few");
    if version(&database).map_err(failed)? < known {
        migrate(&mut database, format, known, fill).map_err(failed)?;
    }
    let found = version(&database).map_err(failed)?;
    if found > known {
        return Err(StateError::Newer { path: path.to_owned(), found, known });
    }
    Ok(database)
}

/// What an error of the database `path` means.
pub(crate) fn error(path: &Path, format: &Format, source: rusqlite::Error) -> StateError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(path, format, source.to_string()),
        _ => StateError::Database { path: path.to_owned(), source },
    }
}

/// A database that is damaged.
pub(crate) fn damaged(path: &Path, format: &Format, reason: String) -> StateError {
    StateError::Damaged { path: path.to_owned(), reason, loss: format.loss }
}

/// A random id of 32 hexadecimal digits.
pub(crate) fn random_id(database: &Connection) -> rusqlite::Result<String> {
    database.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))
}

pub(crate) fn version(database: &Connection) -> rusqlite::Result<i64> {
    database.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn migrate(
    database: &mut Connection,
    format: &Format,
    known: i64,
    fill: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // another process may have been faster
    let found = version(&transaction)?;
    if found >= known {
        return Ok(());
    }
    for migration in format.migrations.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    if found == 0 {
        fill(&transaction)?;
    }
    transaction.commit()
}
