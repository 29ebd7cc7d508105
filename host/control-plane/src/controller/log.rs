//! The logs of runs: what happened in each, bounded.
//!
//! Appending never waits: entries are numbered, kept in memory, and written to the store
//! in batches. Invariant: whatever a node logs, a run's log takes a bounded share of
//! memory and of the store's time; what is left out is counted and said.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use flowctl_store::{EventLevel, EventRecord};
use tokio::sync::watch;
use tracing::warn;

use crate::Redaction;
use crate::records::{Records, now};
use crate::text::cut;

/// Entries of one run that wait to be written.
const MAX_WAITING: usize = 1_024;
/// Lines that a run may log in a second, and at once.
const LINES: (f64, f64) = (200.0, 1_000.0);
/// Bytes of a message.
const MESSAGE_BYTES: usize = 4 << 10;
/// Between two batches.
const PERIOD: Duration = Duration::from_millis(100);
/// Kinds that there are few of in any run, and that nobody wants to miss.
const STEPS: [&str; 6] = ["started", "stopping", "stopped", "completed", "failed", "left-out"];

/// The logs of all runs. Cheap to clone.
#[derive(Clone)]
pub struct RunLog {
    inner: Arc<Inner>,
}

struct Inner {
    records: Records,
    runs: Mutex<HashMap<String, Open>>,
    /// Held while a batch is written, so that batches keep their order.
    writing: tokio::sync::Mutex<()>,
}

/// The log of a run that goes on.
struct Open {
    waiting: Vec<EventRecord>,
    /// What no entry tells.
    redaction: Redaction,
    n_left_out: u64,
    /// Lines that may still be logged, and since when.
    allowance: (f64, Instant),
    /// The last number that the store has.
    written: watch::Sender<u64>,
}

impl RunLog {
    /// Logs that are written to `records` by a task of their own.
    pub(crate) fn start(records: Records) -> Self {
        let inner = Arc::new(Inner { records, runs: Mutex::default(), writing: tokio::sync::Mutex::default() });
        tokio::spawn(write_all(Arc::downgrade(&inner)));
        Self { inner }
    }

    /// Appends an entry to the log of run `run`; `node` is empty where it is about all
    /// of it. Never waits. Of a run that does not go on nothing is taken, and of one that
    /// logs too much, entries are counted instead.
    pub fn append(&self, run: &str, level: EventLevel, kind: &str, node: &str, message: &str) {
        let mut runs = self.inner.runs();
        let Some(open) = runs.get_mut(run) else { return };
        if !open.has_room(kind) {
            open.n_left_out += 1;
            return;
        }
        open.push(level, kind, node, message);
    }

    /// Begins the log of a run, which does not tell what `redaction` hides.
    pub(crate) fn open(&self, run: &str, redaction: Redaction) {
        let open = Open {
            waiting: Vec::new(),
            redaction,
            n_left_out: 0,
            allowance: (LINES.1, Instant::now()),
            written: watch::channel(0).0,
        };
        self.inner.runs().insert(run.to_owned(), open);
    }

    /// Has the log of a run tell nothing of what `redaction` hides either, from now on.
    pub(crate) fn hide(&self, run: &str, redaction: Redaction) {
        if let Some(open) = self.inner.runs().get_mut(run) {
            open.redaction = redaction;
        }
    }

    /// Writes what waits, and ends the log of a run: followers see its end.
    pub(crate) async fn close(&self, run: &str) {
        self.inner.write().await;
        self.inner.runs().remove(run);
    }

    /// The last number that was written; closes with the run. None where the run does not
    /// go on.
    pub(crate) fn watch(&self, run: &str) -> Option<watch::Receiver<u64>> {
        self.inner.runs().get(run).map(|open| open.written.subscribe())
    }

    /// Writes what waits.
    pub async fn flush(&self) {
        self.inner.write().await;
    }
}

impl Open {
    fn has_room(&mut self, kind: &str) -> bool {
        if self.waiting.len() >= MAX_WAITING {
            return false;
        }
        if STEPS.contains(&kind) {
            return true;
        }
        let (left, since) = self.allowance;
        let now = Instant::now();
        let left = (left + now.duration_since(since).as_secs_f64() * LINES.0).min(LINES.1);
        let has_room = left >= 1.0;
        self.allowance = (if has_room { left - 1.0 } else { left }, now);
        has_room
    }

    fn push(&mut self, level: EventLevel, kind: &str, node: &str, message: &str) {
        let is_shown = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
        self.waiting.push(EventRecord {
            at: now(),
            level,
            kind: kind.to_owned(),
            node: (!node.is_empty()).then(|| node.to_owned()),
            // what a plugin writes is not to steer anybody's terminal
            message: cut(&self.redaction.of(message), MESSAGE_BYTES).chars().filter(is_shown).collect(),
        });
    }
}

impl Inner {
    fn runs(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self) {
        let _writing = self.writing.lock().await;
        let mut batches = Vec::new();
        for (run, open) in self.runs().iter_mut() {
            let n_left_out = std::mem::take(&mut open.n_left_out);
            if n_left_out > 0 {
                let message = format!("{n_left_out} lines were left out: too many at once");
                open.push(EventLevel::Warn, "left-out", "", &message);
            }
            if !open.waiting.is_empty() {
                batches.push((run.clone(), std::mem::take(&mut open.waiting)));
            }
        }
        for (run, events) in batches {
            let n_events = events.len() as u64;
            let id = run.clone();
            match self.records.call(move |store| store.append_events(&id, &events)).await {
                Err(error) => warn!(log_of = run, %error, "the log of a run cannot be stored"),
                Ok(first) => {
                    if let Some(open) = self.runs().get(&run) {
                        open.written
                            .send_modify(|written| *written = (first + n_events).saturating_sub(1).max(*written));
                    }
                }
            }
        }
    }
}

/// Writes until all handles are gone.
async fn write_all(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let Some(inner) = inner.upgrade() else { return };
        inner.write().await;
    }
}
