//! Adds events to the spool and removes them.

use std::fs::File;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use super::SpoolError;
use crate::http_source::events::Events;
use crate::http_source::settings::SpoolLimits;

/// Events that are removed at once, so that requests do not wait long.
const SLICE: i64 = 10_000;

/// What a request brings.
#[derive(Debug)]
pub(in crate::http_source) struct Offer {
    /// When it came, nanoseconds since the Unix epoch.
    pub(in crate::http_source) arrived_at: u64,
    pub(in crate::http_source) events: Events,
    pub(in crate::http_source) key: Option<Key>,
}

/// By what a request is known again.
#[derive(Debug)]
pub(in crate::http_source) struct Key {
    pub(in crate::http_source) name: String,
    /// SHA-256 of what was sent.
    pub(in crate::http_source) digest: [u8; 32],
}

/// That a request was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http_source) struct Receipt {
    pub(in crate::http_source) n_accepted: u64,
    pub(in crate::http_source) n_dead_lettered: u64,
    /// Whether it had been taken before, and was not again.
    pub(in crate::http_source) is_repeated: bool,
}

/// Why nothing of a request was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http_source) enum Refusal {
    /// Too many events wait; later there may be room.
    Full { n_waiting: u64 },
    /// There would not be room if none waited.
    TooLarge,
    /// The key is that of another request.
    KeyReused,
    /// The disk is full.
    DiskFull,
    /// The spool failed.
    Failed,
}

/// The writing connection.
pub(in crate::http_source) struct Intake {
    connection: Connection,
    /// Held as long as this connection writes.
    _lock: File,
    path: PathBuf,
    limits: SpoolLimits,
    /// Number of the last event.
    newest: i64,
    /// The number that the sinks had taken when the spool was opened. Events up to it
    /// do not count: they wait for nothing but their removal.
    counted_from: i64,
    usage: Usage,
    /// Events up to this number are to be removed,
    forget_to: i64,
    /// and those up to this one have been.
    forgotten: i64,
}

/// What waits in the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Usage {
    n_events: u64,
    n_bytes: u64,
}

impl Usage {
    fn of(events: &Events) -> Self {
        Self { n_events: events.len() as u64, n_bytes: events.n_bytes() as u64 }
    }

    fn plus(self, other: Self) -> Self {
        Self { n_events: self.n_events + other.n_events, n_bytes: self.n_bytes + other.n_bytes }
    }

    fn is_within(self, limits: &SpoolLimits) -> bool {
        self.n_events <= limits.n_events && self.n_bytes <= limits.n_bytes
    }
}

impl Intake {
    pub(super) fn new(
        connection: Connection,
        lock: File,
        path: PathBuf,
        position: i64,
        newest: i64,
        limits: SpoolLimits,
    ) -> Result<Self, SpoolError> {
        let usage = usage(&connection, position, i64::MAX).map_err(|error| SpoolError::new(&path, error))?;
        Ok(Self {
            connection,
            _lock: lock,
            path,
            limits,
            newest: newest.max(position),
            counted_from: position,
            usage,
            forget_to: 0,
            forgotten: 0,
        })
    }

    /// Number of the last event.
    pub(in crate::http_source) fn newest(&self) -> i64 {
        self.newest
    }

    /// Adds what is offered in one transaction. When it is answered, all that was taken
    /// is durable; on an error nothing was taken.
    pub(in crate::http_source) fn take(
        &mut self,
        offers: &[&Offer],
    ) -> Result<Vec<Result<Receipt, Refusal>>, SpoolError> {
        let offered = offers.iter().fold(self.usage, |usage, offer| usage.plus(Usage::of(&offer.events)));
        while !offered.is_within(&self.limits) && self.has_to_forget() {
            self.forget_some()?;
        }
        let mut take = || -> rusqlite::Result<(Vec<_>, Usage, i64)> {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut entry = Entry { transaction, limits: &self.limits, usage: self.usage, newest: self.newest };
            let has_keys = offers.iter().any(|offer| offer.key.is_some());
            if has_keys {
                entry.forget_old_keys()?;
            }
            let verdicts = offers.iter().map(|offer| entry.take(offer)).collect::<rusqlite::Result<_>>()?;
            if has_keys {
                entry.forget_surplus_keys()?;
            }
            let Entry { transaction, usage, newest, .. } = entry;
            if newest > self.newest {
                transaction.prepare_cached("UPDATE spool SET newest = ?1")?.execute([newest])?;
            }
            transaction.commit()?;
            Ok((verdicts, usage, newest))
        };
        let (verdicts, usage, newest) = take().map_err(|error| SpoolError::new(&self.path, error))?;
        (self.usage, self.newest) = (usage, newest);
        Ok(verdicts)
    }

    /// Says that events up to `number` are not needed any more.
    pub(in crate::http_source) fn forget(&mut self, number: i64) {
        self.forget_to = self.forget_to.max(number.min(self.newest));
    }

    /// Whether there is something to remove.
    pub(in crate::http_source) fn has_to_forget(&self) -> bool {
        self.forgotten < self.forget_to
    }

    /// Removes some of what is not needed any more.
    pub(in crate::http_source) fn forget_some(&mut self) -> Result<(), SpoolError> {
        let (last, counted_from) = (self.forget_to, self.counted_from);
        let mut forget = || -> rusqlite::Result<(i64, Usage)> {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let first = "SELECT number FROM events ORDER BY number LIMIT 1";
            let first: Option<i64> = transaction.query_row(first, (), |row| row.get(0)).optional()?;
            let last = first.map_or(last, |first| last.min(first + SLICE - 1));
            let freed = usage(&transaction, counted_from, last)?;
            transaction.prepare_cached("DELETE FROM events WHERE number <= ?1")?.execute([last])?;
            transaction.commit()?;
            Ok((last, freed))
        };
        let (last, freed) = forget().map_err(|error| SpoolError::new(&self.path, error))?;
        self.forgotten = last;
        self.usage.n_events = self.usage.n_events.saturating_sub(freed.n_events);
        self.usage.n_bytes = self.usage.n_bytes.saturating_sub(freed.n_bytes);
        Ok(())
    }
}

/// A transaction that adds events.
struct Entry<'a> {
    transaction: Transaction<'a>,
    limits: &'a SpoolLimits,
    usage: Usage,
    newest: i64,
}

impl Entry<'_> {
    fn take(&mut self, offer: &Offer) -> rusqlite::Result<Result<Receipt, Refusal>> {
        let key = offer.key.as_ref().filter(|_| self.limits.n_keys > 0);
        if let Some(key) = key
            && let Some((digest, receipt)) = self.find_key(key)?
        {
            return Ok(if digest == key.digest { Ok(receipt) } else { Err(Refusal::KeyReused) });
        }
        let offered = Usage::of(&offer.events);
        if !offered.is_within(self.limits) {
            return Ok(Err(Refusal::TooLarge));
        }
        let usage = self.usage.plus(offered);
        if !usage.is_within(self.limits) {
            return Ok(Err(Refusal::Full { n_waiting: self.usage.n_events }));
        }
        let arrived_at = signed(offer.arrived_at);
        let mut insert = self.transaction.prepare_cached("INSERT INTO events VALUES (?1, ?2, ?3, ?4)")?;
        for row in offer.events.rows() {
            self.newest += 1;
            insert.execute((self.newest, arrived_at, row.payload, row.reason))?;
        }
        drop(insert);
        self.usage = usage;
        let n_dead_lettered = offer.events.n_refused() as u64;
        let n_accepted = offered.n_events - n_dead_lettered;
        if let Some(key) = key {
            let insert =
                "INSERT INTO keys (key, arrived_at, digest, accepted, dead_lettered) VALUES (?1, ?2, ?3, ?4, ?5)";
            let values = (&key.name, arrived_at, key.digest, signed(n_accepted), signed(n_dead_lettered));
            self.transaction.prepare_cached(insert)?.execute(values)?;
        }
        Ok(Ok(Receipt { n_accepted, n_dead_lettered, is_repeated: false }))
    }

    fn find_key(&self, key: &Key) -> rusqlite::Result<Option<([u8; 32], Receipt)>> {
        let mut select =
            self.transaction.prepare_cached("SELECT digest, accepted, dead_lettered FROM keys WHERE key = ?1")?;
        let found = select.query_row([&key.name], |row| {
            let receipt = Receipt {
                n_accepted: row.get::<_, i64>(1)?.unsigned_abs(),
                n_dead_lettered: row.get::<_, i64>(2)?.unsigned_abs(),
                is_repeated: true,
            };
            Ok((row.get(0)?, receipt))
        });
        found.optional()
    }

    fn forget_old_keys(&self) -> rusqlite::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let oldest = i64::try_from(now.saturating_sub(self.limits.key_age).as_nanos()).unwrap_or(i64::MAX);
        self.transaction.prepare_cached("DELETE FROM keys WHERE arrived_at < ?1")?.execute([oldest])?;
        Ok(())
    }

    fn forget_surplus_keys(&self) -> rusqlite::Result<()> {
        let delete = "DELETE FROM keys WHERE number <= (SELECT max(number) FROM keys) - ?1";
        self.transaction.prepare_cached(delete)?.execute([signed(self.limits.n_keys)])?;
        Ok(())
    }
}

/// What events behind number `behind` and up to `last` take.
fn usage(connection: &Connection, behind: i64, last: i64) -> rusqlite::Result<Usage> {
    let mut select = connection.prepare_cached(
        "SELECT count(*), coalesce(sum(octet_length(payload) + coalesce(octet_length(reason), 0)), 0)
         FROM events WHERE number > ?1 AND number <= ?2",
    )?;
    let (n_events, n_bytes): (i64, i64) = select.query_row((behind, last), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let n_events = n_events.unsigned_abs();
    Ok(Usage { n_events, n_bytes: n_bytes.unsigned_abs() + n_events * Events::EVENT_BYTES as u64 })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flowctl_schema::Schema;

    use super::super::{Outlet, Range, open};
    use super::*;
    use crate::http_source::events::{Format, parse};
    use crate::http_source::settings::OnInvalid;

    const WIT: &str = "package test:text@1.0.0; interface event { record text { text: string } }";
    const LIMITS: SpoolLimits =
        SpoolLimits { n_bytes: 1 << 30, n_events: 1 << 30, n_keys: 10, key_age: std::time::Duration::from_secs(1) };

    fn schema() -> Schema {
        Schema::from_wit(WIT).unwrap().remove(0)
    }

    /// Events of 1000 bytes.
    fn offer(n_events: usize) -> Offer {
        let line = format!("{{\"text\": \"{}\"}}\n", "t".repeat(998));
        let body = line.repeat(n_events);
        let events = parse(Format::Lines, body.as_bytes(), &schema(), OnInvalid::Refuse, usize::MAX).unwrap();
        Offer { arrived_at: 0, events, key: None }
    }

    fn numbers(outlet: &Outlet) -> Vec<String> {
        let range = Range { behind: 0, last: i64::MAX, max_events: usize::MAX, max_bytes: usize::MAX };
        let rows = outlet.read(range, &Arc::from("n")).unwrap();
        (0..rows.columns.len()).map(|index| rows.ids.get(index)).collect()
    }

    #[test]
    fn a_full_disk_takes_nothing_and_is_gone_on_from() {
        let folder = tempfile::tempdir().unwrap();
        let (mut intake, outlet) = open(folder.path(), &schema(), 0, LIMITS).unwrap();
        intake.take(&[&offer(2)]).unwrap();
        // SQLite reports this as it reports a disk without space
        intake.connection.pragma_update(None, "max_page_count", 100).unwrap();
        let error = intake.take(&[&offer(1), &offer(1_000)]).unwrap_err();
        assert!(matches!(error, SpoolError::DiskFull { .. }), "{error}");
        assert!(matches!(error.fault(), flowctl_runtime::Fault::Retry(_)));
        assert_eq!(numbers(&outlet), ["n/1", "n/2"]);
        intake.connection.pragma_update(None, "max_page_count", 100_000).unwrap();
        let taken = intake.take(&[&offer(1)]).unwrap();
        assert_eq!(taken, [Ok(Receipt { n_accepted: 1, n_dead_lettered: 0, is_repeated: false })]);
        assert_eq!(numbers(&outlet), ["n/1", "n/2", "n/3"]);
        assert_eq!(intake.usage, Usage { n_events: 3, n_bytes: 3 * (1_000 + Events::EVENT_BYTES as u64) });
    }

    #[test]
    fn usage_is_counted_anew_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (mut intake, _) = open(folder.path(), &schema(), 0, LIMITS).unwrap();
        intake.take(&[&offer(5), &offer(7)]).unwrap();
        intake.forget(3);
        while intake.has_to_forget() {
            intake.forget_some().unwrap();
        }
        let usage = intake.usage;
        assert_eq!(usage.n_events, 9);
        drop(intake);
        assert_eq!(open(folder.path(), &schema(), 3, LIMITS).unwrap().0.usage, usage);
        assert_eq!(open(folder.path(), &schema(), 0, LIMITS).unwrap().0.usage, usage);
        assert_eq!(open(folder.path(), &schema(), 10, LIMITS).unwrap().0.usage.n_events, 2);
    }

    #[test]
    fn what_can_be_forgotten_makes_room_first() {
        let folder = tempfile::tempdir().unwrap();
        let (mut intake, outlet) = open(folder.path(), &schema(), 0, SpoolLimits { n_events: 10, ..LIMITS }).unwrap();
        intake.take(&[&offer(10)]).unwrap();
        intake.forget(4);
        let taken = intake.take(&[&offer(4), &offer(1), &offer(11)]).unwrap();
        assert!(taken[0].is_ok());
        assert_eq!(taken[1..], [Err(Refusal::Full { n_waiting: 10 }), Err(Refusal::TooLarge)]);
        assert_eq!(numbers(&outlet).len(), 10);
    }
}
