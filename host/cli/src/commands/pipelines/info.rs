//! `flowctl pipelines info RUN`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use flowctl_client::admin;
use serde::Serialize;

use super::find_run;
use super::rows::{RunRow, elapsed, rounded, time};
use crate::help::examples;
use crate::output::{self, Format};
use crate::plane::{ControlPlaneArgs, status_word};

/// Arguments of `pipelines info`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl pipelines info transfers", "its last run"),
    ("flowctl pipelines info transfers --output json", "with all figures"),
]))]
pub(crate) struct Info {
    /// The run, or the pipeline whose last run is meant
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    plane: ControlPlaneArgs,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Details {
    #[serde(flatten)]
    run: RunRow,
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    dead_letters: String,
    nodes: Vec<NodeRow>,
    edges: Vec<EdgeRow>,
    config: String,
    resolved: serde_json::Value,
}

#[derive(Serialize)]
struct NodeRow {
    node: String,
    role: String,
    origin: String,
    events_in: u64,
    events_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    batches_in: u64,
    batches_out: u64,
    rejected: u64,
    busy_ns: u64,
    restarts: u64,
    memory_bytes: u64,
    cpu_ns: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    waiting: String,
}

#[derive(Serialize)]
struct EdgeRow {
    from: String,
    to: String,
    batches: u64,
    bytes: u64,
    max_batches: u64,
    max_bytes: u64,
}

impl Info {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let client = self.plane.connect().await?;
        let run = find_run(&client, &self.run).await?;
        let details = Details::of(&run);
        output::value(self.output, &details, || text(&run, &details))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Details {
    fn of(run: &admin::Run) -> Self {
        Self {
            run: RunRow::of(run),
            hint: run.hint.clone(),
            dead_letters: run.dead_letters.clone(),
            nodes: run.nodes.iter().map(NodeRow::of).collect(),
            edges: run.edges.iter().map(EdgeRow::of).collect(),
            config: run.config.clone(),
            // of a run that failed before it was planned there is none
            resolved: serde_json::from_str(&run.resolved).unwrap_or(serde_json::Value::Null),
        }
    }
}

impl NodeRow {
    fn of(figures: &admin::NodeFigures) -> Self {
        Self {
            node: figures.node.clone(),
            role: figures.role.clone(),
            origin: figures.origin.clone(),
            events_in: figures.events_in,
            events_out: figures.events_out,
            bytes_in: figures.bytes_in,
            bytes_out: figures.bytes_out,
            batches_in: figures.batches_in,
            batches_out: figures.batches_out,
            rejected: figures.rejected,
            busy_ns: figures.busy_ns,
            restarts: figures.restarts,
            memory_bytes: figures.memory_bytes,
            cpu_ns: figures.cpu_ns,
            waiting: figures.waiting.clone(),
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.node.clone(),
            self.role.clone(),
            self.events_in.to_string(),
            self.events_out.to_string(),
            self.rejected.to_string(),
            self.restarts.to_string(),
            self.origin.clone(),
        ]
    }
}

impl EdgeRow {
    fn of(figures: &admin::EdgeFigures) -> Self {
        Self {
            from: figures.from.clone(),
            to: figures.to.clone(),
            batches: figures.batches,
            bytes: figures.bytes,
            max_batches: figures.max_batches,
            max_bytes: figures.max_bytes,
        }
    }
}

fn text(run: &admin::Run, details: &Details) -> String {
    let mut lines = vec![
        format!("run       {}", run.id),
        format!("pipeline  {}", run.pipeline),
        format!("status    {}", status_word(run.status())),
    ];
    let mut line = |name: &str, value: Option<String>| lines.extend(value.map(|value| format!("{name:9} {value}")));
    line("created", time(run.created_at.as_ref()));
    line("started", time(run.started_at.as_ref()));
    line("ended", time(run.ended_at.as_ref()));
    line("duration", elapsed(run).map(rounded));
    line("events", Some(format!("{} in, {} out, {} rejected", run.events_in, run.events_out, run.rejected)));
    line("epoch", Some(run.epoch.to_string()));
    line("rejected", Some(run.dead_letters.clone()).filter(|path| !path.is_empty() && run.rejected > 0));
    line("error", Some(run.error.replace('\n', "\n          ")).filter(|error| !error.is_empty()));
    line("code", Some(run.error_code.clone()).filter(|code| !code.is_empty()));
    line("hint", Some(run.hint.clone()).filter(|hint| !hint.is_empty()));
    if !details.nodes.is_empty() {
        let cells: Vec<Vec<String>> = details.nodes.iter().map(NodeRow::cells).collect();
        let header = ["NODE", "ROLE", "EVENTS IN", "OUT", "REJECTED", "RESTARTS", "ORIGIN"];
        lines.push(String::new());
        lines.push(output::table(&header, &cells).trim_end().to_owned());
    }
    let waiting = details.nodes.iter().filter(|node| !node.waiting.is_empty());
    lines.extend(waiting.map(|node| format!("`{}` waits: {}", node.node, node.waiting)));
    lines.join("\n")
}
