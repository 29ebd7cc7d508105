//! `flowctl processors build`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use flowctl_schema::Schema;
use serde::Serialize;

use super::cargo::{Built, Crate, Say};
use super::cell;
use crate::help::examples;
use crate::output::{self, Format};
use crate::plane;

/// Arguments of `processors build`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl processors build", "the crate here"),
    ("flowctl processors build ../big-orders --output json", ""),
]))]
pub(crate) struct Build {
    /// The crate's folder, or its Cargo.toml
    #[arg(value_name = "PATH", default_value = ".")]
    path: PathBuf,
    /// How to print what was built
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// What is printed of a component.
#[derive(Serialize)]
struct Shown {
    component: String,
    name: String,
    version: Option<String>,
    input_types: Vec<String>,
    output_types: Vec<String>,
    size_bytes: u64,
    digest: String,
}

impl Build {
    /// Builds the crate, and prints what came out.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let built = plane::block_on(async { Crate::find(&self.path).await?.build(Say::AsItGoes).await })?;
        let shown = Shown::of(&built);
        output::value(self.output, &shown, || shown.text())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Shown {
    fn of(built: &Built) -> Self {
        let types = |types: &[Schema]| types.iter().map(|schema| schema.event_type().to_string()).collect();
        let contract = &built.contract;
        Self {
            component: near(&built.path).display().to_string(),
            name: contract.name.clone(),
            version: contract.version.clone(),
            input_types: types(&contract.inputs),
            output_types: types(&contract.outputs),
            size_bytes: contract.size_bytes,
            digest: contract.digest.to_string(),
        }
    }

    /// The form for people.
    fn text(&self) -> String {
        let version = self.version.as_deref().unwrap_or_default();
        let lines = [
            ("component", self.component.clone()),
            ("name", format!("{} {version}", self.name).trim_end().to_owned()),
            ("input", cell(&self.input_types)),
            ("output", cell(&self.output_types)),
            ("size", size(self.size_bytes)),
            ("digest", self.digest.clone()),
        ];
        lines.iter().map(|(key, value)| format!("{key:<11}{value}\n")).collect()
    }
}

/// `path` from the working directory, where it is below it.
pub(super) fn near(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok().and_then(|here| here.canonicalize().ok());
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).to_owned()
}

/// A size for people.
fn size(bytes: u64) -> String {
    format!("{:.1} KiB ({bytes} bytes)", bytes as f64 / 1024.0)
}
