//! The report: a table for people on stdout, JSON for programs in a file.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use indexmap::IndexMap;
use serde::Serialize;

use crate::control_plane::Latency;
use crate::measure::{Figure, N_ROUNDS};
use crate::swap::{P99_GOAL_MS, Swaps};

/// What one benchmark measured. Times are medians of time executed, on all threads.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The benchmark.
    name: &'static str,
    /// What one event is.
    event: &'static str,
    /// Rounds that the medians are of.
    n_rounds: usize,
    /// Events of one round.
    n_events: usize,
    native_ns_per_event: f64,
    plugin_ns_per_event: f64,
    /// Time of the native function by time of the pipeline: 1 is as fast, less is slower.
    pub(crate) ratio_to_native: f64,
    /// Events of the pipeline in a second of one core.
    pub(crate) events_per_s: f64,
    /// Medians of the time on the wall.
    native_wall_ns_per_event: f64,
    plugin_wall_ns_per_event: f64,
    /// Every round.
    native_rounds: Vec<f64>,
    plugin_rounds: Vec<f64>,
    goals: Vec<Goal>,
    /// What else was measured.
    #[serde(flatten)]
    parts: IndexMap<String, f64>,
}

/// What is to be reached.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

#[derive(Debug, Clone, Serialize)]
struct Goal {
    what: String,
    found: f64,
    #[serde(flatten)]
    bound: Bound,
    is_reached: bool,
}

impl Row {
    pub(crate) fn new(
        name: &'static str,
        event: &'static str,
        n_events: usize,
        native: &Figure,
        plugin: &Figure,
    ) -> Self {
        Self {
            name,
            event,
            n_rounds: N_ROUNDS,
            n_events,
            native_ns_per_event: native.ns_per_event,
            plugin_ns_per_event: plugin.ns_per_event,
            ratio_to_native: native.ns_per_event / plugin.ns_per_event,
            events_per_s: 1e9 / plugin.ns_per_event,
            native_wall_ns_per_event: native.wall_ns_per_event,
            plugin_wall_ns_per_event: plugin.wall_ns_per_event,
            native_rounds: native.rounds.clone(),
            plugin_rounds: plugin.rounds.clone(),
            goals: Vec::new(),
            parts: IndexMap::new(),
        }
    }

    /// Adds something that was measured.
    pub(crate) fn part(&mut self, what: &str, value: f64) {
        self.parts.insert(what.to_owned(), value);
    }

    /// Adds a goal, and says whether it is reached.
    pub(crate) fn goal(&mut self, what: &str, found: f64, bound: Bound) {
        let is_reached = match bound {
            Bound::AtLeast(bound) => found >= bound,
            Bound::AtMost(bound) => found <= bound,
        };
        self.goals.push(Goal { what: what.to_owned(), found, bound, is_reached });
    }
}

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    pub(crate) latencies: Vec<Latency>,
    pub(crate) swaps: Vec<Swaps>,
}

/// Says on stderr what is being measured.
pub(crate) fn progress(name: &str) -> Result<()> {
    writeln!(std::io::stderr(), "measuring {name}").context("cannot write to stderr")
}

/// Prints the table.
pub(crate) fn print(measured: &Measured) -> Result<()> {
    let Measured { rows, latencies, swaps } = measured;
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str(&table(rows.as_slice()));
    }
    if !latencies.is_empty() {
        text.push_str(&format!("\n{:<28}{:>6}{:>12}{:>12}\n", "answer", "n", "p50 ms", "p99 ms"));
        text.extend(latencies.iter().map(Latency::text));
    }
    if !swaps.is_empty() {
        text.push_str(&format!("\n{}\n", Swaps::HEADER));
        text.extend(swaps.iter().map(Swaps::text));
        let n_missed = swaps.iter().filter(|swaps| !swaps.is_reached()).count();
        let verdict = if n_missed == 0 { "reached" } else { "missed" };
        text.push_str(&format!("goal: none lost, doubled or out of order, p99 at most {P99_GOAL_MS} ms: {verdict}\n"));
    }
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to stdout")
}

/// Writes `{"rows": […]}`.
pub(crate) fn write_json(path: &Path, measured: &Measured) -> Result<()> {
    let Measured { rows, latencies, swaps } = measured;
    let rows = rows.iter().map(serde_json::to_value).chain(latencies.iter().map(serde_json::to_value));
    let rows = rows.chain(swaps.iter().map(serde_json::to_value));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let mut text = serde_json::to_string_pretty(&serde_json::json!({ "rows": rows }))?;
    text.push('\n');
    std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "median of {N_ROUNDS} rounds, native and pipeline in turns; time executed, wall in brackets\n\n\
         {:<21}{:>18}{:>18}{:>9}{:>14}\n",
        "benchmark", "native ns/event", "plugin ns/event", "ratio", "events/s"
    );
    for row in rows {
        let both = |executed: f64, wall: f64| format!("{executed:.1} ({wall:.1})");
        let native = both(row.native_ns_per_event, row.native_wall_ns_per_event);
        let plugin = both(row.plugin_ns_per_event, row.plugin_wall_ns_per_event);
        let Row { name, ratio_to_native, events_per_s, .. } = row;
        text.push_str(&format!("{name:<21}{native:>18}{plugin:>18}{ratio_to_native:>9.2}{events_per_s:>14.0}\n"));
    }
    for row in rows {
        text.push_str(&format!("\n{}, one event = one {}\n", row.name, row.event));
        for (what, value) in &row.parts {
            text.push_str(&format!("  {what:<54}{value:>12.1}\n"));
        }
        for Goal { what, found, bound, is_reached } in &row.goals {
            let bound = match bound {
                Bound::AtLeast(bound) => format!("at least {bound}"),
                Bound::AtMost(bound) => format!("at most {bound}"),
            };
            let verdict = if *is_reached { "reached" } else { "missed" };
            text.push_str(&format!("  {what:<54}{found:>12.2}  goal: {bound}, {verdict}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let figure = |ns| Figure { ns_per_event: ns, wall_ns_per_event: ns, rounds: vec![ns] };
        Row::new("json-filter", "order", 10, &figure(30.0), &figure(40.0))
    }

    #[test]
    fn a_goal_is_reached_on_its_bound() {
        let mut row = row();
        row.goal("ratio_to_native", row.ratio_to_native, Bound::AtLeast(0.75));
        row.goal("host_ns_per_event", 50.1, Bound::AtMost(50.0));
        assert_eq!(row.goals.iter().map(|goal| goal.is_reached).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn the_json_has_the_figures_and_the_parts_side_by_side() {
        let mut row = row();
        row.part("codec_ns_per_event", 9.0);
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json["ratio_to_native"], 0.75);
        assert_eq!(json["codec_ns_per_event"], 9.0);
        assert_eq!(json["events_per_s"], 25_000_000.0);
    }
}
