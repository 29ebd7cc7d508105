//! `flowctl pull REF…`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use flowctl_oci::{Pulled, TagLookup};
use flowctl_types::{Digest, Reference};
use serde::Serialize;

use crate::artifacts::args::RegistryArgs;
use crate::artifacts::{Artifacts, Bars, Wanted};
use crate::commands::artifact_row::ArtifactRow;
use crate::help::examples;
use crate::output::{self, Format};
use crate::report::Hinted;
use crate::{catalog, report, session, status};

/// Get plugins from registries, or from OCI layouts, into the local store
///
/// What a tag stands for is asked of the registry; a digest that the store holds is not asked for. Everything is
/// checked before it is kept: digests and sizes, the artifact's form, its types against the component's own, and
/// signatures where they are demanded. Then it is compiled, once for all later starts.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl pull registry.example/plugins/ttp-processor:1.2.0", ""),
    ("flowctl pull registry.example/plugins/ttp-processor:1.2.0 --verify-key cosign.pub", "if signed"),
    ("flowctl pull oci-layout:./layout:1.2.0 --to ttp-processor.wasm", "into a file too"),
]))]
pub(crate) struct Pull {
    /// What to pull: `registry/repository:tag`, `…@sha256:…`, `oci-layout:PATH:TAG`, or a short name
    #[arg(value_name = "REF", required = true)]
    references: Vec<Reference>,
    /// Also write the component to this file
    #[arg(long, value_name = "FILE.wasm")]
    to: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Do not compile: the first start does
    #[arg(long)]
    no_compile: bool,
    /// Show no progress and no status
    #[arg(short, long)]
    quiet: bool,
    /// How to print what was pulled
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    artifact: ArtifactRow,
    /// The digest of the component.
    component: Digest,
    size_bytes: u64,
    path: PathBuf,
    was_cached: bool,
    /// What the tag stood for before, where it moved.
    moved_from: Option<String>,
}

impl Pull {
    /// Pulls all of them, and reports each that could not be.
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.to.is_some() && self.references.len() > 1 {
            return Err(Hinted::usage("`--to` names one file for several plugins", "pull them one by one"));
        }
        let artifacts = Artifacts::new(self.registry)?;
        let before: Vec<Option<String>> = self.references.iter().map(|reference| held(&artifacts, reference)).collect();
        let wanted = self.references.iter().cloned();
        let wanted: Vec<Wanted> =
            wanted.map(|reference| Wanted { reference, tags: TagLookup::Registry, is_named: true }).collect();
        let bars = Bars::new(self.quiet);
        let pulled = artifacts.pull(&wanted, &bars)?;
        drop(bars);
        let mut rows = Vec::new();
        let mut n_failed = 0;
        for ((reference, before), pulled) in self.references.iter().zip(before).zip(pulled) {
            match pulled.and_then(|pulled| Row::new(reference, &pulled, before)) {
                Ok(row) => rows.push(row),
                Err(error) => {
                    report::failure(&error);
                    n_failed += 1;
                }
            }
        }
        for row in rows.iter().filter(|_| !self.quiet) {
            if let Some(before) = &row.moved_from {
                status::warn(&format!("the tag of `{}` moved: it was {before}", row.artifact.reference));
            }
        }
        if !self.no_compile && !rows.is_empty() {
            let plugins = rows.iter().map(|row| (row.artifact.name.as_str(), row.path.as_path(), row.component));
            let (n_compiled, took) = session::compile(plugins)?;
            if n_compiled > 0 && !self.quiet {
                let seconds = took.as_secs_f64();
                status::say(&format!("Compiled {n_compiled}, kept for every start ({seconds:.1} s)"));
            }
        }
        if let (Some(to), Some(row)) = (&self.to, rows.first()) {
            std::fs::copy(&row.path, to).with_context(|| format!("cannot write `{}`", to.display()))?;
        }
        // what could not be pulled was said: no table has that
        if rows.is_empty() && matches!(self.output, Format::Table) {
            return Ok(ExitCode::FAILURE);
        }
        output::value(self.output, &rows, || {
            let lines = rows.iter().map(|Row { artifact, .. }| {
                vec![artifact.reference.clone(), artifact.digest.clone(), artifact.name.clone()]
            });
            output::table(&["REFERENCE", "DIGEST", "NAME"], &lines.collect::<Vec<_>>())
        })?;
        Ok(if n_failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Row {
    fn new(reference: &Reference, pulled: &Pulled, before: Option<String>) -> Result<Self> {
        let entry = catalog::artifact(&pulled.path, reference, &pulled.manifest)?;
        let digest = pulled.digest.to_string();
        let moved_from = before.filter(|before| *before != digest);
        let artifact = ArtifactRow::of_entry(reference.to_string(), digest, &entry).context("it is no plugin")?;
        Ok(Self {
            artifact,
            component: pulled.manifest.layer.digest,
            size_bytes: pulled.manifest.layer.size,
            path: pulled.path.clone(),
            was_cached: pulled.was_cached,
            moved_from,
        })
    }
}

/// What the store has for a tag, before it is asked for.
fn held(artifacts: &Artifacts, reference: &Reference) -> Option<String> {
    let absolute = artifacts.absolute(reference).ok()?;
    if matches!(absolute, Reference::Oci { digest: Some(_), .. }) {
        return None;
    }
    let held = artifacts.existing_store().ok()??.by_reference(&absolute).ok()??;
    Some(held.manifest.digest.to_string())
}
