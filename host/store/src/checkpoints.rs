//! Checkpoints in SQLite.
//!
//! Invariant: at most one checkpoint is pending, and it is behind every committed one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use flowctl_runtime::{Checkpoint, CheckpointStore, SavedState, StoreError};
use flowctl_types::NodeId;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

/// The checkpoints of one pipeline. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    database: Arc<Mutex<Connection>>,
    n_kept: u32,
    /// The state's new id, until the first checkpoint takes the place of all that were.
    new_id: Arc<Mutex<Option<String>>>,
}

/// Which checkpoint is asked for.
#[derive(Debug, Clone, Copy)]
enum Which {
    Committed,
    Pending,
}

impl Checkpoints {
    pub(crate) fn new(database: Arc<Mutex<Connection>>, n_kept: u32, new_id: Option<String>) -> Self {
        Self { database, n_kept, new_id: Arc::new(Mutex::new(new_id)) }
    }

    fn new_id(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.new_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `act` on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.database);
        let called =
            tokio::task::spawn_blocking(move || act(&mut database.lock().unwrap_or_else(PoisonError::into_inner)));
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Failed(error);
        called.await.map_err(|error| failed(error.into()))?.map_err(|error| failed(error.into()))
    }
}

#[async_trait]
impl CheckpointStore for Checkpoints {
    async fn put_pending(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        let new_id = self.new_id().clone();
        self.run(move |database| {
            let transaction = database.transaction()?;
            match new_id {
                None => {
                    transaction.execute("DELETE FROM checkpoint WHERE NOT is_committed", [])?;
                }
                Some(id) => {
                    transaction.execute("DELETE FROM checkpoint", [])?;
                    transaction.execute("UPDATE pipeline SET state_id = ?1, started_at = unixepoch()", [id])?;
                }
            }
            insert(&transaction, &checkpoint)?;
            transaction.commit()
        })
        .await?;
        *self.new_id() = None;
        Ok(())
    }

    async fn commit(&self, epoch: u64) -> Result<(), StoreError> {
        let n_kept = self.n_kept;
        let n_changed = self
            .run(move |database| {
                let transaction = database.transaction()?;
                let n_changed = transaction.execute(
                    "UPDATE checkpoint SET is_committed = 1 WHERE epoch = ?1 AND NOT is_committed",
                    [epoch.cast_signed()],
                )?;
                transaction.execute(
                    "DELETE FROM checkpoint WHERE is_committed AND epoch NOT IN
                     (SELECT epoch FROM checkpoint WHERE is_committed ORDER BY epoch DESC LIMIT ?1)",
                    [n_kept],
                )?;
                transaction.commit()?;
                Ok(n_changed)
            })
            .await?;
        if n_changed == 1 { Ok(()) } else { Err(StoreError::NotPending { epoch }) }
    }

    async fn committed(&self) -> Result<Option<Checkpoint>, StoreError> {
        if self.new_id().is_some() {
            return Ok(None);
        }
        self.run(|database| last(database, Which::Committed)).await
    }

    async fn pending(&self) -> Result<Option<Checkpoint>, StoreError> {
        if self.new_id().is_some() {
            return Ok(None);
        }
        self.run(|database| last(database, Which::Pending)).await
    }
}

fn insert(transaction: &Transaction<'_>, checkpoint: &Checkpoint) -> rusqlite::Result<()> {
    let epoch = checkpoint.epoch.cast_signed();
    transaction.execute("INSERT INTO checkpoint VALUES (?1, 0, unixepoch())", [epoch])?;
    let mut source = transaction.prepare_cached("INSERT INTO source VALUES (?1, ?2, ?3, ?4)")?;
    let silent = checkpoint.finished.iter().filter(|node| !checkpoint.positions.contains_key(*node));
    let positions = checkpoint.positions.iter().map(|(node, position)| (node, Some(position)));
    for (node, position) in positions.chain(silent.map(|node| (node, None))) {
        source.execute(params![epoch, node.as_str(), position, checkpoint.finished.contains(node)])?;
    }
    let mut state = transaction.prepare_cached("INSERT INTO state VALUES (?1, ?2, ?3)")?;
    let mut part = transaction.prepare_cached("INSERT INTO state_part VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (node, saved) in &checkpoint.states {
        state.execute(params![epoch, node.as_str(), saved.version])?;
        for (number, (key_group, bytes)) in (0i64..).zip(&saved.parts) {
            part.execute(params![epoch, node.as_str(), number, key_group, bytes])?;
        }
    }
    Ok(())
}

fn last(database: &mut Connection, which: Which) -> rusqlite::Result<Option<Checkpoint>> {
    // one transaction, so that all parts are of one checkpoint
    let transaction = database.transaction()?;
    let query = match which {
        Which::Committed => "SELECT max(epoch) FROM checkpoint WHERE is_committed",
        Which::Pending => "SELECT max(epoch) FROM checkpoint WHERE NOT is_committed",
    };
    let found: Option<Option<i64>> = transaction.query_row(query, [], |row| row.get(0)).optional()?;
    let Some(epoch) = found.flatten() else { return Ok(None) };
    let mut checkpoint = Checkpoint { epoch: epoch.cast_unsigned(), ..Checkpoint::default() };
    let mut sources = transaction.prepare("SELECT node, position, is_finished FROM source WHERE epoch = ?1")?;
    let mut rows = sources.query([epoch])?;
    while let Some(row) = rows.next()? {
        let node = node(row)?;
        if let Some(position) = row.get::<_, Option<Vec<u8>>>(1)? {
            checkpoint.positions.insert(node.clone(), position);
        }
        if row.get(2)? {
            checkpoint.finished.insert(node);
        }
    }
    let mut states = transaction.prepare("SELECT node, version FROM state WHERE epoch = ?1")?;
    let mut rows = states.query([epoch])?;
    while let Some(row) = rows.next()? {
        checkpoint.states.insert(node(row)?, SavedState { version: row.get(1)?, parts: Vec::new() });
    }
    let mut parts =
        transaction.prepare("SELECT node, key_group, bytes FROM state_part WHERE epoch = ?1 ORDER BY node, number")?;
    let mut rows = parts.query([epoch])?;
    let mut by_node = BTreeMap::<NodeId, Vec<(u32, Vec<u8>)>>::new();
    while let Some(row) = rows.next()? {
        by_node.entry(node(row)?).or_default().push((row.get(1)?, row.get(2)?));
    }
    for (node, parts) in by_node {
        if let Some(saved) = checkpoint.states.get_mut(&node) {
            saved.parts = parts;
        }
    }
    Ok(Some(checkpoint))
}

/// The node that a row's first column names.
fn node(row: &rusqlite::Row<'_>) -> rusqlite::Result<NodeId> {
    let name: String = row.get(0)?;
    name.parse().map_err(|error| {
        let text = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(
            0,
            text,
            Box::<dyn std::error::Error + Send + Sync>::from(format!("{error}")),
        )
    })
}
