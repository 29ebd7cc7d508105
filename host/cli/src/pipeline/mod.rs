//! From a pipeline file to a planned topology, as every command that takes a file does.

pub(crate) mod choice;
pub(crate) mod lockfile;
pub(crate) mod supply;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use flowctl_control_plane::Redaction;
use flowctl_intent::{Document, Fault, Faults, Intent};
use flowctl_schema::Role;
use flowctl_topology::{Component, Node, Topology, plan, tie};
use flowctl_types::{Code, NodeId, Tie, did_you_mean};

use self::choice::Undecided;
use self::lockfile::LockFile;
use self::supply::{Locking, Supply};
use crate::catalog::types;
use crate::report::{self, Hinted, hinted};
use crate::{output, status};

/// Largest pipeline file that is read, in bytes; the parser's own bound is below it.
pub(crate) const MAX_FILE_BYTES: u64 = 2 << 20;

/// Files whose names are compared with that of one that is not there.
const MAX_COMPARED: usize = 1_000;

/// A pipeline file, and the topology that it becomes here.
pub(crate) struct Planned {
    /// The file.
    pub(crate) document: Document,
    /// The graph of nodes.
    pub(crate) topology: Topology,
    /// What the lock file says; none where there is none.
    pub(crate) locked: Option<LockFile>,
    /// What it would say of this topology.
    pub(crate) lock: LockFile,
    /// What the file took from the environment; nothing where whoever plans records that.
    pub(crate) redaction: Redaction,
}

/// An environment, and what was looked up in it.
pub(crate) struct Recorder<'a> {
    environment: Environment<'a>,
    seen: RefCell<BTreeMap<String, String>>,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(environment: Environment<'a>) -> Self {
        Self { environment, seen: RefCell::default() }
    }

    /// Looks a variable up.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let value = (self.environment)(name)?;
        self.seen.borrow_mut().insert(name.to_owned(), value.clone());
        Some(value)
    }

    /// Hides what was found so far.
    pub(crate) fn redaction(&self) -> Redaction {
        Redaction::new(self.seen.borrow().clone())
    }
}

impl Planned {
    /// Brings the lock file up to date, and says what changed. One that is strict must be.
    ///
    /// # Errors
    ///
    /// When a strict lock has other plugins.
    pub(crate) fn keep_lock(&self, file: &Path, locking: Locking, is_quiet: bool) -> Result<()> {
        let before = self.locked.clone().unwrap_or_default();
        let differences = before.differences(&self.lock);
        let Some(path) = lockfile::path(file).filter(|_| !differences.is_empty()) else { return Ok(()) };
        if locking == Locking::Strict {
            let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
            return Err(Hinted::coded(
                Code::LockMismatch,
                format!("the plugins are not those of `{}`: {}", path.display(), texts.join("; ")),
                format!("`flowctl lock {}` takes these; without `--locked` they run", output::shell_word(file)),
            ));
        }
        match self.lock.write(&path) {
            Ok(()) if !is_quiet => differences.iter().for_each(|difference| status::say(&difference.line())),
            Ok(()) => {}
            // a pipeline runs from a folder that cannot be written to, too
            Err(error) => status::warn(&format!("{error:#}; what runs is not locked")),
        }
        Ok(())
    }
}

/// What `${NAME}` stands for in a pipeline file.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A pipeline file, as it was read or submitted.
pub(crate) struct Submitted<'a> {
    /// What faults call it.
    pub(crate) name: &'a str,
    /// Its text.
    pub(crate) text: &'a str,
    /// What its lock file says; none where there is none.
    pub(crate) locked: Option<LockFile>,
    /// The environment that it sees.
    pub(crate) environment: Environment<'a>,
}

/// Reads and plans the pipeline in `file`; `-` is stdin. Nothing is started.
///
/// # Errors
///
/// [`Faults`] with every fault of the file; or file, plugins or lock file cannot be read, or
/// the plugins are others than a strict lock has.
pub(crate) fn load(file: &Path, supply: &Supply<'_>) -> Result<Planned> {
    load_text(file, &read(file)?, supply)
}

/// As [`load`], of a file that was read already.
///
/// # Errors
///
/// As [`load`].
pub(crate) fn load_text(file: &Path, text: &str, supply: &Supply<'_>) -> Result<Planned> {
    let locked = lockfile::path(file).as_deref().map(LockFile::read).transpose()?.flatten();
    if supply.locking == Locking::Strict && locked.is_none() {
        return Err(supply::unlocked(file));
    }
    let name = file.to_string_lossy();
    let environment = Recorder::new(&environment);
    let mut planned =
        plan_submitted(Submitted { name: &name, text, locked, environment: &|name| environment.get(name) }, supply)?;
    planned.redaction = environment.redaction();
    Ok(planned)
}

/// Plans a pipeline. Nothing is started.
///
/// # Errors
///
/// [`Faults`] with every fault of the file; or plugins cannot be read, or they are others
/// than a strict lock has. Where nothing is wrong but that chains are equally short, the
/// faults are those of an [`Undecided`] pipeline.
pub(crate) fn plan_submitted(submitted: Submitted<'_>, supply: &Supply<'_>) -> Result<Planned> {
    let Submitted { name, text, locked, environment } = submitted;
    let (document, mut faults) = flowctl_intent::read(name, text, environment);
    let outcome = match &document {
        Some(document) => find_faults(document, supply, (locked.as_ref(), environment), &mut faults)?,
        None => Outcome::Faulty(None),
    };
    if let (Some(document), Outcome::Planned(topology, _), "-") = (&document, &outcome, name) {
        faults.extend(stdin_fault(document, topology));
    }
    match (document, outcome, Faults::collect(faults)) {
        (Some(document), Outcome::Planned(topology, lock), None) => {
            Ok(Planned { document, topology: *topology, locked, lock, redaction: Redaction::default() })
        }
        (Some(document), Outcome::Faulty(Some(tie)), Some(faults)) if faults.iter().len() == 1 => {
            Err(anyhow::Error::new(faults).context(Undecided { document, tie }))
        }
        (_, _, Some(faults)) => Err(faults.into()),
        (_, _, None) => Err(anyhow!("`{name}` cannot be planned")),
    }
}

/// What came of planning.
enum Outcome {
    Planned(Box<Topology>, LockFile),
    /// There is a fault more at least; here is the tie that is behind it, if one is.
    Faulty(Option<Tie>),
}

/// Plans what of the document can be read.
fn find_faults(
    document: &Document,
    supply: &Supply<'_>,
    (locked, environment): (Option<&LockFile>, Environment<'_>),
    faults: &mut Vec<Fault>,
) -> Result<Outcome> {
    let paths: Vec<(String, PathBuf)> = (document.intent.types().iter())
        .map(|path| (path.written().clone(), supply.path(Path::new(path.value()))))
        .collect();
    let types = paths.iter().map(|(written, path)| (written.clone(), path.as_path()));
    let nothing = LockFile::default();
    let found = match supply.find(document, locked.unwrap_or(&nothing), types::declarations(types)) {
        Ok(found) => found,
        Err(error) if faults.is_empty() => return Err(error),
        Err(error) => {
            report::failure(&error);
            return Ok(Outcome::Faulty(None));
        }
    };
    let planned = plan(document, &found.registry, environment);
    if let Err(others) = &planned {
        // that what cannot be had is not among the plugins follows from that
        let is_known = |fault: &Fault| found.faults.iter().any(|other| is_at_one_place(fault, other));
        faults.extend(others.iter().filter(|fault| !is_known(fault)).cloned());
    }
    faults.extend(found.faults.iter().cloned());
    Ok(match (planned, &document.intent) {
        (Ok(topology), _) => {
            let lock = found.lock(document, &topology);
            Outcome::Planned(Box::new(topology), lock)
        }
        (Err(_), Intent::Discover(intent)) => Outcome::Faulty(tie(intent, &found.registry)),
        (Err(_), Intent::Explicit(_)) => Outcome::Faulty(None),
    })
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
    Some(document.fault_at(
        path,
        Code::StdinTwice,
        message,
        Some("put the pipeline into a file, and name that".to_owned()),
    ))
}

fn is_at_one_place(a: &Fault, b: &Fault) -> bool {
    (a.line, a.column) == (b.line, b.column)
}

/// The error of a connector that works with a terminal, at a control plane.
pub(crate) fn away(name: &str) -> anyhow::Error {
    Hinted::error(
        format!("`{name}` of the control plane is not that of this terminal"),
        "run it here with `--control-plane none`, or name another connector",
    )
}

/// The connector of an intent that works with a terminal, such as `stdout`: it belongs to
/// the process that runs the pipeline.
pub(crate) fn terminal_use(intent: &Intent) -> Option<&str> {
    let is_terminal = |name: &&str| matches!(*name, "stdin" | "stdout");
    fn of(component: &flowctl_intent::Component) -> Option<&str> {
        match component {
            flowctl_intent::Component::Type(name) => Some(name),
            flowctl_intent::Component::Plugin(_) | flowctl_intent::Component::Command { .. } => None,
        }
    }
    let mut names: Vec<&str> = match intent {
        Intent::Discover(intent) => {
            let sources = intent.from.iter().filter_map(|end| end.source.as_deref());
            let configured = intent.config.keys().map(NodeId::as_str);
            intent.to.iter().map(String::as_str).chain(sources).chain(configured).collect()
        }
        Intent::Explicit(intent) => {
            let sources = intent.sources.iter().filter_map(|spec| of(&spec.component));
            sources.chain(intent.sinks.iter().filter_map(|spec| of(&spec.component))).collect()
        }
    };
    names.extend(intent.dead_letter().and_then(|spec| of(&spec.component)));
    names.into_iter().find(is_terminal)
}

/// The text of a pipeline file; `-` is stdin.
///
/// # Errors
///
/// When it cannot be read, or is too long.
pub(crate) fn read(file: &Path) -> Result<String> {
    let what = || format!("cannot read pipeline `{}`", file.display());
    let mut text = String::new();
    let n_bytes = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_FILE_BYTES).read_to_string(&mut text).with_context(what)?
    } else {
        let open = std::fs::File::open(file).map_err(|error| {
            let near = (error.kind() == ErrorKind::NotFound).then(|| near_file(file)).flatten();
            hinted(near, anyhow::Error::new(error).context(what()))
        })?;
        open.take(MAX_FILE_BYTES).read_to_string(&mut text).with_context(what)?
    };
    if n_bytes as u64 == MAX_FILE_BYTES {
        return Err(Hinted::error(what(), "a pipeline file has at most 1 MiB"));
    }
    Ok(text)
}

/// The files beside one that is not there whose names are near.
pub(crate) fn near_file(file: &Path) -> Option<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = std::fs::read_dir(folder).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let names: Vec<String> = names.take(MAX_COMPARED).collect();
    let named = file.file_name()?.to_str()?;
    // a link that leads nowhere is there itself
    did_you_mean(named, names.iter().map(String::as_str).filter(|name| *name != named))
}

/// The environment, as pipeline files see it. A value that is not UTF-8 counts as unset.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
