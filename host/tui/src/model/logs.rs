//! Lines that come in and are looked through: what happened in a run, and tapped events.

use std::collections::VecDeque;

use flowctl_client::admin::{RunEvent, TappedEvent};

use super::{Filter, passes};

/// Lines that are kept.
const KEPT: usize = 2_000;
/// Bytes of lines that are kept.
const KEPT_BYTES: usize = 4 << 20;

/// Lines, the latest last.
#[derive(Debug)]
pub(crate) struct Lines<T> {
    lines: VecDeque<T>,
    n_bytes: usize,
    /// Lines below what is shown.
    pub(crate) scroll: usize,
    pub(crate) filter: Filter,
}

/// A line that can be looked through.
pub(crate) trait Line {
    /// What a filter looks at.
    fn texts(&self) -> [&str; 4];
}

/// What happened in a run.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    pub(crate) lines: Lines<RunEvent>,
    /// Whether all nodes are shown, instead of the chosen one.
    pub(crate) is_of_all: bool,
}

/// Events that leave a node.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    pub(crate) lines: Lines<TappedEvent>,
    /// Whether no more are asked for.
    pub(crate) is_frozen: bool,
}

impl<T> Default for Lines<T> {
    fn default() -> Self {
        Self { lines: VecDeque::new(), n_bytes: 0, scroll: 0, filter: Filter::default() }
    }
}

impl<T: Line> Lines<T> {
    /// Adds lines behind those that are there. What is shown stays where it is, unless it is the end.
    pub(crate) fn extend(&mut self, lines: Vec<T>) {
        let words = self.filter.words();
        for line in lines {
            if self.scroll > 0 && line.passes(&words) {
                self.scroll += 1;
            }
            self.n_bytes += line.n_bytes();
            self.lines.push_back(line);
            while self.lines.len() > KEPT || self.n_bytes > KEPT_BYTES {
                let Some(gone) = self.lines.pop_front() else { break };
                self.n_bytes -= gone.n_bytes();
            }
        }
    }

    /// Forgets the lines; the filter stays.
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        (self.n_bytes, self.scroll) = (0, 0);
    }

    /// The lines that pass the filter.
    pub(crate) fn shown(&self) -> Vec<&T> {
        let words = self.filter.words();
        self.lines.iter().filter(|line| line.passes(&words)).collect()
    }

    /// Shows what is `by` lines further up, or down.
    pub(crate) fn scroll_by(&mut self, by: isize) {
        let most = self.shown().len().saturating_sub(1);
        self.scroll = self.scroll.saturating_add_signed(by).min(most);
    }
}

impl<T> Lines<T> {
    /// Whether nothing came yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// What every line has by its texts.
trait Measured: Line {
    fn n_bytes(&self) -> usize {
        self.texts().iter().map(|text| text.len()).sum()
    }

    fn passes(&self, words: &[String]) -> bool {
        words.is_empty() || {
            let texts = self.texts().map(str::to_lowercase);
            passes(words, &texts.each_ref().map(String::as_str))
        }
    }
}

impl<T: Line> Measured for T {}

impl Line for RunEvent {
    fn texts(&self) -> [&str; 4] {
        [&self.level, &self.kind, &self.node, &self.message]
    }
}

impl Line for TappedEvent {
    fn texts(&self) -> [&str; 4] {
        [&self.id, &self.r#type, &self.json, ""]
    }
}

impl Logs {
    /// Adds what happened, but for what is there: a task that was just ended may have sent the same.
    pub(crate) fn extend(&mut self, mut events: Vec<RunEvent>) {
        let last = self.lines.lines.back().map_or(0, |event| event.number);
        events.retain(|event| event.number > last);
        self.lines.extend(events);
    }

    /// The node whose events are asked for; none for all.
    pub(crate) fn node(&self, chosen: &Option<String>) -> Option<String> {
        chosen.clone().filter(|_| !self.is_of_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> RunEvent {
        RunEvent { level: "info".to_owned(), message: message.to_owned(), ..RunEvent::default() }
    }

    #[test]
    fn a_filter_wants_every_word_wherever_it_is() {
        let mut lines = Lines::default();
        lines.extend(vec![event("Started"), event("a ledger came"), event("another ledger")]);
        lines.filter.input.set("LEDGER info a");
        assert_eq!(lines.shown().len(), 2);
        lines.filter.input.set("ledger warn");
        assert!(lines.shown().is_empty());
    }

    #[test]
    fn what_is_kept_has_a_limit() {
        let mut lines = Lines::default();
        lines.extend((0..KEPT + 5).map(|number| event(&number.to_string())).collect());
        assert_eq!((lines.lines.len(), lines.lines[0].message.as_str()), (KEPT, "5"));
        lines.extend(vec![event(&"x".repeat(KEPT_BYTES - 100))]);
        assert!(lines.lines.len() < 100 && lines.n_bytes <= KEPT_BYTES);
        lines.extend(vec![event(&"x".repeat(KEPT_BYTES + 1))]);
        assert!(lines.is_empty(), "what is too long is not kept at all");
    }

    #[test]
    fn what_is_looked_at_stays_while_lines_come() {
        let mut lines = Lines::default();
        lines.extend((0..50).map(|number| event(&number.to_string())).collect());
        lines.scroll_by(10);
        lines.extend(vec![event("new")]);
        assert_eq!(lines.scroll, 11);
        lines.scroll_by(-100);
        lines.extend(vec![event("new")]);
        assert_eq!(lines.scroll, 0, "the end is followed");
        lines.scroll_by(1_000);
        assert_eq!(lines.scroll, 51);
    }
}
