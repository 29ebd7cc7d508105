//! Reads the spool.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use flowctl_runtime::Refused;
use flowctl_types::{Columns, Ids};
use rusqlite::Connection;

use super::SpoolError;

/// The reading connection. Cheap to clone.
#[derive(Clone)]
pub(in crate::http_source) struct Outlet {
    connection: Arc<Mutex<Connection>>,
    path: PathBuf,
}

/// Which events to read.
#[derive(Debug, Clone, Copy)]
pub(in crate::http_source) struct Range {
    /// Those behind this number,
    pub(in crate::http_source) behind: i64,
    /// up to this one,
    pub(in crate::http_source) last: i64,
    /// this many at most,
    pub(in crate::http_source) max_events: usize,
    /// and at most this many bytes, or one event.
    pub(in crate::http_source) max_bytes: usize,
}

/// Events that were read.
pub(in crate::http_source) struct Rows {
    pub(in crate::http_source) columns: Columns,
    pub(in crate::http_source) ids: Ids,
    pub(in crate::http_source) refused: Vec<Refused>,
    /// The number of the last, none where there is none.
    pub(in crate::http_source) last: Option<i64>,
}

impl Outlet {
    pub(super) fn new(connection: Connection, path: PathBuf) -> Self {
        Self { connection: Arc::new(Mutex::new(connection)), path }
    }

    /// Reads the events of `range`; their ids are `name/number`.
    pub(in crate::http_source) fn read(&self, range: Range, name: &Arc<str>) -> Result<Rows, SpoolError> {
        // nothing is half done where a reader panicked
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        read(&connection, range, name).map_err(|error| SpoolError::new(&self.path, error))
    }
}

fn read(connection: &Connection, range: Range, name: &Arc<str>) -> rusqlite::Result<Rows> {
    let mut statement = connection.prepare_cached(
        "SELECT number, arrived_at, payload, reason FROM events WHERE number > ?1 AND number <= ?2 ORDER BY number",
    )?;
    let mut found = statement.query((range.behind, range.last))?;
    let (mut columns, mut runs, mut refused, mut last) = (Columns::default(), Runs::default(), Vec::new(), None);
    let (mut n_bytes, mut n_events) = (0, 0);
    while n_events < range.max_events
        && n_bytes < range.max_bytes
        && let Some(row) = found.next()?
    {
        let number: i64 = row.get(0)?;
        let payload = row.get_ref(2)?.as_blob()?;
        if n_events > 0 && n_bytes + payload.len() > range.max_bytes {
            break;
        }
        match row.get::<_, Option<String>>(3)? {
            None => {
                let arrived_at: i64 = row.get(1)?;
                columns.push(arrived_at.unsigned_abs(), payload);
                runs.push(number.unsigned_abs());
            }
            Some(reason) => {
                n_bytes += reason.len();
                refused.push(Refused { id: format!("{name}/{number}"), payload: payload.to_vec(), reason });
            }
        }
        n_bytes += payload.len();
        n_events += 1;
        last = Some(number);
    }
    Ok(Rows { columns, ids: runs.ids(name), refused, last })
}

/// Numbers, as runs of those that follow one another.
#[derive(Default)]
struct Runs(Vec<(usize, u64)>);

impl Runs {
    fn push(&mut self, number: u64) {
        match self.0.last_mut() {
            Some((n_events, first)) if *first + *n_events as u64 == number => *n_events += 1,
            _ => self.0.push((1, number)),
        }
    }

    fn ids(&self, name: &Arc<str>) -> Ids {
        let ids = |first: u64| Ids::numbered(Arc::clone(name), first);
        match self.0.as_slice() {
            [(_, first)] => ids(*first),
            runs => Ids::joined(runs.iter().map(|(n_events, first)| (*n_events, ids(*first)))),
        }
    }
}
