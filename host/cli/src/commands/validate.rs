//! `flowctl validate FILE`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::args::PluginArgs;
use crate::artifacts::Artifacts;
use crate::artifacts::args::RegistryArgs;
use crate::help::examples;
use crate::pipeline::supply::Supply;
use crate::{output, pipeline, status};

/// Check a pipeline file without starting anything
///
/// Reports every fault at once: the file's structure, the components it names, the types between them, and each
/// component's configuration against its own record.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl validate transfers.yaml", "every fault at once"),
    ("flowctl validate transfers.yaml --plugins ./plugins", "with plugins of a folder"),
    ("flowctl validate --schema > pipeline.schema.json", "for an editor"),
]))]
pub(crate) struct Validate {
    /// The pipeline; `-` is stdin
    #[arg(value_name = "FILE", required_unless_present = "schema")]
    file: Option<PathBuf>,
    /// Print the JSON Schema of pipeline files, for editors
    #[arg(long, conflicts_with = "file")]
    schema: bool,
    #[command(flatten)]
    plugins: PluginArgs,
}

impl Validate {
    /// Checks the file, or prints the schema.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let Some(file) = self.file else {
            output::line(serde_json::to_string_pretty(&flowctl_intent::json_schema())?)?;
            return Ok(ExitCode::SUCCESS);
        };
        let artifacts = Artifacts::new(RegistryArgs::default())?;
        let live = self.plugins.plane.live()?;
        let supply = Supply::here(&self.plugins.plugins, &artifacts, &live);
        let planned = pipeline::load(&file, &supply)?;
        for node in planned.topology.unavailable() {
            status::warn(&format!("node `{}` cannot be run by this build of flowctl", node.id));
        }
        let topology = &planned.topology;
        let nodes = topology.nodes.len();
        let (name, edges) = (&planned.document.name, topology.edges.len());
        status::say(&format!("`{name}` is valid: {nodes} nodes, {edges} edges"));
        Ok(ExitCode::SUCCESS)
    }
}
