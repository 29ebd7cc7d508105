//! From a pipeline file to a planned topology, as every command that takes a file does.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use flowctl_intent::{Document, Fault, Faults, Intent};
use flowctl_registry::Entry;
use flowctl_schema::Role;
use flowctl_topology::{Component, Node, Topology, plan};
use flowctl_types::Reference;

use crate::catalog::types;
use crate::report::Hinted;
use crate::{catalog, report};

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
    let (document, mut faults) = flowctl_intent::read(&file.to_string_lossy(), &text, &environment);
    let planned = match &document {
        Some(document) => find_faults(document, plugins, &mut faults)?,
        None => None,
    };
    let stdin_twice = document.as_ref().zip(planned.as_ref()).filter(|_| file == Path::new("-"));
    faults.extend(stdin_twice.and_then(|(document, topology)| stdin_fault(document, topology)));
    match (document, planned, Faults::collect(faults)) {
        (Some(document), Some(topology), None) => Ok(Planned { document, topology }),
        (_, _, Some(faults)) => Err(faults.into()),
        (_, _, None) => Err(anyhow!("`{}` cannot be planned", file.display())),
    }
}

/// Plans what of the document can be read. None, and a fault more at least, where that
/// is not all of it.
fn find_faults(document: &Document, plugins: &[PathBuf], faults: &mut Vec<Fault>) -> Result<Option<Topology>> {
    let (named, unreadable) = named(document);
    let types = document.intent.types().iter().map(|path| (path.written().clone(), Path::new(path.value())));
    let registry = match catalog::load(plugins, named, types::declarations(types)) {
        Ok(registry) => registry,
        Err(error) if faults.is_empty() && unreadable.is_empty() => return Err(error),
        Err(error) => {
            report::failure(&error);
            faults.extend(unreadable);
            return Ok(None);
        }
    };
    let planned = plan(document, &registry, &environment);
    if let Err(found) = &planned {
        // that an unreadable file is not among the plugins follows from that
        let is_known = |fault: &Fault| unreadable.iter().any(|other| is_at_one_place(fault, other));
        faults.extend(found.iter().filter(|fault| !is_known(fault)).cloned());
    }
    faults.extend(unreadable);
    Ok(planned.ok())
}

/// The fault of a pipeline that is read from standard input and whose source reads it too.
fn stdin_fault(document: &Document, topology: &Topology) -> Option<Fault> {
    let is_stdin = |node: &&Node| matches!(&node.component, Component::Connector { name } if name == "stdin");
    let node = topology.nodes.iter().filter(|node| node.role == Role::Source).find(is_stdin)?;
    let path: &[&str] = match document.intent {
        Intent::Explicit(_) => &["sources", node.id.as_str(), "type"],
        Intent::Discover(_) => &["from"],
    };
    let message = format!("`{}` reads standard input, which this file came from", node.id);
    Some(document.fault_at(path, message, Some("put the pipeline into a file, and name that".to_owned())))
}

fn is_at_one_place(a: &Fault, b: &Fault) -> bool {
    (a.line, a.column) == (b.line, b.column)
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

/// The plugins in the files that the document names, and a fault for each other file.
fn named(document: &Document) -> (Vec<Entry>, Vec<Fault>) {
    let mut named: Vec<Entry> = Vec::new();
    let mut faults: Vec<Fault> = Vec::new();
    for (path, file) in files(document) {
        if named.iter().any(|entry| entry.path() == Some(&*file)) {
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
    (named, faults)
}

/// The files that a document names, each with its place.
fn files(document: &Document) -> Vec<(Vec<String>, PathBuf)> {
    let mut references: Vec<(Vec<String>, Reference)> = Vec::new();
    let mut add = |place: &[&str], reference: Option<&Reference>| {
        references.extend(reference.map(|found| (place.iter().map(|&key| key.to_owned()).collect(), found.clone())));
    };
    match &document.intent {
        Intent::Explicit(intent) => {
            for spec in &intent.processors {
                add(&["processors", spec.id.as_str(), "plugin"], Some(&spec.plugin));
            }
            for spec in &intent.sources {
                add(&["sources", spec.id.as_str(), "plugin"], reference(&spec.component));
            }
            for spec in &intent.sinks {
                add(&["sinks", spec.id.as_str(), "plugin"], reference(&spec.component));
            }
        }
        Intent::Discover(intent) => {
            for (index, name) in intent.via.iter().enumerate() {
                add(&["via", &index.to_string()], name.parse().ok().as_ref());
            }
        }
    }
    if let Some(spec) = document.intent.dead_letter() {
        add(&["dead_letter", "plugin"], reference(&spec.component));
    }
    let file = |(place, reference)| match reference {
        Reference::File(file) => Some((place, file)),
        _ => None,
    };
    references.into_iter().filter_map(file).collect()
}

fn reference(component: &flowctl_intent::Component) -> Option<&Reference> {
    match component {
        flowctl_intent::Component::Plugin(reference) => Some(reference),
        _ => None,
    }
}

/// The environment, as pipeline files see it. A value that is not UTF-8 counts as unset.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
