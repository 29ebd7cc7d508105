//! The database of one pipeline: opened, checked, brought to the format of this build.
//!
//! Invariant: a transaction that was committed is on the disk (`synchronous = FULL`).

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use crate::StateError;

/// What brings a database from each format to the next; the first makes it from nothing.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE pipeline (
        name TEXT NOT NULL,
        state_id TEXT NOT NULL,
        started_at INTEGER NOT NULL -- seconds since the Unix epoch
    ) STRICT;
    CREATE TABLE checkpoint (
        epoch INTEGER PRIMARY KEY,
        is_committed INTEGER NOT NULL,
        stored_at INTEGER NOT NULL -- seconds since the Unix epoch
    ) STRICT;
    CREATE TABLE source (
        epoch INTEGER NOT NULL REFERENCES checkpoint ON DELETE CASCADE,
        node TEXT NOT NULL,
        position BLOB,
        is_finished INTEGER NOT NULL,
        PRIMARY KEY (epoch, node)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE state (
        epoch INTEGER NOT NULL REFERENCES checkpoint ON DELETE CASCADE,
        node TEXT NOT NULL,
        version TEXT NOT NULL,
        PRIMARY KEY (epoch, node)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE state_part (
        epoch INTEGER NOT NULL REFERENCES checkpoint ON DELETE CASCADE,
        node TEXT NOT NULL,
        number INTEGER NOT NULL,
        key_group INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (epoch, node, number)
    ) STRICT;
"];

/// Opens the database `path` for pipeline `name`, and answers its state's id.
pub(crate) fn open(path: &Path, name: &str) -> Result<(Connection, String), StateError> {
    let mut database = Connection::open(path).map_err(|source| error(path, source))?;
    let id = prepare(&mut database, path, name)?;
    Ok((database, id))
}

/// What an error of the database `path` means.
pub(crate) fn error(path: &Path, source: rusqlite::Error) -> StateError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StateError::Damaged { path: path.to_owned(), reason: source.to_string() }
        }
        _ => StateError::Database { path: path.to_owned(), source },
    }
}

fn prepare(database: &mut Connection, path: &Path, name: &str) -> Result<String, StateError> {
    let failed = |source| error(path, source);
    let checked: String = database.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if checked != "ok" {
        return Err(StateError::Damaged { path: path.to_owned(), reason: checked });
    }
    database
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
        .map_err(failed)?;
    let format: i64 = database.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    let known = i64::try_from(MIGRATIONS.len()).expect("there are few");
    if format > known {
        return Err(StateError::Newer { path: path.to_owned(), found: format, known });
    }
    let migrate = |database: &mut Connection| {
        let transaction = database.transaction()?;
        for migration in MIGRATIONS.iter().skip(usize::try_from(format).unwrap_or(0)) {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", known)?;
        if format == 0 {
            transaction.execute("INSERT INTO pipeline VALUES (?1, lower(hex(randomblob(16))), unixepoch())", [name])?;
        }
        transaction.commit()
    };
    if format < known {
        migrate(database).map_err(failed)?;
    }
    let row = database.query_row("SELECT name, state_id FROM pipeline", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let row: Option<(String, String)> = row.optional().map_err(failed)?;
    let Some((found, id)) = row else {
        return Err(StateError::Damaged { path: path.to_owned(), reason: "it names no pipeline".to_owned() });
    };
    if found != name {
        return Err(StateError::Other { path: path.to_owned(), found });
    }
    Ok(id)
}
