//! `flowctl topology suggest | show`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use flowctl_intent::Endpoint;
use flowctl_registry::Registry;
use flowctl_topology::{Wish, render, suggest};
use flowctl_types::EventType;

use crate::args::{PluginArgs, key_value};
use crate::artifacts::args::{IndexArgs, RegistryArgs};
use crate::artifacts::{Artifacts, Way};
use crate::catalog::{self, Local, types};
use crate::output::{self, Format};
use crate::pipeline;
use crate::pipeline::supply::Supply;
use crate::report::Hinted;

/// The commands below `topology`.
#[derive(Subcommand)]
pub(crate) enum Topology {
    /// Find the chain of processors from event types to sinks
    Suggest(Box<Suggest>),
    /// Show the graph of nodes that a pipeline file becomes
    Show(Show),
}

/// Arguments of `topology suggest`.
#[derive(Args)]
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
pub(crate) struct Show {
    /// The pipeline; `-` is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
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
        all(registry.declaration_faults().iter().map(|fault| (full_text(&fault.error), fault.error.hint())))?;
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
            let texts = errors.iter().map(|error| (error.to_string(), error.command_line_hint()));
            all(texts).expect_err("there is one at least")
        })?;
        output::value(self.output, &chains.names(), || chains.to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Every error that there is, as one, with the first hint.
fn all(errors: impl Iterator<Item = (String, Option<String>)>) -> Result<()> {
    let (texts, hints): (Vec<String>, Vec<Option<String>>) = errors.unzip();
    match hints.into_iter().flatten().next() {
        _ if texts.is_empty() => Ok(()),
        Some(hint) => Err(Hinted::error(texts.join("\nerror: "), hint)),
        None => Err(anyhow!(texts.join("\nerror: "))),
    }
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
        let artifacts = Artifacts::new(RegistryArgs::default())?;
        let live = self.plugins.plane.live()?;
        let supply = Supply::here(&self.plugins.plugins, &artifacts, &live);
        let topology = pipeline::load(&self.file, &supply)?.topology;
        let drawing = match self.output {
            Drawing::Text => render::text(&topology),
            Drawing::Dot => render::dot(&topology),
            Drawing::Mermaid => render::mermaid(&topology),
            Drawing::Json => serde_json::to_string_pretty(&render::json(&topology))?,
        };
        output::line(drawing.trim_end())?;
        Ok(ExitCode::SUCCESS)
    }
}
