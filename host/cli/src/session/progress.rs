//! Live figures on a terminal: one line a node, taken from the run's snapshots.
//!
//! Invariant: between two looks the cursor stands at the start of the last line. What the
//! terminal echoes meanwhile, such as `^C`, stays on that line, and goes with it.

use std::collections::{HashMap, VecDeque};
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use flowctl_runtime::Snapshot;
use flowctl_types::NodeId;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::status;

/// Time between two snapshots.
pub(crate) const INTERVAL: Duration = Duration::from_millis(250);

/// Rates are those of this time: a source that is slower than the snapshots would jump.
const WINDOW: Duration = Duration::from_secs(4);

/// Puts the cursor back to where its line starts.
const TO_START: &str = "\r";

/// The lines; nothing where nobody looks.
pub(crate) struct Progress {
    lines: MultiProgress,
    by_node: HashMap<NodeId, Line>,
}

struct Line {
    bar: ProgressBar,
    rate: Rate,
}

/// A count that is seen now and then: when it was what, the latest last.
#[derive(Default)]
struct Rate(VecDeque<(Duration, u64)>);

impl Progress {
    /// Lines on stderr where that is a terminal; none where `is_quiet`, or where the
    /// pipeline's data goes to the same terminal.
    pub(crate) fn new(is_quiet: bool, writes_stdout: bool) -> Self {
        let is_mixed = writes_stdout && std::io::stdout().is_terminal();
        let is_shown = !is_quiet && !is_mixed && std::io::stderr().is_terminal();
        let target = if is_shown { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        let lines = MultiProgress::with_draw_target(target);
        status::attach(lines.clone());
        Self { lines, by_node: HashMap::new() }
    }

    /// Shows what the run looks like now.
    pub(crate) fn show(&mut self, snapshot: &Snapshot) {
        self.draw(snapshot);
        if !self.by_node.is_empty() && !self.lines.is_hidden() {
            // the lines are filled up to the edge, behind which an echo would be a line more;
            // that a terminal went away is found elsewhere
            let _ = std::io::stderr().lock().write_all(TO_START.as_bytes());
        }
    }

    fn draw(&mut self, snapshot: &Snapshot) {
        self.by_node.retain(|id, line| {
            let is_there = snapshot.nodes.iter().any(|(node, _)| node == id);
            if !is_there {
                self.lines.remove(&line.bar);
            }
            is_there
        });
        let width = snapshot.nodes.iter().map(|(id, _)| id.as_str().len()).max().unwrap_or(0);
        for (at, (id, figures)) in snapshot.nodes.iter().enumerate() {
            let line = self.by_node.entry(id.clone()).or_insert_with(|| Line {
                bar: self.lines.insert(at, ProgressBar::no_length().with_style(style())),
                rate: Rate::default(),
            });
            let n_events = figures.counters.events_out.max(figures.counters.events_in);
            let per_second = line.rate.see(snapshot.elapsed, n_events);
            let mut text = format!("{id:width$}  {n_events:>12} events  {per_second:>10}/s");
            for edge in snapshot.edges.iter().filter(|edge| edge.to == *id) {
                text.push_str(&format!("  queue {}/{}", edge.pending.batches, edge.max_batches));
            }
            if figures.counters.rejected > 0 {
                text.push_str(&format!("  rejected {}", figures.counters.rejected));
            }
            line.bar.set_message(text);
            line.bar.tick();
        }
    }

    /// Takes the lines away.
    pub(crate) fn clear(&self) {
        status::detach();
        // a terminal that went away needs no cleaning
        let _ = self.lines.clear();
    }
}

impl Rate {
    /// Takes in the count at `now`. How much comes in a second, of late; 0 before it was seen twice.
    fn see(&mut self, now: Duration, count: u64) -> u64 {
        let seen = &mut self.0;
        // a run that goes on from a checkpoint counts again from there
        if seen.back().is_some_and(|&(at, before)| count < before || now < at) {
            seen.clear();
        }
        seen.push_back((now, count));
        while seen.len() > 2 && now.saturating_sub(seen[1].0) >= WINDOW {
            seen.pop_front();
        }
        let (from, before) = seen[0];
        let millis = now.saturating_sub(from).as_millis();
        let rate = (u128::from(count - before) * 1000 + millis / 2).checked_div(millis).unwrap_or(0);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use flowctl_runtime::{Counters, LatencyFigures, NodeFigures};
    use flowctl_schema::Role;
    use indicatif::{InMemoryTerm, TermLike as _};

    use super::*;

    fn on(terminal: &InMemoryTerm) -> Progress {
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        Progress { lines: MultiProgress::with_draw_target(target), by_node: HashMap::new() }
    }

    fn snapshot(seconds: u64, nodes: &[&str]) -> Snapshot {
        let figures = |node: &&str| {
            let figures = NodeFigures {
                role: Role::Processor,
                counters: Counters { events_out: seconds, ..Counters::default() },
                restarts: 0,
                latency: LatencyFigures::default(),
                memory_bytes: 0,
                cpu_ns: 0,
                held_ns: 0,
                waiting: None,
            };
            (node.parse::<NodeId>().unwrap(), figures)
        };
        Snapshot {
            elapsed: Duration::from_secs(seconds),
            epoch: 0,
            revision: 1,
            nodes: nodes.iter().map(figures).collect(),
            edges: Vec::new(),
        }
    }

    /// The nodes on a terminal, from top to bottom; a line that is none's as it is.
    fn shown(terminal: &InMemoryTerm) -> Vec<String> {
        let is_figure = |line: &str| line.contains(" events ");
        let node = |line: &str| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        terminal.contents().lines().map(|line| if is_figure(line) { node(line) } else { line.to_owned() }).collect()
    }

    #[test]
    fn what_the_terminal_echoes_leaves_no_line_behind() {
        let terminal = InMemoryTerm::new(10, 60);
        let mut progress = on(&terminal);
        progress.draw(&snapshot(1, &["orders", "out"]));
        terminal.write_str(TO_START).unwrap();
        terminal.write_str("^C").unwrap();
        progress.draw(&snapshot(2, &["orders", "out"]));
        assert_eq!(shown(&terminal), ["orders", "out"], "{}", terminal.contents());
    }

    #[test]
    fn the_nodes_are_those_that_are_there_in_their_order() {
        let terminal = InMemoryTerm::new(10, 60);
        let mut progress = on(&terminal);
        for nodes in [&["orders", "out"][..], &["orders", "filter", "out"], &["orders", "audit"], &["orders"]] {
            progress.draw(&snapshot(1, nodes));
            assert_eq!(shown(&terminal), nodes, "{}", terminal.contents());
            assert_eq!(progress.by_node.len(), nodes.len());
        }
    }

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let mut rate = Rate::default();
        let mut rates = Vec::new();
        // an event a second, looked at four times as often
        for look in 0..40 {
            rates.push(rate.see(INTERVAL * look, u64::from(look / 4)));
        }
        assert_eq!(rates[0], 0);
        assert!(rates[16..].iter().all(|rate| *rate == 1), "{rates:?}");
        for look in 40..60 {
            rates.push(rate.see(INTERVAL * look, 9));
        }
        assert_eq!(rates.last(), Some(&0));
        assert!(rate.0.len() < 20, "{}", rate.0.len());
        assert_eq!(rate.see(Duration::from_secs(20), 1), 0, "it counts anew");
        assert_eq!(rate.see(Duration::from_secs(21), 101), 100);
    }
}
