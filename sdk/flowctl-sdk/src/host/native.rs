//! Records what a processor logs and counts while a test listens.
//!
//! Invariant: bounded. The oldest lines go first.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use crate::log::Level;

const MAX_LINES: usize = 10_000;

/// What one test host has heard.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    pub(crate) lines: VecDeque<(Level, String)>,
    pub(crate) counters: BTreeMap<String, u64>,
}

thread_local! {
    static CURRENT: RefCell<Option<Recording>> = const { RefCell::new(None) };
}

/// Writes one line to the recording, if there is one.
pub(crate) fn log(level: Level, message: &str) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(recording) = current {
            if recording.lines.len() == MAX_LINES {
                recording.lines.pop_front();
            }
            recording.lines.push_back((level, message.to_owned()));
        }
    });
}

/// Adds to a counter of the recording, if there is one.
pub(crate) fn counter(name: &str, by: u64) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(recording) = current {
            let total = recording.counters.entry(name.to_owned()).or_default();
            *total = total.saturating_add(by);
        }
    });
}

/// Runs `call`, recording into `recording`.
pub(crate) fn record<R>(recording: &mut Recording, call: impl FnOnce() -> R) -> R {
    let outer = CURRENT.replace(Some(std::mem::take(recording)));
    let result = call();
    *recording = CURRENT.replace(outer).unwrap_or_default();
    result
}
