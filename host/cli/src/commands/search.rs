//! `flowctl search`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use flowctl_oci::index::{Listed, Query};
use flowctl_types::EventType;
use serde::Serialize;

use crate::artifacts::Artifacts;
use crate::artifacts::args::{IndexArgs, RegistryArgs};
use crate::output::{self, Format};
use crate::report::Hinted;

/// Look for plugins in the indexes of registries
///
/// The indexes are those of the settings, or those that `--index` names.
#[derive(Args)]
pub(crate) struct Search {
    /// Words that must stand in the name, the description or the metadata
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// Event type that it takes
    #[arg(long, value_name = "TYPE")]
    input: Option<EventType>,
    /// Event type that it gives
    #[arg(long, value_name = "TYPE")]
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
    reference: String,
    digest: String,
    name: String,
    version: Option<String>,
    role: String,
    input_types: Vec<String>,
    output_types: Vec<String>,
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
        for listed in indexes.iter().flat_map(|index| index.search(&query)) {
            // several indexes may list the same plugin
            let row = Row::new(listed);
            if !rows.iter().any(|other| (&other.reference, &other.digest) == (&row.reference, &row.digest)) {
                rows.push(row);
            }
        }
        output::value(self.format, &rows, || {
            let types = |types: &[String]| if types.is_empty() { "-".to_owned() } else { types.join(",") };
            let lines = rows.iter().map(|row| {
                vec![
                    row.reference.clone(),
                    row.name.clone(),
                    row.role.clone(),
                    types(&row.input_types),
                    types(&row.output_types),
                    row.description.clone().unwrap_or_default(),
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
        let facts = listed.facts();
        let types = |types: &[EventType]| types.iter().map(ToString::to_string).collect();
        Self {
            reference: listed.reference().to_string(),
            digest: listed.digest().to_string(),
            name: facts.name.clone(),
            version: facts.version.clone(),
            role: facts.role.to_string(),
            input_types: types(&facts.inputs),
            output_types: types(&facts.outputs),
            description: listed.description().map(str::to_owned),
            licenses: listed.licenses().map(str::to_owned),
        }
    }
}
