//! `flowctl processors dev`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use super::workbench::Workbench;
use crate::args::PluginArgs;
use crate::artifacts::args::{IndexArgs, RegistryArgs};
use crate::commands::run::Run;
use crate::help::examples;
use crate::report::Hinted;
use crate::state::StateArgs;
use crate::{pipeline, plane};

/// Arguments of `processors dev`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl processors dev pipeline.yaml", "the crate here"),
    ("flowctl processors dev orders.yaml --crate big-orders --crate alerts --fresh", ""),
]))]
pub(crate) struct Dev {
    /// The pipeline
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder of a crate; may be repeated
    #[arg(long = "crate", value_name = "PATH", default_value = ".")]
    crates: Vec<PathBuf>,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    index: IndexArgs,
    /// Write what the run did to this file, as one JSON object
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
    /// Start over from the beginning of the sources, without what the pipeline had reached
    #[arg(long)]
    fresh: bool,
    /// Go on although the last checkpoint keeps something of nodes that the pipeline no longer has; that is lost
    #[arg(long, conflicts_with = "fresh")]
    discard_state: bool,
}

impl Dev {
    /// Builds the crates, and runs the pipeline until it ends or is told to.
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.file == Path::new("-") {
            return Err(Hinted::usage(
                "standard input cannot be watched",
                "put the pipeline into a file, and name that",
            ));
        }
        // before a build, which takes its time
        pipeline::read(&self.file)?;
        let bench = plane::block_on(Workbench::open(&self.crates))?;
        let run = Run {
            file: self.file,
            plugins: self.plugins,
            locked: false,
            registry: self.registry,
            index: self.index,
            summary: self.summary,
            state: self.state,
            fresh: self.fresh,
            discard_state: self.discard_state,
            detach: false,
            watch: true,
            control_plane_port: 0,
            quiet: false,
            bench: Some(Arc::new(bench)),
        };
        run.run()
    }
}
