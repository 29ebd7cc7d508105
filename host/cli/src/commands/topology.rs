//! `flowctl topology suggest | show`, and what changes a pipeline that runs.

mod change;
pub(super) mod follow;
mod history;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use flowctl_intent::Endpoint;
use flowctl_registry::Registry;
use flowctl_topology::{Wish, render, suggest};
use flowctl_types::EventType;

use self::change::{Add, Configure, Plan, Remove, Replace, Rollback, Sync};
use self::history::History;
use crate::args::{PluginArgs, key_value};
use crate::artifacts::args::{IndexArgs, RegistryArgs};
use crate::artifacts::{Artifacts, Way};
use crate::catalog::{self, Local, types};
use crate::help::examples;
use crate::output::{self, Format};
use crate::pipeline;
use crate::pipeline::supply::Supply;
use crate::report::{self, Hinted};

/// The commands below `topology`.
#[derive(Subcommand)]
#[command(after_help = examples(&[
    ("flowctl topology show transfers.yaml", "what a file becomes"),
    ("flowctl topology add volume-aggregator --after ttp-processor", "while events flow"),
    ("flowctl topology rollback", "what it was before"),
]))]
pub(crate) enum Topology {
    /// Find the chain of processors from event types to sinks
    Suggest(Box<Suggest>),
    /// Show the graph of nodes that a pipeline file becomes, or that runs
    Show(Show),
    /// Show what would change if a running pipeline became what a file says
    Plan(Plan),
    /// Add a node to a pipeline that runs
    Add(Box<Add>),
    /// Remove a node from a pipeline that runs; whoever read from it reads from what it read
    Remove(Remove),
    /// Run another component at a node of a pipeline that runs
    Replace(Replace),
    /// Configure a node of a pipeline that runs differently
    Configure(Configure),
    /// Make a pipeline that runs what a file says
    Sync(Sync),
    /// Make a pipeline that runs what it was before
    Rollback(Rollback),
    /// List what a pipeline was, change by change
    History(History),
}

/// Arguments of `topology suggest`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl topology suggest --from stellar.ledger.v1 --to postgres", ""),
    ("flowctl topology suggest --from example.order.v1 --source http --to sqlite", "at a source"),
    ("flowctl topology suggest --from stellar.ledger.v1 --to stdout --via volume-aggregator", ""),
]))]
pub(crate) struct Suggest {
    /// Event type to start from; may be repeated
    #[arg(long, value_name = "TYPE", required = true)]
    from: Vec<EventType>,
    /// Sink, by id or by kind, or an event type; may be repeated
    #[arg(long, value_name = "SINK", required = true)]
    to: Vec<String>,
    /// Source to start at, by id or by kind
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Processor to pass through; may be repeated, in this order
    #[arg(long, value_name = "PROCESSOR")]
    via: Vec<String>,
    /// Metadata that no component may contradict, `network=pubnet`; may be repeated
    #[arg(long = "where", value_name = "KEY=VALUE", value_parser = key_value)]
    filter: Vec<(String, String)>,
    /// Most processors in a chain
    #[arg(long, value_name = "N", default_value_t = Wish::MAX_HOPS)]
    max_hops: usize,
    /// Event types of your own: a file of WIT text, or a folder with a package; may be repeated
    #[arg(long, value_name = "FILE")]
    types: Vec<PathBuf>,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    index: IndexArgs,
    /// How to print the chains
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Arguments of `topology show`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl topology show transfers.yaml", ""),
    ("flowctl topology show transfers.yaml --output dot | dot -Tsvg > transfers.svg", "a picture"),
    ("flowctl topology show --live", "what runs"),
]))]
pub(crate) struct Show {
    /// The pipeline; `-` is stdin
    #[arg(value_name = "FILE", required_unless_present = "live")]
    file: Option<PathBuf>,
    /// Show a pipeline that runs, instead of a file
    #[arg(long, conflicts_with = "file")]
    live: bool,
    /// The pipeline that is meant by `--live`, where several run
    #[arg(long, value_name = "PIPELINE", requires = "live")]
    pipeline: Option<String>,
    #[command(flatten)]
    plugins: PluginArgs,
    /// How to draw it
    #[arg(short, long, value_enum, default_value_t)]
    output: Drawing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Drawing {
    /// Lines of text
    #[default]
    Text,
    /// Graphviz
    Dot,
    /// A Mermaid flowchart
    Mermaid,
    /// Nodes and edges with types and digests
    Json,
}

impl Topology {
    /// Prints what was asked for.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::Suggest(arguments) => arguments.run(),
            Self::Show(arguments) => arguments.run(),
            Self::Plan(arguments) => arguments.run(),
            Self::Add(arguments) => arguments.run(),
            Self::Remove(arguments) => arguments.run(),
            Self::Replace(arguments) => arguments.run(),
            Self::Configure(arguments) => arguments.run(),
            Self::Sync(arguments) => arguments.run(),
            Self::Rollback(arguments) => arguments.run(),
            Self::History(arguments) => arguments.run(),
        }
    }
}

impl Suggest {
    fn run(self) -> Result<ExitCode> {
        let artifacts = Artifacts::new(self.registry)?.with_indexes(self.index);
        let types = self.types.iter().map(|path| (path.display().to_string(), path.as_path()));
        let declarations = types::declarations(types);
        let local = Local::read(&self.plugins.plugins)?;
        let stored: Vec<_> = catalog::stored(&artifacts)?.into_iter().map(|(entry, _)| entry).collect();
        let live = self.plugins.plane.live()?;
        let mut registry = local.registry(Vec::new(), stored.clone(), &live, declarations.clone());
        check_declared(&registry)?;
        let source = self.source.clone();
        let from: Vec<Endpoint> =
            self.from.into_iter().map(|event_type| Endpoint { event_type, source: source.clone() }).collect();
        let filter: BTreeMap<String, String> = self.filter.into_iter().collect();
        let wish = Wish {
            from: &from,
            to: &self.to,
            via: &self.via,
            filter: &filter,
            configured: BTreeSet::new(),
            max_hops: self.max_hops,
        };
        let is_wanting =
            |registry: &Registry| suggest(&wish, registry).is_err_and(|e| e.iter().any(|e| e.error.is_for_want()));
        if artifacts.has_indexes() && is_wanting(&registry) {
            let from = from.iter().map(|end| end.event_type.clone()).collect();
            let way = Way { from, to: &self.to, via: &self.via };
            let listed = artifacts.on_the_way(&registry, &way)?;
            let pulled = artifacts.pull_entries(&listed)?;
            registry = local.registry(pulled, stored, &live, declarations);
        }
        let chains = suggest(&wish, &registry).map_err(|errors| {
            let texts = errors.iter();
            let texts = texts.map(|error| (Some(error.error.code()), error.to_string(), error.command_line_hint()));
            report::all(texts).expect_err("there is one at least")
        })?;
        output::value(self.output, &chains.names(), || chains.to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Refuses event types of one's own that cannot be used.
///
/// # Errors
///
/// All that is wrong with them.
pub(super) fn check_declared(registry: &Registry) -> Result<()> {
    let faults = registry.declaration_faults().iter();
    report::all(faults.map(|fault| (Some(fault.error.code()), full_text(&fault.error), fault.error.hint())))
}

/// An error and what caused it, on one line.
fn full_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

impl Show {
    fn run(self) -> Result<ExitCode> {
        let Some(file) = &self.file else { return self.live() };
        let artifacts = Artifacts::new(RegistryArgs::default())?;
        let live = self.plugins.plane.live()?;
        let supply = Supply::here(&self.plugins.plugins, &artifacts, &live);
        let topology = pipeline::load(file, &supply)?.topology;
        let drawing = match self.output {
            Drawing::Text => render::text(&topology),
            Drawing::Dot => render::dot(&topology),
            Drawing::Mermaid => render::mermaid(&topology),
            Drawing::Json => serde_json::to_string_pretty(&render::json(&topology))?,
        };
        output::line(drawing.trim_end())?;
        Ok(ExitCode::SUCCESS)
    }

    /// Shows what runs: only JSON has all of it, the other forms are lines.
    fn live(&self) -> Result<ExitCode> {
        let topology = crate::plane::block_on(async {
            let client = self.plugins.plane.connect().await?;
            let pipeline = change::pipeline(&client, self.pipeline.as_deref()).await?;
            client.topology(&pipeline).await.map_err(crate::plane::refused)
        })?;
        let json: serde_json::Value = serde_json::from_str(&topology.json)?;
        match self.output {
            Drawing::Json => output::line(serde_json::to_string_pretty(&json)?)?,
            Drawing::Text => {
                output::line(format!("{}, revision {}", topology.line, topology.revision))?;
                output::line(output::table(&["NODE", "ROLE", "COMPONENT", "READS FROM"], &rows(&json)))?;
            }
            Drawing::Dot | Drawing::Mermaid => {
                return Err(Hinted::error(
                    "a pipeline that runs is shown as text or as JSON",
                    "draw its file, or use `--output json`",
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Each node of a topology that is shown as JSON, with what it reads from.
fn rows(topology: &serde_json::Value) -> Vec<Vec<String>> {
    let list = |key: &str| topology[key].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let edges = list("edges");
    let row = |node: &serde_json::Value| {
        let inputs = edges.iter().filter(|edge| edge["to"] == node["id"]).map(|edge| text(&edge["from"]));
        let component = &node["component"];
        let name = match component["version"].as_str() {
            Some(version) => format!("{} {version}", text(&component["name"])),
            None => text(&component["name"]),
        };
        vec![text(&node["id"]), text(&node["role"]), name, inputs.collect::<Vec<_>>().join(", ")]
    };
    list("nodes").iter().map(row).collect()
}
