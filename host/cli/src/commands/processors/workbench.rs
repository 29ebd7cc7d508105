//! The crates whose processors a pipeline runs while they are written.
//!
//! Each build is kept as a file of its own, which never changes: a pipeline that goes back to
//! the processor before finds the very bytes. Invariant: a crate that does not build changes
//! nothing.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use flowctl_intent::{Component, Document, Intent};
use flowctl_topology::{Component as NodeComponent, Topology};
use flowctl_types::{Digest, NodeId, Reference};

use super::cargo::{Built, Crate, Say};
use super::watch::{self, fingerprint};
use crate::report::{self, Hinted};
use crate::status;

/// Where builds are kept, below the folder that cargo builds in.
const FOLDER: &str = "flowctl";
/// Builds of one crate that are kept.
const N_KEPT: usize = 10;
/// A build that takes longer is said to go on.
const LONG: Duration = Duration::from_secs(5);

/// The crates.
pub(crate) struct Workbench {
    places: Vec<Place>,
}

/// One of them.
struct Place {
    of: Crate,
    /// What its source looked like before it was first built.
    seen: u64,
    kept: Mutex<Kept>,
}

/// Its latest build.
#[derive(Debug, Clone)]
struct Kept {
    /// The file that cargo makes anew each time.
    written: PathBuf,
    /// The file that stays as it is.
    path: PathBuf,
    digest: Digest,
}

impl Workbench {
    /// Builds the crates in the folders `paths`.
    ///
    /// # Errors
    ///
    /// When one is no crate, or does not build.
    pub(super) async fn open(paths: &[PathBuf]) -> Result<Self> {
        let mut places = Vec::new();
        for path in paths {
            let of = Crate::find(path).await?;
            let seen = fingerprint(&of.sources);
            let kept = keep(&of, &of.build(Say::AsItGoes).await?)?;
            places.push(Place { of, seen, kept: Mutex::new(kept) });
        }
        Ok(Self { places })
    }

    /// The latest build of each crate.
    pub(crate) fn components(&self) -> Vec<PathBuf> {
        self.places.iter().map(|place| place.kept().path).collect()
    }

    /// A pipeline's file with the latest builds in place of the files that cargo writes:
    /// those that have the name of one.
    ///
    /// # Errors
    ///
    /// When one is written in a way that is not foreseen; names its node.
    pub(crate) fn text(&self, text: &str) -> Result<String> {
        let files: Vec<(NodeId, PathBuf)> = read(text).iter().flat_map(files).collect();
        let mut text = text.to_owned();
        for (node, file) in files {
            let is_built = |kept: &Kept| kept.written.file_name() == file.file_name();
            if let Some(built) = self.places.iter().map(Place::kept).find(is_built) {
                let edited = read(&text).and_then(|document| document.with_plugin(&node, &built.path));
                text = edited.ok_or_else(|| {
                    Hinted::error(
                        format!("the builds of `{}` cannot be put in at node `{node}`", file.display()),
                        "write its `plugin:` on one line",
                    )
                })?;
            }
        }
        Ok(text)
    }

    /// Checks that a pipeline runs each of the crates.
    ///
    /// # Errors
    ///
    /// Names the first that it does not, with how it would.
    pub(crate) fn check(&self, topology: &Topology) -> Result<()> {
        let runs = |kept: &Kept| {
            let is_it = |component: &NodeComponent| matches!(component, NodeComponent::Plugin { digest, .. } if *digest == kept.digest);
            topology.nodes.iter().any(|node| is_it(&node.component))
        };
        match self.places.iter().find(|place| !runs(&place.kept())) {
            None => Ok(()),
            Some(place) => {
                let (name, file) = (&place.of.name, place.kept().written);
                let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Err(Hinted::error(
                    format!("no node of `{}` runs the crate `{name}`", topology.name),
                    format!("name it in the pipeline: `plugin: {name}`, or the path of {file}"),
                ))
            }
        }
    }

    /// Builds a crate anew whenever its source has changed, for as long as it is polled.
    pub(crate) async fn rebuild(&self) -> Infallible {
        let mut seen: Vec<(u64, u64)> = self.places.iter().map(|place| (place.seen, place.seen)).collect();
        loop {
            tokio::time::sleep(watch::PERIOD).await;
            for (place, (built, last)) in self.places.iter().zip(&mut seen) {
                let now = place.look().await;
                // what is just being written looks different the next time
                if now != *built && now == *last {
                    *built = now;
                    place.renew().await;
                }
                *last = now;
            }
        }
    }
}

impl Place {
    fn kept(&self) -> Kept {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn look(&self) -> u64 {
        let sources = self.of.sources.clone();
        let looked = tokio::task::spawn_blocking(move || fingerprint(&sources)).await;
        looked.unwrap_or(self.seen)
    }

    /// Says that a build takes long, once it does, and waits until the source changes from then
    /// on: by then the build itself has written what it writes there, such as Cargo.lock.
    async fn changes_late(&self) {
        tokio::time::sleep(LONG).await;
        let look = self.look().await;
        status::say(&format!("  still building `{}`; a change of its source begins anew", self.of.name));
        while self.look().await == look {
            tokio::time::sleep(watch::PERIOD).await;
        }
    }

    /// Builds it, and says what came of that. Where that takes long and the source changes, the
    /// build is given up.
    async fn renew(&self) {
        let (name, start) = (&self.of.name, Instant::now());
        status::say(&format!("Building `{name}`..."));
        let built = tokio::select! {
            built = self.of.build(Say::OnFailure) => built,
            () = self.changes_late() => {
                status::say("  given up: the source has changed");
                return;
            }
        };
        let kept = built.and_then(|built| keep(&self.of, &built));
        match kept {
            Ok(kept) if kept.digest == self.kept().digest => status::say("  ✓ Built, the same as before"),
            Ok(kept) => {
                let (seconds, digest) = (start.elapsed().as_secs_f64(), kept.digest.short());
                status::say(&format!("  ✓ Built {digest} ({seconds:.1} s)"));
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
            }
            Err(error) => {
                report::failure(&error);
                status::say(&format!("the pipeline goes on with `{name}` as it was"));
            }
        }
    }
}

fn read(text: &str) -> Option<Document> {
    flowctl_intent::read("", text, &|name| std::env::var(name).ok()).0
}

/// The nodes of a document whose processors are files, each with its file.
fn files(document: &Document) -> Vec<(NodeId, PathBuf)> {
    let Intent::Explicit(intent) = &document.intent else { return Vec::new() };
    let file = |component: &Component| match component {
        Component::Plugin(Reference::File(path)) => Some(path.clone()),
        _ => None,
    };
    intent.processors.iter().filter_map(|spec| Some((spec.id.clone(), file(&spec.component)?))).collect()
}

/// Keeps a build of a crate in a file of its own.
fn keep(of: &Crate, built: &Built) -> Result<Kept> {
    let digest = built.contract.digest;
    let folder = of.target.join(FOLDER);
    let path = folder.join(format!("{}-{}.wasm", of.name, digest.short()));
    let what = || format!("cannot keep the build in `{}`", path.display());
    fs::create_dir_all(&folder).with_context(what)?;
    let partial = path.with_extension("partial");
    fs::copy(&built.path, &partial).and_then(|_| fs::rename(&partial, &path)).with_context(what)?;
    prune(&folder, &of.name, &path);
    Ok(Kept { written: built.path.clone(), path, digest })
}

/// Removes the oldest builds of a crate, `latest` never. What cannot be removed stays.
fn prune(folder: &Path, name: &str, latest: &Path) {
    let is_build = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        stem.strip_prefix(name).is_some_and(|rest| rest.starts_with('-') && !rest[1..].contains('-'))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut builds: Vec<(SystemTime, PathBuf)> = entries
        .filter(|path| path != latest && is_build(path))
        .filter_map(|path| Some((fs::metadata(&path).and_then(|metadata| metadata.modified()).ok()?, path)))
        .collect();
    builds.sort();
    for (_, path) in builds.iter().rev().skip(N_KEPT - 1) {
        // it is in the way of nothing
        let _ = fs::remove_file(path);
    }
}
