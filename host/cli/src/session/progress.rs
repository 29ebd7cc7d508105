//! Live figures on a terminal: one line a node, taken from the run's snapshots.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use flowctl_runtime::Snapshot;
use flowctl_types::NodeId;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::status;

/// Time between two snapshots.
pub(crate) const INTERVAL: Duration = Duration::from_millis(250);

/// The lines; nothing where nobody looks.
pub(crate) struct Progress {
    lines: MultiProgress,
    by_node: HashMap<NodeId, Line>,
}

struct Line {
    bar: ProgressBar,
    last: (Duration, u64),
}

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
        let width = snapshot.nodes.iter().map(|(id, _)| id.as_str().len()).max().unwrap_or(0);
        for (id, figures) in &snapshot.nodes {
            let line = self.by_node.entry(id.clone()).or_insert_with(|| Line {
                bar: self.lines.add(ProgressBar::no_length().with_style(style())),
                last: (Duration::ZERO, 0),
            });
            let n_events = figures.counters.events_out.max(figures.counters.events_in);
            let per_second = line.rate(snapshot.elapsed, n_events);
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

impl Line {
    fn rate(&mut self, elapsed: Duration, n_events: u64) -> u64 {
        let (since, before) = std::mem::replace(&mut self.last, (elapsed, n_events));
        let millis = elapsed.saturating_sub(since).as_millis().max(1);
        let gained = u128::from(n_events.saturating_sub(before)) * 1000 / millis;
        u64::try_from(gained).unwrap_or(u64::MAX)
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}
