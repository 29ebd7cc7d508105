//! `flowctl inspect FILE.wasm`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::commands::describe::Description;
use crate::{catalog, output};

/// Show what a plugin's bytes say of it
///
/// Prints name, version, role, event types with their fields, the configuration with its defaults, what the plugin
/// asks for beyond the standard library's imports, size and digest. Nothing of the plugin is run.
#[derive(Args)]
pub(crate) struct Inspect {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: output::Format,
}

impl Inspect {
    /// Reads the file and prints what it says.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let contract = catalog::contract(&self.file)?;
        let description = Description::of_contract(&contract, &self.file.display().to_string());
        output::value(self.output, &description, || description.text())?;
        Ok(ExitCode::SUCCESS)
    }
}
