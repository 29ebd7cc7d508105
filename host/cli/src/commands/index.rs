//! `flowctl index add | remove`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use flowctl_oci::RegistryRef;
use flowctl_oci::index::{self, IndexError, Updated};
use flowctl_types::Reference;

use crate::artifacts::Artifacts;
use crate::artifacts::args::RegistryArgs;
use crate::help::examples;
use crate::report::{Hinted, hinted};
use crate::status;

/// The commands below `index`.
#[derive(Subcommand)]
#[command(after_help = examples(&[
    ("flowctl index add registry.example/plugins/ttp-processor:1.2.0", "so that others find it"),
    ("flowctl index remove registry.example/plugins/ttp-processor:1.2.0", ""),
]))]
pub(crate) enum Index {
    /// List plugins in an index, which is made where there is none
    #[command(after_help = examples(&[
        ("flowctl index add registry.example/plugins/ttp-processor:1.2.0", "to the index of the settings"),
        ("flowctl index add registry.example/acme/ttp-processor:1.2.0 --index registry.example/index:latest", ""),
    ]))]
    Add(Edit),
    /// Take plugins out of an index
    #[command(after_help = examples(&[
        ("flowctl index remove registry.example/plugins/ttp-processor:1.2.0", "from that of the settings"),
    ]))]
    Remove(Edit),
}

/// Arguments of `index add` and `index remove`.
#[derive(Args)]
pub(crate) struct Edit {
    /// The plugins, `registry/repository:tag`
    #[arg(value_name = "REF", required = true)]
    plugins: Vec<Reference>,
    /// The index, `registry/repository:tag` [default: the only one of the settings]
    #[arg(long, value_name = "REF")]
    index: Option<Reference>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Show no status
    #[arg(short, long)]
    quiet: bool,
}

impl Index {
    /// Changes the index.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::Add(edit) => edit.run(true),
            Self::Remove(edit) => edit.run(false),
        }
    }
}

impl Edit {
    fn run(self, adds: bool) -> Result<ExitCode> {
        let artifacts = Artifacts::new(self.registry)?;
        let index = match &self.index {
            Some(index) => artifacts.registry_ref(index)?,
            None => match artifacts.index_refs()?.as_slice() {
                [only] => only.clone(),
                several => {
                    return Err(Hinted::error(
                        format!("the settings name {} indexes, and none was named here", several.len()),
                        "name the index with `--index registry/repository:tag`",
                    ));
                }
            },
        };
        let plugins = self.plugins.iter().map(|plugin| artifacts.registry_ref(plugin));
        let plugins = plugins.collect::<Result<Vec<RegistryRef>>>()?;
        let registries: Vec<&str> = plugins.iter().chain([&index]).map(RegistryRef::registry).collect();
        let client = artifacts.client(&registries)?;
        let updated: Result<Updated, IndexError> = artifacts.wait(async {
            match adds {
                true => index::add(&client, &index, &plugins).await,
                false => index::remove(&client, &index, &plugins).await,
            }
        })?;
        let updated = updated.map_err(|error| hinted(error.hint(), error))?;
        if !self.quiet {
            for change in &updated.changes {
                let reference = change.reference();
                status::say(&match (&change.before, &change.after) {
                    (None, Some(after)) => format!("  + {reference} ({})", after.digest()),
                    (Some(before), Some(after)) if before == after => format!("  = {reference} is listed already"),
                    (_, Some(after)) => format!("  ~ {reference} ({})", after.digest()),
                    (_, None) => format!("  - {reference}"),
                });
            }
            status::say(&format!("Index {index} ({})", updated.digest));
        }
        Ok(ExitCode::SUCCESS)
    }
}
