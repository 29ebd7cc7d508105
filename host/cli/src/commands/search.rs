//! `flowctl search`.

use std::collections::HashSet;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use flowctl_oci::index::{Listed, Query};
use flowctl_types::EventType;
use serde::Serialize;

use crate::args::emitted_type;
use crate::artifacts::Artifacts;
use crate::artifacts::args::{IndexArgs, RegistryArgs};
use crate::commands::artifact_row::{ArtifactRow, types};
use crate::help::examples;
use crate::output::{self, Format};
use crate::report::Hinted;

/// Look for plugins in the indexes of registries
///
/// The indexes are those of the settings, or those that `--index` names.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl search transfer", "by words"),
    ("flowctl search --input stellar.ledger.v1 --index registry.example/index:latest", "by types"),
    ("flowctl search transfer -o json", "for a program"),
]))]
pub(crate) struct Search {
    /// Words that must stand in the name, the description or the metadata
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// Event type that it takes
    #[arg(long, value_name = "TYPE")]
    input: Option<EventType>,
    /// Event type that it gives
    #[arg(long, value_name = "TYPE", value_parser = emitted_type)]
    output: Option<EventType>,
    #[command(flatten)]
    index: IndexArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    /// How to print the list
    #[arg(short = 'o', long, value_enum, default_value_t)]
    format: Format,
}

/// A plugin that an index lists; unproven, as the index has it.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    artifact: ArtifactRow,
    description: Option<String>,
    licenses: Option<String>,
}

impl Search {
    /// Prints what was found.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let artifacts = Artifacts::new(self.registry)?.with_indexes(self.index);
        if !artifacts.has_indexes() {
            return Err(Hinted::error(
                "there is no index to look in",
                "name one with `--index registry/repository:tag`, or in the settings: `indexes: [REF]`",
            ));
        }
        let query = Query { text: self.words.join(" "), input: self.input, output: self.output };
        let indexes = artifacts.fetch_indexes()?;
        let mut rows: Vec<Row> = Vec::new();
        let mut seen = HashSet::new();
        for listed in indexes.iter().flat_map(|index| index.search(&query)) {
            // several indexes may list the same plugin
            if seen.insert(listed.pinned()) {
                rows.push(Row::new(listed));
            }
        }
        output::value(self.format, &rows, || {
            let lines = rows.iter().map(|Row { artifact, description, .. }| {
                vec![
                    artifact.reference.clone(),
                    artifact.name.clone(),
                    artifact.role.clone(),
                    types(&artifact.input_types),
                    types(&artifact.output_types),
                    description.clone().unwrap_or_default(),
                ]
            });
            let header = ["REFERENCE", "NAME", "ROLE", "INPUT", "OUTPUT", "DESCRIPTION"];
            output::table(&header, &lines.collect::<Vec<_>>())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Row {
    fn new(listed: &Listed) -> Self {
        let (reference, digest) = (listed.reference().to_string(), listed.digest().to_string());
        Self {
            artifact: ArtifactRow::new(reference, digest, listed.facts().clone()),
            // a line of the table is one of text
            description: listed.description().map(output::one_line),
            licenses: listed.licenses().map(str::to_owned),
        }
    }
}
