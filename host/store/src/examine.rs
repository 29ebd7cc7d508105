//! Looks at what is stored, and leaves it as it is.
//!
//! Invariant: no file is made, written or brought to another format, and no lock is held
//! for longer than it takes to see whether it is free. A database without a log is opened as
//! one that does not change, so that SQLite puts no file beside it; of one with a log, the
//! log's index in shared memory is used as every reader does.

use std::fs::{self, File, TryLockError};
use std::io::Read as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::database::{self, Check, Format};
use crate::{CredentialRecord, StateError, host, state};

/// Longest text of a lock that is read, in bytes.
const MAX_PID_BYTES: u64 = 32;

/// Which database a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredDatabase {
    /// `state.db`, a pipeline's checkpoints.
    Pipeline,
    /// `host.db`, the control plane's.
    Host,
    /// What a node keeps for itself, in tables of its own.
    Node,
}

/// The database of a node: only the node knows its tables.
const NODE: Format = Format {
    migrations: &[],
    creation: "",
    settings: "",
    check: Check::WhenRead,
    loss: "what the node kept, such as events that it accepted and no sink took yet, is lost with it",
};

/// Who has a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nobody: whoever made the file has ended.
    Nobody,
    /// The process that wrote this number down; empty where it has not yet.
    Process(String),
}

/// Reads all of the database at `path` and checks its structure. Answers its size in bytes.
///
/// # Errors
///
/// [`StateError`] when it is not there, cannot be read, is damaged, or was written by a
/// later version; of a node's database the version is not known here.
pub fn examine(path: &Path, database: StoredDatabase) -> Result<u64, StateError> {
    let format: &Format = match database {
        StoredDatabase::Pipeline => &state::FORMAT,
        StoredDatabase::Host => &host::FORMAT,
        StoredDatabase::Node => &NODE,
    };
    let unread = |source| StateError::File { action: "open", path: path.to_owned(), source };
    let size_bytes = fs::metadata(path).map_err(unread)?.len();
    let failed = |source| database::error(path, format, source);
    let connection = open(path, format)?;
    let checked: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if checked != "ok" {
        return Err(database::damaged(path, format, checked));
    }
    if database != StoredDatabase::Node {
        is_known(path, format, &connection)?;
    }
    Ok(size_bytes)
}

/// What lets callers into the control plane whose database is `host.db` in the folder `dir`.
///
/// # Errors
///
/// [`StateError`] when it is not there, cannot be read, or was written by another version.
pub fn credentials(dir: &Path) -> Result<Vec<CredentialRecord>, StateError> {
    let (path, format) = (dir.join("host.db"), &host::FORMAT);
    let connection = open(&path, format)?;
    is_known(&path, format, &connection)?;
    host::credentials(&connection, None).map_err(|source| database::error(&path, format, source))
}

/// Refuses a database of a later version.
fn is_known(path: &Path, format: &Format, connection: &Connection) -> Result<(), StateError> {
    let known = i64::try_from(format.migrations.len()).expect("there are few");
    let found = database::version(connection).map_err(|source| database::error(path, format, source))?;
    if found > known {
        return Err(StateError::Newer { path: path.to_owned(), found, known });
    }
    Ok(())
}

/// Who has the lock in the file `path`.
///
/// # Errors
///
/// [`StateError::File`] when it cannot be read.
pub fn holder(path: &Path) -> Result<Holder, StateError> {
    let error = |action| move |source| StateError::File { action, path: path.to_owned(), source };
    let mut file = File::open(path).map_err(error("open"))?;
    // shared: two that look at once do not take each other for the owner
    match file.try_lock_shared() {
        Ok(()) => Ok(Holder::Nobody),
        Err(TryLockError::Error(source)) => Err(error("lock")(source)),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = (&mut file).take(MAX_PID_BYTES).read_to_string(&mut text);
            Ok(Holder::Process(text.trim().to_owned()))
        }
    }
}

/// Opens a database to read it. One with a log is in use, or was when its process ended.
fn open(path: &Path, format: &Format) -> Result<Connection, StateError> {
    File::open(path).map_err(|source| StateError::File { action: "open", path: path.to_owned(), source })?;
    let log = path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
    let has_log = fs::metadata(log).is_ok_and(|log| log.len() > 0);
    let mode = if has_log { "mode=ro" } else { "immutable=1" };
    let mut uri = String::from("file:");
    for character in path.to_string_lossy().chars() {
        match character {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            other => uri.push(other),
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(format!("{uri}?{mode}"), flags);
    opened.map_err(|source| database::error(path, format, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CredentialKind, HostStore, PipelineState};

    fn record() -> CredentialRecord {
        CredentialRecord {
            id: "a1".to_owned(),
            tenant: "acme".to_owned(),
            role: "viewer".to_owned(),
            kind: CredentialKind::Token,
            digest: [7; 32],
            description: String::new(),
            created_at: 1,
            expires_at: None,
            last_used_at: None,
        }
    }

    fn files(folder: &Path) -> Vec<(String, u64)> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let mut files: Vec<_> =
            entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())).collect();
        files.sort();
        files
    }

    #[test]
    fn a_sound_state_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("with ? and %");
        let state = PipelineState::open(&dir, &"orders".parse().unwrap()).unwrap();
        let own = Holder::Process(std::process::id().to_string());
        assert_eq!(holder(&dir.join("lock")).unwrap(), own);
        assert!(examine(&dir.join("state.db"), StoredDatabase::Pipeline).unwrap() > 0);
        drop(state);
        let before = files(&dir);
        assert_eq!(holder(&dir.join("lock")).unwrap(), Holder::Nobody);
        examine(&dir.join("state.db"), StoredDatabase::Pipeline).unwrap();
        assert_eq!(files(&dir), before);
    }

    #[test]
    fn credentials_are_listed_and_the_database_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(credentials(folder.path()), Err(StateError::File { action: "open", .. })));
        let store = HostStore::open(folder.path()).unwrap();
        store.put_credential(&record()).unwrap();
        // of a control plane that runs, too
        assert_eq!(credentials(folder.path()).unwrap(), [record()]);
        drop(store);
        let before = files(folder.path());
        assert_eq!(credentials(folder.path()).unwrap(), [record()]);
        assert_eq!(files(folder.path()), before);
    }

    #[test]
    fn what_is_damaged_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.db");
        fs::write(&path, "no database, though it is long enough to be one".repeat(100)).unwrap();
        assert!(matches!(examine(&path, StoredDatabase::Host), Err(StateError::Damaged { .. })));
        let missing = examine(&folder.path().join("none.db"), StoredDatabase::Host);
        assert!(matches!(missing, Err(StateError::File { action: "open", .. })));
    }
}
