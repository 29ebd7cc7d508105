//! What plugins say: a node's bounded log of lines, and its counters.
//!
//! Invariant: a guest controls neither how much the host keeps (the oldest lines and
//! excess counters go) nor what a terminal does (control characters are escaped), and
//! only a bounded number of lines a second reaches the host's own log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bindings::Level;

/// Most bytes of lines that a node's log keeps.
const MAX_LOG_BYTES: usize = 64 << 10;
/// Longest line in bytes; the rest of it is cut.
const MAX_LINE_BYTES: usize = 4 << 10;
/// What a line costs beside its text.
const LINE_OVERHEAD_BYTES: usize = 48;
/// Lines of one node that reach the host's log in one second.
const MAX_LINES_PER_SECOND: u32 = 100;
/// Most counters of a node.
const MAX_COUNTERS: usize = 256;
/// Longest name of a counter in bytes.
const MAX_COUNTER_NAME_BYTES: usize = 64;
/// Most lines, and most bytes, of the tail that goes into a fault.
const MAX_TAIL_LINES: usize = 20;
const MAX_TAIL_BYTES: usize = 4 << 10;

/// The log and the counters of one node, shared by its instances.
#[derive(Debug)]
pub(crate) struct NodeLog {
    shared: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    lines: VecDeque<(u64, String)>,
    n_bytes: usize,
    n_instances: u64,
    window_start: Instant,
    n_in_window: u32,
    counters: BTreeMap<String, u64>,
}

/// The part of a node's log that one instance writes.
#[derive(Debug, Clone)]
pub(crate) struct InstanceLog {
    node: Arc<NodeLog>,
    instance: u64,
    unfinished: Arc<Mutex<[Vec<u8>; 2]>>,
}

/// Which of a guest's streams.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Stdout = 0,
    Stderr = 1,
}

impl NodeLog {
    pub(crate) fn new() -> Arc<Self> {
        let shared = Shared {
            lines: VecDeque::new(),
            n_bytes: 0,
            n_instances: 0,
            window_start: Instant::now(),
            n_in_window: 0,
            counters: BTreeMap::new(),
        };
        Arc::new(Self { shared: Mutex::new(shared) })
    }

    /// A writer for a new instance.
    pub(crate) fn instance(self: &Arc<Self>) -> InstanceLog {
        let mut shared = lock(&self.shared);
        shared.n_instances += 1;
        InstanceLog { node: Arc::clone(self), instance: shared.n_instances, unfinished: Arc::default() }
    }

    /// The lines that are kept, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        lock(&self.shared).lines.iter().map(|(_, line)| line.clone()).collect()
    }

    /// The counters by name, summed over instances.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        lock(&self.shared).counters.clone()
    }

    fn push(&self, instance: u64, level: Level, text: &[u8]) {
        let line = printable(text);
        let mut shared = lock(&self.shared);
        if shared.admit(Instant::now()) {
            trace(level, &line);
        }
        shared.n_bytes += line.len() + LINE_OVERHEAD_BYTES;
        shared.lines.push_back((instance, line));
        while shared.n_bytes > MAX_LOG_BYTES {
            let Some((_, oldest)) = shared.lines.pop_front() else { break };
            shared.n_bytes -= oldest.len() + LINE_OVERHEAD_BYTES;
        }
    }
}

impl Shared {
    /// Whether another line may reach the host's log now.
    fn admit(&mut self, now: Instant) -> bool {
        if now.duration_since(self.window_start) >= Duration::from_secs(1) {
            self.window_start = now;
            self.n_in_window = 0;
        }
        self.n_in_window = self.n_in_window.saturating_add(1);
        self.n_in_window <= MAX_LINES_PER_SECOND
    }
}

impl InstanceLog {
    /// Writes one message of the contract's `log`.
    pub(crate) fn log(&self, level: Level, message: &str) {
        self.node.push(self.instance, level, message.as_bytes());
    }

    /// Adds to a counter. Bad names and names beyond the limit are passed over.
    pub(crate) fn count(&self, name: &str, by: u64) {
        let is_name = name.len() <= MAX_COUNTER_NAME_BYTES
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
        if !is_name {
            return;
        }
        let counters = &mut lock(&self.node.shared).counters;
        if let Some(count) = counters.get_mut(name) {
            *count = count.saturating_add(by);
        } else if counters.len() < MAX_COUNTERS {
            counters.insert(name.to_owned(), by);
        }
    }

    /// Takes what the guest wrote to a stream, line by line.
    pub(crate) fn write(&self, stream: Stream, bytes: &[u8]) {
        let mut unfinished = lock(&self.unfinished);
        let unfinished = &mut unfinished[stream as usize];
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n");
            let kept = text.unwrap_or(part);
            let room = MAX_LINE_BYTES.saturating_sub(unfinished.len());
            unfinished.extend_from_slice(&kept[..kept.len().min(room)]);
            if text.is_some() {
                self.node.push(self.instance, Level::Info, unfinished);
                unfinished.clear();
            }
        }
    }

    /// The last lines of this instance, for a fault's report.
    pub(crate) fn tail(&self) -> String {
        for unfinished in lock(&self.unfinished).iter_mut().filter(|unfinished| !unfinished.is_empty()) {
            self.node.push(self.instance, Level::Info, unfinished);
            unfinished.clear();
        }
        let shared = lock(&self.node.shared);
        let mut lines = Vec::new();
        let mut n_bytes = 0;
        for (_, line) in shared.lines.iter().rev().filter(|(instance, _)| *instance == self.instance) {
            n_bytes += line.len() + 1;
            if lines.len() == MAX_TAIL_LINES || n_bytes > MAX_TAIL_BYTES && !lines.is_empty() {
                break;
            }
            lines.push(line.as_str());
        }
        lines.reverse();
        lines.join("\n")
    }
}

/// Hands a line to the host's log, within the span of the node that makes the call: which
/// node that is, the span says.
fn trace(level: Level, line: &str) {
    match level {
        Level::Debug => tracing::debug!(target: "flowctl::plugin", "{line}"),
        Level::Info => tracing::info!(target: "flowctl::plugin", "{line}"),
        Level::Warn => tracing::warn!(target: "flowctl::plugin", "{line}"),
        Level::Error => tracing::error!(target: "flowctl::plugin", "{line}"),
    }
}

/// Text of a guest as it may be shown: cut, and without control characters.
pub(crate) fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(MAX_LINE_BYTES)]);
    let mut line = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        if c.is_control() && c != '\t' {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// A poisoned lock holds lines all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_become_lines_however_they_are_cut() {
        let node = NodeLog::new();
        let log = node.instance();
        log.write(Stream::Stdout, b"one\ntw");
        log.write(Stream::Stderr, b"thr");
        log.write(Stream::Stdout, b"o\n");
        assert_eq!(node.lines(), ["one", "two"]);
        assert_eq!(log.tail(), "one\ntwo\nthr");
    }

    #[test]
    fn log_keeps_the_newest_lines_within_its_bytes() {
        let node = NodeLog::new();
        let log = node.instance();
        for number in 0..10_000 {
            log.log(Level::Debug, &format!("line {number} {}", "x".repeat(100)));
        }
        let lines = node.lines();
        assert!(lines.iter().map(String::len).sum::<usize>() <= MAX_LOG_BYTES);
        assert!(lines.last().unwrap().starts_with("line 9999"));
    }

    #[test]
    fn line_without_end_is_cut() {
        let node = NodeLog::new();
        let log = node.instance();
        for _ in 0..100 {
            log.write(Stream::Stdout, &[b'x'; 1000]);
        }
        assert!(log.tail().len() <= MAX_LINE_BYTES);
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(printable(b"a\x1b[2Jb\tc\xff\r\n"), "a\\u{1b}[2Jb\tc\u{fffd}");
    }

    #[test]
    fn tail_is_of_one_instance() {
        let node = NodeLog::new();
        let (first, second) = (node.instance(), node.instance());
        first.log(Level::Debug, "first");
        second.log(Level::Debug, "second");
        assert_eq!(first.tail(), "first");
    }

    #[test]
    fn counters_are_bounded_and_named_by_rule() {
        let node = NodeLog::new();
        let log = node.instance();
        log.count("good_1", 2);
        log.count("good_1", 3);
        for bad in ["", "Bad", "1bad", "bad-name", &"x".repeat(65)] {
            log.count(bad, 1);
        }
        assert_eq!(node.counters(), BTreeMap::from([("good_1".to_owned(), 5)]));
        for number in 0..1000 {
            log.count(&format!("n{number}"), 1);
        }
        assert_eq!(node.counters().len(), MAX_COUNTERS);
    }
}
