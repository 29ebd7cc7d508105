//! What one pipeline needs: variables, plugins, a plan, and what its nodes touch.
//!
//! Invariant: it is planned as it would be for a run, but nothing is pulled, and no node is
//! made. Variables are shown by their names, and what they hold never, but for the files and
//! servers that nodes touch.

mod nodes;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use flowctl_client::Client;
use flowctl_intent::{Document, Faults};
use flowctl_oci::{Layout, RegistryRef};
use flowctl_registry::LiveComponent;
use flowctl_types::Reference;

use super::check::Check;
use super::{registries, within};
use crate::args::PluginArgs;
use crate::artifacts::Artifacts;
use crate::artifacts::args::RegistryArgs;
use crate::pipeline::lockfile;
use crate::pipeline::lockfile::LockFile;
use crate::pipeline::supply::{Reach, Supply};
use crate::pipeline::{self, Planned};
use crate::plane::reach::references;
use crate::{artifacts, catalog};

const NAME: &str = "plan";

pub(super) async fn check(file: Option<&Path>, plugins: &PluginArgs, ca_files: &[PathBuf]) -> Vec<Check> {
    let Some(file) = file else { return Vec::new() };
    let text = match pipeline::read(file) {
        Ok(text) => text,
        Err(error) => return vec![Check::of_error("file", &error)],
    };
    let (document, variables) = read(file, &text);
    let mut checks = vec![variables];
    let wanted = document.as_ref().map(wanted).unwrap_or_default();
    let looked = wanted.iter().map(|reference| plugin(reference, ca_files));
    let (looked, live) = tokio::join!(futures_util::future::join_all(looked), within(live(plugins)));
    let is_all_here = looked.iter().all(|(_, is_here)| *is_here);
    checks.extend(looked.into_iter().map(|(check, _)| check));
    if !is_all_here {
        checks.push(Check::skipped(NAME, "it is planned when all of its plugins are here"));
        return checks;
    }
    let live = live.unwrap_or_default();
    let (file, folders) = (file.to_owned(), plugins.plugins.clone());
    let planned = tokio::task::spawn_blocking(move || plan(&file, &text, &folders, &live)).await;
    match planned.map_err(anyhow::Error::new).and_then(|planned| planned) {
        Err(error) => checks.extend(faults(&error)),
        Ok(planned) => {
            let topology = &planned.topology;
            checks.push(Check::ok(NAME, format!("{} nodes, {} edges", topology.nodes.len(), topology.edges.len())));
            checks.extend(nodes::check(topology).await);
        }
    }
    checks
}

/// Reads the file, and looks which of the variables that it names are set.
fn read(file: &Path, text: &str) -> (Option<Document>, Check) {
    let named: RefCell<BTreeMap<String, bool>> = RefCell::default();
    let environment = |name: &str| {
        let value = std::env::var(name).ok();
        named.borrow_mut().insert(name.to_owned(), value.is_some());
        value
    };
    let (document, _) = flowctl_intent::read(&file.to_string_lossy(), text, &environment);
    let granted = document.iter().flat_map(|document| document.intent.granted_variables());
    granted.for_each(|name| drop(environment(name)));
    let named = named.into_inner();
    let has_default = |name: &str| text.contains(&format!("${{{name}:-"));
    let missing: Vec<&str> =
        named.iter().filter(|(name, is_set)| !**is_set && !has_default(name)).map(|(name, _)| name.as_str()).collect();
    let check = if !missing.is_empty() {
        let exports = missing.iter().map(|name| format!("{name}=…")).collect::<Vec<_>>().join(" ");
        Check::failed("variables", format!("not set: {}", missing.join(", ")), format!("export {exports}"))
    } else if named.is_empty() {
        Check::ok("variables", "it names none")
    } else {
        let names = named.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        Check::ok("variables", format!("set, or with a default: {names}"))
    };
    (document, check)
}

/// What the document names that may have to be fetched, or that lies in a file.
fn wanted(document: &Document) -> Vec<Reference> {
    let mut wanted: Vec<Reference> = Vec::new();
    for (_, reference) in references(&document.intent) {
        if !matches!(reference, Reference::Name { .. }) && !wanted.contains(&reference) {
            wanted.push(reference);
        }
    }
    wanted
}

/// Whether a plugin is here, or could be pulled.
async fn plugin(reference: &Reference, ca_files: &[PathBuf]) -> (Check, bool) {
    let name = format!("`{reference}`");
    let found = match reference {
        Reference::File(path) => catalog::contract(path).map(|_| ()),
        Reference::Layout { path, tag, digest } => Layout::open(path)
            .and_then(|layout| layout.find(tag.as_deref(), *digest))
            .map(drop)
            .map_err(|error| crate::report::hinted(error.hint(), error)),
        Reference::Name { .. } => return (Check::skipped(name, "it is found when the pipeline is planned"), true),
        Reference::Oci { .. } => return artifact(name, reference, ca_files).await,
    };
    match found {
        Ok(()) => (Check::ok(name, "it can be read"), true),
        Err(error) => (Check::of_error(name, &error), false),
    }
}

/// An artifact of a registry: in the store, else at its registry.
async fn artifact(name: String, reference: &Reference, ca_files: &[PathBuf]) -> (Check, bool) {
    let looked = || -> Result<(RegistryRef, bool, flowctl_oci::Client)> {
        let artifacts = Artifacts::new(RegistryArgs::default())?;
        let named = artifacts.registry_ref(reference)?;
        let store = artifacts.existing_store()?;
        let held = store.map(|store| store.by_reference(reference)).transpose()?.flatten();
        let client = registries::client(&artifacts.settings, &registries::credentials(), &[], ca_files);
        Ok((named, held.is_some(), client))
    };
    let (named, is_held, client) = match looked() {
        Ok(looked) => looked,
        Err(error) => return (Check::of_error(name, &error), false),
    };
    if is_held {
        return (Check::ok(name, "it is in the store"), true);
    }
    let check = match within(client.has_manifest(&named)).await {
        Some(Ok(Some(digest))) => {
            Check::ok(name, format!("not here yet; `{}` has it, {}", named.registry(), digest.short()))
                .with(format!("flowctl pull {reference}"))
        }
        Some(Ok(None)) => Check::failed(
            name,
            format!("registry `{}` has no such plugin", named.registry()),
            "see that repository and tag are spelled right",
        ),
        Some(Err(error)) => Check::of_error(name, &artifacts::refused(error)),
        None => Check::failed(
            name,
            format!("registry `{}` does not answer within 5 s", named.registry()),
            "see that it can be reached from here",
        ),
    };
    (check, false)
}

/// The components of the control plane; none where there is none, which its own check says.
async fn live(plugins: &PluginArgs) -> Vec<LiveComponent> {
    let client: Option<Client> = plugins.plane.find().await.ok().flatten();
    match client {
        Some(client) => crate::plane::live::of(&client).await.unwrap_or_default(),
        None => Vec::new(),
    }
}

fn plan(file: &Path, text: &str, folders: &[PathBuf], live: &[LiveComponent]) -> Result<Planned> {
    lockfile::path(file).as_deref().map(LockFile::read).transpose()?;
    let artifacts = Artifacts::new(RegistryArgs::default())?;
    let supply = Supply { reach: Reach::Look, is_quiet: true, ..Supply::here(folders, &artifacts, live) };
    pipeline::load_text(file, text, &supply)
}

/// A check for each fault of the file; else the one error.
fn faults(error: &anyhow::Error) -> Vec<Check> {
    let Some(faults) = error.downcast_ref::<Faults>() else { return vec![Check::of_error(NAME, error)] };
    let check = |fault: &flowctl_intent::Fault| {
        let found = format!("{}:{}:{}: {}", fault.file, fault.line, fault.column, fault.message);
        Check { code: Some(fault.code), remedy: fault.hint.clone(), ..Check::failed(NAME, found, "") }
    };
    faults.iter().map(check).collect()
}
