//! `flowctl lock FILE`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use flowctl_oci::RegistryRef;
use flowctl_types::Reference;

use crate::args::PluginArgs;
use crate::artifacts::args::{IndexArgs, RegistryArgs};
use crate::artifacts::{Artifacts, refused};
use crate::help::examples;
use crate::pipeline::lockfile::{self, LockFile, Locked};
use crate::pipeline::supply::{Locking, Reach, Supply};
use crate::report::{self, Hinted};
use crate::{output, pipeline, status};

/// Write down which plugins a pipeline runs
///
/// NAME.lock beside the pipeline's file has the digest and the types of each plugin; `flowctl run` keeps to it. What
/// it has stays as it is; a tag that stands for something else by now is reported, and followed with `--update`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl lock transfers.yaml", "write transfers.lock"),
    ("flowctl lock transfers.yaml --update", "follow tags that moved"),
    ("flowctl lock transfers.yaml --check", "for continuous integration"),
]))]
pub(crate) struct Lock {
    /// The pipeline
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Find everything anew: tags at their registries, names among what is here
    #[arg(long)]
    update: bool,
    /// Write nothing; fail where the lock file would change
    #[arg(long, conflicts_with = "update")]
    check: bool,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    index: IndexArgs,
    /// Show no progress and no status, only warnings
    #[arg(short, long)]
    quiet: bool,
}

impl Lock {
    /// Locks the pipeline.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let Some(path) = lockfile::path(&self.file) else {
            return Err(Hinted::usage(
                "a pipeline from standard input has no lock file",
                "put it into a file, and lock that",
            ));
        };
        let artifacts = Artifacts::new(self.registry)?.with_indexes(self.index);
        let supply = Supply {
            folders: &self.plugins.plugins,
            artifacts: &artifacts,
            reach: Reach::Network,
            locking: if self.update { Locking::Renew } else { Locking::Prefer },
            is_quiet: self.quiet,
            base_dir: None,
            live: &[],
        };
        let planned = pipeline::load(&self.file, &supply)?;
        let before = planned.locked.unwrap_or_default();
        if !self.update {
            moved(&artifacts, &before)?;
        }
        let differences = before.differences(&planned.lock);
        if self.check && !differences.is_empty() {
            let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
            return Err(Hinted::error(
                format!("`{}` is not up to date: {}", path.display(), texts.join("; ")),
                format!("`flowctl lock {}` writes it", output::shell_word(&self.file)),
            ));
        }
        if !self.check {
            planned.lock.write(&path)?;
        }
        if !self.quiet {
            differences.iter().for_each(|difference| status::say(&difference.line()));
            let n_plugins = planned.lock.plugins().len();
            let verb = if self.check { "is up to date" } else { "written" };
            status::say(&format!("`{}` {verb}: {n_plugins} plugins", path.display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Warns of every tag that stands for something else than it is locked as.
fn moved(artifacts: &Artifacts, lock: &LockFile) -> Result<()> {
    let tagged: Vec<(&Locked, RegistryRef)> = lock.plugins().iter().filter_map(tag).collect();
    if tagged.is_empty() {
        return Ok(());
    }
    let registries: Vec<&str> = tagged.iter().map(|(_, reference)| reference.registry()).collect();
    let client = artifacts.client(&registries)?;
    for (locked, reference) in &tagged {
        match artifacts.wait(client.has_manifest(reference))? {
            Ok(Some(digest)) if locked.pin() != digest.to_string() => status::warn(&format!(
                "the tag of `{reference}` moved: it is {digest} now, and stays locked as {}; `flowctl lock --update` follows",
                locked.pin()
            )),
            Ok(Some(_)) => {}
            Ok(None) => status::warn(&format!("the tag of `{reference}` is gone; it stays locked as {}", locked.pin())),
            Err(error) => {
                let error = refused(error).context(format!("cannot see whether the tag of `{reference}` moved"));
                report::warn(&error);
            }
        }
    }
    Ok(())
}

/// The tag that a plugin was locked by, without its digest.
fn tag(locked: &Locked) -> Option<(&Locked, RegistryRef)> {
    let Some(Reference::Oci { repository, tag, .. }) = &locked.artifact else { return None };
    if matches!(locked.reference, Reference::Oci { digest: Some(_), .. }) {
        return None;
    }
    let floating = Reference::Oci { repository: repository.clone(), tag: tag.clone(), digest: None };
    Some((locked, RegistryRef::from_reference(&floating, None).ok()?))
}
