//! From a pipeline file to a planned topology, as every command that takes a file does.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flowctl_intent::{Component, Document, Fault, Faults, Intent, parse};
use flowctl_registry::{Entry, Registry};
use flowctl_topology::{Topology, plan};
use flowctl_types::Reference;

use crate::catalog;
use crate::report::Hinted;

/// Largest pipeline file that is read, in bytes; the parser's own bound is below it.
const MAX_FILE_BYTES: u64 = 2 << 20;

/// A pipeline file, and the topology that it becomes here.
pub(crate) struct Planned {
    /// The file.
    pub(crate) document: Document,
    /// The graph of nodes.
    pub(crate) topology: Topology,
}

/// Reads and plans the pipeline in `file`; `-` is stdin. Nothing is started.
///
/// # Errors
///
/// [`Faults`] with every fault of the file, or that file or plugins cannot be read.
pub(crate) fn load(file: &Path, plugins: &[PathBuf]) -> Result<Planned> {
    let text = read(file)?;
    let document = parse(&file.to_string_lossy(), &text, &environment)?;
    let registry = registry(&document, plugins)?;
    let topology = plan(&document, &registry, &environment)?;
    Ok(Planned { document, topology })
}

fn read(file: &Path) -> Result<String> {
    let what = || format!("cannot read pipeline `{}`", file.display());
    let mut text = String::new();
    let n_bytes = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_FILE_BYTES).read_to_string(&mut text).with_context(what)?
    } else {
        let open = std::fs::File::open(file).with_context(what)?;
        open.take(MAX_FILE_BYTES).read_to_string(&mut text).with_context(what)?
    };
    if n_bytes as u64 == MAX_FILE_BYTES {
        return Err(Hinted::error(what(), "a pipeline file has at most 1 MiB"));
    }
    Ok(text)
}

/// The registry of what `plugins` hold and of the files that the document names.
fn registry(document: &Document, plugins: &[PathBuf]) -> Result<Registry> {
    let mut named: Vec<Entry> = Vec::new();
    let mut faults: Vec<Fault> = Vec::new();
    for (path, file) in files(document) {
        if named.iter().any(|entry| entry.path() == Some(file)) {
            continue;
        }
        match catalog::plugin(file) {
            Ok(entry) => named.push(entry),
            Err(error) => {
                let hint = error.downcast_ref::<Hinted>().map(|hinted| hinted.hint.clone());
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                faults.push(document.fault_at(&path, format!("{error:#}"), hint));
            }
        }
    }
    match Faults::collect(faults) {
        Some(faults) => Err(faults.into()),
        None => catalog::load(plugins, named),
    }
}

/// The files that the nodes of a document name, each with its place.
fn files(document: &Document) -> Vec<(Vec<String>, &Path)> {
    let Intent::Explicit(intent) = &document.intent else { return Vec::new() };
    let processors = intent.processors.iter().map(|spec| ("processors", &spec.id, Some(&spec.plugin)));
    let sources = intent.sources.iter().map(|spec| ("sources", &spec.id, reference(&spec.component)));
    let sinks = intent.sinks.iter().map(|spec| ("sinks", &spec.id, reference(&spec.component)));
    let nodes = sources.chain(processors).chain(sinks);
    nodes
        .filter_map(|(list, id, reference)| match reference {
            Some(Reference::File(file)) => {
                Some((vec![list.to_owned(), id.to_string(), "plugin".to_owned()], file.as_path()))
            }
            _ => None,
        })
        .collect()
}

fn reference(component: &Component) -> Option<&Reference> {
    match component {
        Component::Plugin(reference) => Some(reference),
        Component::Type(_) | Component::Command { .. } => None,
    }
}

/// The environment, as pipeline files see it. A value that is not UTF-8 counts as unset.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
