//! Hosts: the processes that have the database open, and the runs of those that are gone.
//!
//! Invariant: from before a host's first run until after its last write, the kernel holds
//! the lock in `hosts/ID.lock` for it. Hosts start and are found dead in turns, so nobody
//! sees a file whose lock its host has not taken yet.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::params;

use super::{Durability, HostStore, RunRecord, RunStatus, now, runs, turn};
use crate::lock::Lock;
use crate::{StateError, folder};

/// This process as a host, until it is dropped.
#[derive(Debug)]
pub(super) struct Host {
    id: String,
    path: PathBuf,
    _lock: Lock,
}

impl Host {
    /// Takes the lock of the new host `id`. The caller has the turn.
    pub(super) fn start(dir: &Path, id: String) -> Result<Self, StateError> {
        let hosts = hosts(dir);
        folder::create(&hosts)?;
        let path = hosts.join(format!("{id}.lock"));
        let lock = Lock::take(&path)?;
        Ok(Self { id, path, _lock: lock })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // the lock is still held; a file that stays is removed by the next who looks
        let _ = fs::remove_file(&self.path);
    }
}

impl HostStore {
    /// The id of this host: random, and new with each [`HostStore::open`].
    #[must_use]
    pub fn host_id(&self) -> &str {
        &self.inner.host.id
    }

    /// Fails the runs that have not ended and whose host is gone: `reason` becomes their
    /// error, and they end now. Answers them as they are then, the earliest first.
    ///
    /// # Errors
    ///
    /// [`StateError`] when files or the database fail. No run was changed.
    pub fn fail_orphans(&self, reason: &str) -> Result<Vec<RunRecord>, StateError> {
        let _turn = turn(&self.inner.dir)?;
        let Census { living, dead } = Census::take(&hosts(&self.inner.dir))?;
        let orphans = self.write(Durability::Now, |transaction| {
            let mut going = transaction.prepare_cached("SELECT number, host_id FROM run WHERE ended_at IS NULL")?;
            let going = going.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
            let mut orphans = Vec::new();
            for run in going {
                let (number, host) = run?;
                if !living.contains(&host) {
                    orphans.push(number);
                }
            }
            orphans.sort_unstable();
            let mut fail = transaction
                .prepare_cached("UPDATE run SET status = ?2, error = ?3, ended_at = ?4 WHERE number = ?1")?;
            for number in &orphans {
                fail.execute(params![number, RunStatus::Failed, reason, now()])?;
            }
            orphans.into_iter().map(|number| runs::numbered(transaction, number)).collect::<rusqlite::Result<Vec<_>>>()
        })?;
        for (path, _lock) in dead {
            // a file that stays is found again
            let _ = fs::remove_file(path);
        }
        Ok(orphans)
    }
}

/// Who lives and who does not.
struct Census {
    living: BTreeSet<String>,
    /// Files whose lock was free, and is taken now.
    dead: Vec<(PathBuf, Lock)>,
}

impl Census {
    /// Looks at all locks in the folder `hosts`. The caller has the turn.
    fn take(hosts: &Path) -> Result<Self, StateError> {
        let error = |source| StateError::File { action: "read", path: hosts.to_owned(), source };
        let mut census = Self { living: BTreeSet::new(), dead: Vec::new() };
        for entry in fs::read_dir(hosts).map_err(error)? {
            let path = entry.map_err(error)?.path();
            if path.extension().is_none_or(|extension| extension != "lock") {
                continue;
            }
            if let Some(lock) = Lock::take_over(&path)? {
                census.dead.push((path, lock));
            } else if let Some(id) = path.file_stem().and_then(|stem| stem.to_str()) {
                census.living.insert(id.to_owned());
            }
        }
        Ok(census)
    }
}

fn hosts(dir: &Path) -> PathBuf {
    dir.join("hosts")
}
