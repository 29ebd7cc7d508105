//! From a pipeline file to a planned topology, as every command that takes a file does.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flowctl_intent::{Component, Document, Fault, Faults, Intent, parse};
use flowctl_registry::{Declarations, Entry, Registry};
use flowctl_topology::{Topology, declaration_faults, plan};
use flowctl_types::Reference;

use crate::catalog::{self, types};
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
    let types = document.intent.types().iter().map(|path| (path.written().clone(), Path::new(path.value())));
    let registry = registry(&document, plugins, types::declarations(types))?;
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

/// The registry of what `plugins` hold, of the files that the document names, and of the
/// types that it declares: what is wrong with those is reported where it is planned.
fn registry(document: &Document, plugins: &[PathBuf], declarations: Declarations) -> Result<Registry> {
    let mut named: Vec<Entry> = Vec::new();
    let mut faults: Vec<Fault> = Vec::new();
    for (path, file) in files(document) {
        if named.iter().any(|entry| entry.path() == Some(&file)) {
            continue;
        }
        match catalog::plugin(&file) {
            Ok(entry) => named.push(entry),
            Err(error) => {
                let hint = error.downcast_ref::<Hinted>().map(|hinted| hinted.hint.clone());
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                faults.push(document.fault_at(&path, format!("{error:#}"), hint));
            }
        }
    }
    if faults.is_empty() {
        return catalog::load(plugins, named, declarations);
    }
    faults.extend(declaration_faults(document, declarations.faults()));
    Err(Faults::collect(faults).expect("there is one at least").into())
}

/// The files that the nodes of a document name, each with its place.
fn files(document: &Document) -> Vec<(Vec<String>, PathBuf)> {
    let mut references: Vec<(Vec<&str>, Option<&Reference>)> = Vec::new();
    if let Intent::Explicit(intent) = &document.intent {
        let processors = intent.processors.iter();
        references.extend(processors.map(|spec| (vec!["processors", spec.id.as_str()], Some(&spec.plugin))));
        let sources = intent.sources.iter();
        references.extend(sources.map(|spec| (vec!["sources", spec.id.as_str()], reference(&spec.component))));
        let sinks = intent.sinks.iter();
        references.extend(sinks.map(|spec| (vec!["sinks", spec.id.as_str()], reference(&spec.component))));
    }
    let dead_letter = document.intent.dead_letter();
    references.extend(dead_letter.map(|spec| (vec!["dead_letter"], reference(&spec.component))));
    let file = |(node, reference): (Vec<&str>, Option<&'_ Reference>)| match reference {
        Some(Reference::File(file)) => {
            Some((node.into_iter().chain(["plugin"]).map(str::to_owned).collect(), file.clone()))
        }
        _ => None,
    };
    references.into_iter().filter_map(file).collect()
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
