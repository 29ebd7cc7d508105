//! `flowctl plugins list | remove | gc`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use flowctl_oci::{Entry, Store, Untagged};
use flowctl_types::{Digest, Reference, did_you_mean};
use serde::Serialize;

use crate::artifacts::args::RegistryArgs;
use crate::artifacts::{Artifacts, trust};
use crate::commands::artifact_row::{ArtifactRow, types};
use crate::help::examples;
use crate::output::{self, Format};
use crate::report::{Hinted, hinted};
use crate::{catalog, status};

/// The commands below `plugins`.
#[derive(Subcommand)]
#[command(after_help = examples(&[
    ("flowctl plugins list", ""),
    ("flowctl plugins remove registry.example/plugins/ttp-processor:1.2.0", ""),
    ("flowctl plugins gc", "free their space"),
]))]
pub(crate) enum Plugins {
    /// List the plugins of the local store
    List(List),
    /// Take plugins out of the local store
    Remove(Remove),
    /// Remove files that nothing in the local store lists any more
    Gc(Gc),
}

/// Arguments of `plugins list`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl plugins list", ""),
    ("flowctl plugins list --output json", "for a program"),
]))]
pub(crate) struct List {
    /// How to print the list
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Arguments of `plugins remove`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl plugins remove registry.example/plugins/ttp-processor:1.2.0", ""),
]))]
pub(crate) struct Remove {
    /// What to take out: a reference as `plugins list` prints it, or the digest of a manifest
    #[arg(value_name = "REF", required = true)]
    references: Vec<String>,
}

/// Arguments of `plugins gc`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl plugins gc", ""),
    ("flowctl plugins gc --untagged", "also what tags moved away from"),
]))]
pub(crate) struct Gc {
    /// Also remove plugins whose tag moved on to another; a lock file may still name them
    #[arg(long)]
    untagged: bool,
    /// How to print what was removed
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    artifact: ArtifactRow,
    size_bytes: u64,
    path: String,
    signed_by: Option<String>,
}

#[derive(Serialize)]
struct Collected {
    n_entries: usize,
    n_files: usize,
    n_bytes: u64,
}

impl Plugins {
    /// Does what was asked for.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let artifacts = Artifacts::new(RegistryArgs::default())?;
        match self {
            Self::List(list) => list.run(&artifacts),
            Self::Remove(remove) => remove.run(&artifacts),
            Self::Gc(gc) => gc.run(&artifacts),
        }
    }
}

impl List {
    fn run(self, artifacts: &Artifacts) -> Result<ExitCode> {
        let mut rows = Vec::new();
        if let Some(store) = artifacts.existing_store()? {
            for held in store.list().map_err(|error| hinted(error.hint(), error))? {
                match Row::new(&held) {
                    Ok(row) => rows.push(row),
                    Err(error) => status::warn(&format!("`{}` cannot be used: {error:#}", held.reference)),
                }
            }
        }
        output::value(self.output, &rows, || {
            let lines = rows.iter().map(|Row { artifact, size_bytes, .. }| {
                vec![
                    artifact.reference.clone(),
                    artifact.digest.chars().take("sha256:".len() + 12).collect(),
                    artifact.name.clone(),
                    artifact.version.clone().unwrap_or_else(|| "-".to_owned()),
                    types(&artifact.input_types),
                    types(&artifact.output_types),
                    size_bytes.to_string(),
                ]
            });
            let header = ["REFERENCE", "DIGEST", "NAME", "VERSION", "INPUT", "OUTPUT", "BYTES"];
            output::table(&header, &lines.collect::<Vec<_>>())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Row {
    fn new(held: &Entry) -> Result<Self> {
        let entry = catalog::artifact(&held.path, &held.reference, &held.manifest)?;
        // what has no tag is named by its digest, so that it can be removed as it is listed
        let reference = match &held.reference {
            Reference::Oci { tag: None, .. } | Reference::Layout { tag: None, .. } => {
                catalog::pinned(&held.reference, held.manifest.digest)
            }
            tagged => tagged.clone(),
        };
        let (reference, digest) = (reference.to_string(), held.manifest.digest.to_string());
        Ok(Self {
            artifact: ArtifactRow::of_entry(reference, digest, &entry).context("it is no plugin")?,
            size_bytes: held.manifest.layer.size,
            path: held.path.display().to_string(),
            signed_by: trust::signers(&held.marks).map(str::to_owned),
        })
    }
}

impl Remove {
    fn run(self, artifacts: &Artifacts) -> Result<ExitCode> {
        let store = artifacts.existing_store()?;
        for text in &self.references {
            let missing = || {
                let near = store.and_then(|store| near(store, artifacts, text));
                let hint = near.unwrap_or_else(|| "`flowctl plugins list` shows what it has".to_owned());
                Hinted::error(format!("the store has no `{text}`"), hint)
            };
            let store = store.ok_or_else(missing)?;
            let removed = match text.parse::<Digest>() {
                Ok(digest) => store.remove_digest(&digest),
                Err(_) => {
                    let reference: Reference = text.parse()?;
                    store.remove(&artifacts.absolute(&reference)?)
                }
            };
            let removed = removed.map_err(|error| hinted(error.hint(), error))?;
            if removed.n_entries == 0 {
                return Err(missing());
            }
            status::say(&format!("Removed {text}; `flowctl plugins gc` frees its space"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The references of the store that `text` may have meant.
fn near(store: &Store, artifacts: &Artifacts, text: &str) -> Option<String> {
    let as_listed = match text.parse().ok()? {
        Reference::Layout { path, tag, digest } => {
            Reference::Layout { path: std::path::absolute(&path).ok()?, tag, digest }
        }
        reference => artifacts.absolute(&reference).ok()?,
    };
    let held: Vec<String> = store.list().ok()?.iter().map(|held| held.reference.to_string()).collect();
    did_you_mean(&as_listed.to_string(), held.iter().map(String::as_str))
}

impl Gc {
    fn run(self, artifacts: &Artifacts) -> Result<ExitCode> {
        let untagged = if self.untagged { Untagged::Remove } else { Untagged::Keep };
        let mut collected = Collected { n_entries: 0, n_files: 0, n_bytes: 0 };
        if let Some(store) = artifacts.existing_store()? {
            let found = store.collect(untagged).map_err(|error| hinted(error.hint(), error))?;
            collected = Collected { n_entries: found.n_entries, n_files: found.n_files, n_bytes: found.n_bytes };
        }
        output::value(self.output, &collected, || {
            format!("{} plugins, {} files, {} bytes removed", collected.n_entries, collected.n_files, collected.n_bytes)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
