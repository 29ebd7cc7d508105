//! What happened in a run, as a log that is bounded.
//!
//! Invariant: after each call a run has at most [`MAX_EVENTS`] events of at most
//! [`MAX_EVENT_BYTES`] in all, and no message above [`MAX_MESSAGE_BYTES`]. Numbers are
//! given once: events that went leave gaps.

use rusqlite::{OptionalExtension, Row, ToSql, Transaction, params};

use super::values::{count, position, words};
use super::{Durability, HostStore};
use crate::StateError;

/// The most events that stay of a run.
pub const MAX_EVENTS: u64 = 10_000;

/// The most bytes of events that stay of a run: their texts, and 32 for each.
pub const MAX_EVENT_BYTES: u64 = 4 * 1024 * 1024;

/// The most bytes of a message; a longer one is cut, and ends in `…`.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// What an event counts besides its texts.
const EVENT_BYTES: u64 = 32;

/// The first events, which tell how the run was started, stay longest.
const N_FIRST: u64 = 32;

/// How grave an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventLevel {
    /// It is as it should be.
    Info,
    /// The run goes on, but somebody should look.
    Warn,
    /// Something failed.
    Error,
}

words!(EventLevel { Info = "info", Warn = "warn", Error = "error" });

/// What happened in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// When.
    pub at: i64,
    /// How grave it is.
    pub level: EventLevel,
    /// What happened, as a word such as `started`.
    pub kind: String,
    /// The node that it is about; none where it is about all of the run.
    pub node: Option<String>,
    /// What happened, in words.
    pub message: String,
}

/// An event that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Counted from 1 within the run.
    pub number: u64,
    /// What happened.
    pub event: EventRecord,
}

/// How much of a run's log there is.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    last_number: u64,
    n_events: u64,
    bytes: u64,
}

impl HostStore {
    /// Appends events to a run's log, also of a run that has ended, and answers the number
    /// of the first. A crash of the machine may lose the last of them.
    ///
    /// Where the log is full, the oldest events of the lowest level go, the first few of
    /// the run last.
    ///
    /// # Errors
    ///
    /// [`StateError::NoRun`] without that run; any other [`StateError`] when the database
    /// fails. Nothing was appended.
    pub fn append_events(&self, run_id: &str, events: &[EventRecord]) -> Result<u64, StateError> {
        let find = "SELECT number, ifnull(last_number, 0), ifnull(n_events, 0), ifnull(bytes, 0)
            FROM run LEFT JOIN event_log ON run = number WHERE id = ?1";
        let insert =
            "INSERT INTO event (run, number, at, level, kind, node, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.write(Durability::Soon, |transaction| {
            let found = transaction.prepare_cached(find)?.query_row([run_id], |row| {
                let extent = Extent { last_number: count(row, 1)?, n_events: count(row, 2)?, bytes: count(row, 3)? };
                Ok((row.get::<_, i64>(0)?, extent))
            });
            let Some((run, mut extent)) = found.optional()? else { return Ok(None) };
            let first = extent.last_number + 1;
            if extent.last_number == 0 {
                store(transaction, run, extent)?;
            }
            let mut statement = transaction.prepare_cached(insert)?;
            for event in events {
                let EventRecord { at, level, kind, node, message } = event;
                let (head, tail) = cut(message);
                let message = format!("{head}{tail}");
                extent.last_number += 1;
                extent.n_events += 1;
                let texts = kind.len() + node.as_ref().map_or(0, String::len) + message.len();
                extent.bytes += EVENT_BYTES + texts as u64;
                statement.execute(params![run, extent.last_number.cast_signed(), at, level, kind, node, message])?;
            }
            if extent.n_events > MAX_EVENTS || extent.bytes > MAX_EVENT_BYTES {
                extent = trim(transaction, run, extent)?;
            }
            store(transaction, run, extent)?;
            Ok(Some(first))
        })?
        .ok_or_else(|| StateError::NoRun { id: run_id.to_owned() })
    }

    /// Events of a run that are behind number `after`, the earliest first, at most `limit`;
    /// of one node, or of all.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn events(
        &self,
        run_id: &str,
        after: u64,
        node: Option<&str>,
        limit: u32,
    ) -> Result<Vec<EventRow>, StateError> {
        let after = position(after);
        let mut values: Vec<&dyn ToSql> = vec![&run_id, &after, &limit];
        let mut condition = "";
        if let Some(node) = &node {
            condition = "AND node = ?4";
            values.push(node);
        }
        let select = format!(
            "SELECT number, at, level, kind, node, message FROM event
             WHERE run = (SELECT number FROM run WHERE id = ?1) AND number > ?2 {condition} ORDER BY number LIMIT ?3"
        );
        self.read(|database| database.prepare_cached(&select)?.query_map(&*values, row)?.collect())
    }
}

fn row(columns: &Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        number: count(columns, 0)?,
        event: EventRecord {
            at: columns.get(1)?,
            level: columns.get(2)?,
            kind: columns.get(3)?,
            node: columns.get(4)?,
            message: columns.get(5)?,
        },
    })
}

/// What stays of a message, and what shows that it was cut.
fn cut(message: &str) -> (&str, &str) {
    let mark = "…";
    if message.len() <= MAX_MESSAGE_BYTES {
        return (message, "");
    }
    (&message[..message.floor_char_boundary(MAX_MESSAGE_BYTES - mark.len())], mark)
}

/// Removes a tenth more than has to go, so that a full log is not trimmed at each event.
fn trim(transaction: &Transaction<'_>, run: i64, extent: Extent) -> rusqlite::Result<Extent> {
    let excess = |have: u64, most: u64| if have > most { have - most / 10 * 9 } else { 0 };
    let n_excess = excess(extent.n_events, MAX_EVENTS);
    let bytes_excess = excess(extent.bytes, MAX_EVENT_BYTES);
    let size = format!("{EVENT_BYTES} + octet_length(kind) + ifnull(octet_length(node), 0) + octet_length(message)");
    let remove = format!(
        "DELETE FROM event WHERE run = ?1 AND number IN (
            SELECT number FROM (
                SELECT number, row_number() OVER removal AS place, sum(size) OVER removal - size AS freed
                FROM (SELECT number, level, {size} AS size FROM event WHERE run = ?1)
                WINDOW removal AS (ORDER BY number <= {N_FIRST},
                    CASE level WHEN 'info' THEN 0 WHEN 'warn' THEN 1 ELSE 2 END, number)
            ) WHERE place <= ?2 OR freed < ?3)"
    );
    transaction.prepare_cached(&remove)?.execute(params![run, n_excess.cast_signed(), bytes_excess.cast_signed()])?;
    let left = format!("SELECT count(*), ifnull(sum({size}), 0) FROM event WHERE run = ?1");
    transaction.prepare_cached(&left)?.query_row([run], |row| {
        Ok(Extent { last_number: extent.last_number, n_events: count(row, 0)?, bytes: count(row, 1)? })
    })
}

fn store(transaction: &Transaction<'_>, run: i64, extent: Extent) -> rusqlite::Result<()> {
    let put = "INSERT INTO event_log (run, last_number, n_events, bytes) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT DO UPDATE SET last_number = ?2, n_events = ?3, bytes = ?4";
    let Extent { last_number, n_events, bytes } = extent;
    let counts = params![run, last_number.cast_signed(), n_events.cast_signed(), bytes.cast_signed()];
    transaction.prepare_cached(put)?.execute(counts)?;
    Ok(())
}
