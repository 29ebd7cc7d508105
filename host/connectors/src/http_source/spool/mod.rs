//! What was accepted and not yet taken by the sinks: an SQLite database in the node's
//! state folder.
//!
//! One row an event, numbered from 1 in the order of acceptance. Two connections: the
//! [`Intake`] adds and removes, the [`Outlet`] reads. Invariants: a number is never used
//! twice, not even where the file is lost, since the position that a checkpoint holds
//! sets the count on; a lock keeps a second source out; rows were encoded with the type
//! that the database names.

mod error;
mod read;
mod write;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flowctl_schema::Schema;
use rusqlite::{Connection, OptionalExtension as _};
use tracing::warn;

pub(super) use self::error::SpoolError;
pub(super) use self::read::{Outlet, Range};
pub(super) use self::write::{Intake, Key, Offer, Receipt, Refusal};
use super::settings::SpoolLimits;

const FILE: &str = "spool.sqlite";
const LOCK: &str = "spool.lock";

/// Marks a database as a spool: `flsp`.
const APPLICATION_ID: i32 = 0x666c_7370;
/// Version of the tables.
const VERSION: i32 = 1;
/// How long a connection waits for the other.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

const TABLES: &str = "
CREATE TABLE spool (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    event_type TEXT NOT NULL,
    structure TEXT NOT NULL,
    newest INTEGER NOT NULL
) STRICT;
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    arrived_at INTEGER NOT NULL,
    payload BLOB NOT NULL,
    reason TEXT
) STRICT;
CREATE TABLE keys (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    arrived_at INTEGER NOT NULL,
    digest BLOB NOT NULL,
    accepted INTEGER NOT NULL,
    dead_lettered INTEGER NOT NULL
) STRICT;
CREATE INDEX keys_by_age ON keys (arrived_at);
";

/// Opens the spool in `folder`, which is created where it is missing, for events of
/// `schema`. The sinks have taken the events up to number `position`.
pub(super) fn open(
    folder: &Path,
    schema: &Schema,
    position: i64,
    limits: SpoolLimits,
) -> Result<(Intake, Outlet), SpoolError> {
    create(folder)?;
    let lock = lock(&folder.join(LOCK))?;
    let path = folder.join(FILE);
    let setup = || -> rusqlite::Result<(Connection, Found)> {
        let mut connection = connect(&path)?;
        let found = prepare(&mut connection, schema)?;
        Ok((connection, found))
    };
    let (mut connection, found) = setup().map_err(|error| SpoolError::new(&path, error))?;
    let newest = match found {
        Found::Spool { newest, is_same_type: true, .. } => newest,
        Found::Spool { newest, is_same_type: false, event_type } => {
            retype(&mut connection, schema, position, &event_type, &path)?;
            newest
        }
        Found::Other(reason) => return Err(SpoolError::Foreign { path, reason }),
    };
    check_gap(&connection, position, newest).map_err(|error| SpoolError::new(&path, error))?;
    let reader = connect(&path)
        .and_then(|reader| reader.pragma_update(None, "query_only", true).map(|()| reader))
        .map_err(|error| SpoolError::new(&path, error))?;
    let intake = Intake::new(connection, lock, path.clone(), position, newest, limits)?;
    Ok((intake, Outlet::new(reader, path)))
}

/// What a database was found to be.
enum Found {
    Spool { newest: i64, is_same_type: bool, event_type: String },
    Other(String),
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // what is committed outlives a loss of power
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// Makes the tables where there are none.
fn prepare(connection: &mut Connection, schema: &Schema) -> rusqlite::Result<Found> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let number = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application_id, version) = (number("application_id")?, number("user_version")?);
    let n_tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    if n_tables == 0 && application_id == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.execute(
            "INSERT INTO spool VALUES (0, ?1, ?2, 0)",
            (schema.event_type().as_str(), schema.digest().to_string()),
        )?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    } else if application_id != APPLICATION_ID {
        return Ok(Found::Other("it is a database of something else".to_owned()));
    } else if version != VERSION {
        return Ok(Found::Other(format!("its tables are of version {version}, this build reads {VERSION}")));
    }
    let row = transaction.query_row("SELECT event_type, structure, newest FROM spool", (), |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?))
    })?;
    transaction.commit()?;
    let (event_type, structure, newest) = row;
    let is_same_type = event_type == schema.event_type().as_str() && structure == schema.digest().to_string();
    Ok(Found::Spool { newest, is_same_type, event_type })
}

/// Makes a spool of another type one of `schema`, where no event waits in it.
fn retype(
    connection: &mut Connection,
    schema: &Schema,
    position: i64,
    found: &str,
    path: &Path,
) -> Result<(), SpoolError> {
    let mut retype = || -> rusqlite::Result<i64> {
        let transaction = connection.transaction()?;
        let n_waiting = transaction
            .query_row("SELECT count(*) FROM events WHERE number > ?1", [position], |row| row.get::<_, i64>(0))?;
        if n_waiting == 0 {
            transaction.execute("DELETE FROM events", ())?;
            transaction.execute("DELETE FROM keys", ())?;
            let digest = schema.digest().to_string();
            transaction
                .execute("UPDATE spool SET event_type = ?1, structure = ?2", (schema.event_type().as_str(), digest))?;
            transaction.commit()?;
        }
        Ok(n_waiting)
    };
    match retype().map_err(|error| SpoolError::new(path, error))? {
        0 => Ok(()),
        n_waiting => Err(SpoolError::OtherType { path: path.to_owned(), n_waiting, event_type: found.to_owned() }),
    }
}

/// Says where the spool does not go on where the checkpoint ends.
fn check_gap(connection: &Connection, position: i64, newest: i64) -> rusqlite::Result<()> {
    if position > newest {
        warn!(position, newest, "the spool is older than the checkpoint: what it had accepted since is lost with it");
    } else if position > 0 {
        let next = "SELECT number FROM events WHERE number > ?1 ORDER BY number LIMIT 1";
        let next: Option<i64> = connection.query_row(next, [position], |row| row.get(0)).optional()?;
        let next = next.unwrap_or(newest + 1);
        if next > position + 1 {
            warn!(position, next, "the checkpoint is older than the spool: events between them were taken before");
        }
    }
    Ok(())
}

/// Creates `folder`, and makes its name durable: a folder that is lost with the power
/// takes the spool with it.
fn create(folder: &Path) -> Result<(), SpoolError> {
    let failed = |path: &Path, source| SpoolError::File { action: "create", path: path.to_owned(), source };
    if folder.is_dir() {
        return Ok(());
    }
    let missing: Vec<PathBuf> = folder.ancestors().take_while(|path| !path.is_dir()).map(Path::to_owned).collect();
    std::fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    for parent in missing.iter().filter_map(|path| path.parent()) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(|source| failed(folder, source))?;
    }
    Ok(())
}

/// Keeps other sources out as long as the file is open.
fn lock(path: &Path) -> Result<File, SpoolError> {
    let failed = |action| move |source: io::Error| SpoolError::File { action, path: path.to_owned(), source };
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed("create"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::Busy { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed("lock")(source)),
    }
}
