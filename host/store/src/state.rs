//! The state directory of one pipeline.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flowctl_types::NodeId;
use rusqlite::{Connection, OptionalExtension};

use crate::checkpoints::Checkpoints;
use crate::database::{Check, Format};
use crate::lock::Lock;
use crate::{StateError, database, folder};

/// What brings the database from each format to the next.
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

/// The database of checkpoints. It holds few of them, and a damaged one would resume a
/// pipeline at the wrong place: so all of it is checked.
pub(crate) const FORMAT: Format = Format {
    migrations: &MIGRATIONS,
    creation: "",
    settings: "",
    check: Check::AtOpening,
    loss: "the pipeline then starts over, and sinks are given their events again",
};

/// The state of one pipeline, held by this process until it is dropped.
#[derive(Debug)]
pub struct PipelineState {
    dir: PathBuf,
    path: PathBuf,
    id: String,
    database: Arc<Mutex<Connection>>,
    has_started_over: bool,
    _lock: Lock,
}

/// What a pipeline's state says of how far it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The last committed epoch.
    pub epoch: u64,
    /// When it was stored, seconds since the Unix epoch.
    pub stored_at: i64,
    /// Sources that have a position there.
    pub sources: Vec<NodeId>,
    /// Nodes that have a state there, and its bytes.
    pub states: Vec<(NodeId, u64)>,
}

impl PipelineState {
    /// Opens the state of pipeline `name` in the folder `dir`, which is created for this
    /// user alone where it is missing.
    ///
    /// # Errors
    ///
    /// [`StateError::Held`] when another process has it open; any other [`StateError`]
    /// when it cannot be used. What was there is as it was.
    pub fn open(dir: &Path, name: &NodeId) -> Result<Self, StateError> {
        folder::create(dir)?;
        let lock = Lock::take(&dir.join("lock"))?;
        let path = dir.join("state.db");
        let connection = database::open(&path, &FORMAT, |transaction| {
            let id = database::random_id(transaction)?;
            transaction.execute("INSERT INTO pipeline VALUES (?1, ?2, unixepoch())", [name.as_str(), &id])?;
            Ok(())
        })?;
        let id = id(&connection, &path, name)?;
        Ok(Self {
            dir: dir.to_owned(),
            path,
            id,
            database: Arc::new(Mutex::new(connection)),
            has_started_over: false,
            _lock: lock,
        })
    }

    /// Tells this life of the state from another: it changes when the pipeline starts
    /// over.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The checkpoints, of which the last `n_kept` committed ones stay; at least one does.
    #[must_use]
    pub fn checkpoints(&self, n_kept: u32) -> Checkpoints {
        let new_id = self.has_started_over.then(|| self.id.clone());
        Checkpoints::new(Arc::clone(&self.database), n_kept.max(1), new_id)
    }

    /// How far the pipeline got; none where nothing is committed, or it starts over.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database cannot be read.
    pub fn standing(&self) -> Result<Option<Standing>, StateError> {
        if self.has_started_over {
            return Ok(None);
        }
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        standing(&database).map_err(|source| database::error(&self.path, &FORMAT, source))
    }

    /// Lets the pipeline start over: the checkpoints that there are count no more, and
    /// the state has a new id. They are thrown away when the first new one is stored, so
    /// that a start that fails has changed nothing. Dead letters, and what connectors
    /// keep, stay.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn start_over(&mut self) -> Result<(), StateError> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        self.id = database::random_id(&database).map_err(|source| database::error(&self.path, &FORMAT, source))?;
        self.has_started_over = true;
        Ok(())
    }
}

/// The id of the state, which must be that of pipeline `name`.
fn id(database: &Connection, path: &Path, name: &NodeId) -> Result<String, StateError> {
    let row = database.query_row("SELECT name, state_id FROM pipeline", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let row: Option<(String, String)> = row.optional().map_err(|source| database::error(path, &FORMAT, source))?;
    let Some((found, id)) = row else {
        return Err(database::damaged(path, &FORMAT, "it names no pipeline".to_owned()));
    };
    if found != name.as_str() {
        return Err(StateError::Other { path: path.to_owned(), found });
    }
    Ok(id)
}

fn standing(database: &Connection) -> rusqlite::Result<Option<Standing>> {
    let last = "SELECT epoch, stored_at FROM checkpoint WHERE is_committed ORDER BY epoch DESC LIMIT 1";
    let last = database.query_row(last, [], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()?;
    let Some((epoch, stored_at)) = last else { return Ok(None) };
    let mut sources = database.prepare("SELECT node FROM source WHERE epoch = ?1 ORDER BY node")?;
    let sources = sources.query_map([epoch], |row| row.get::<_, String>(0))?;
    let mut states = database.prepare(
        "SELECT node, (SELECT coalesce(sum(length(bytes)), 0) FROM state_part AS part
                       WHERE part.epoch = state.epoch AND part.node = state.node)
         FROM state WHERE epoch = ?1 ORDER BY node",
    )?;
    let states = states.query_map([epoch], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    let id = |name: String| name.parse::<NodeId>().ok();
    Ok(Some(Standing {
        epoch: epoch.cast_unsigned(),
        stored_at,
        sources: sources.filter_map(|name| name.map(id).transpose()).collect::<Result<_, _>>()?,
        states: states
            .filter_map(|row| row.map(|(name, bytes)| Some((id(name)?, bytes.cast_unsigned()))).transpose())
            .collect::<Result<_, _>>()?,
    }))
}
