//! The whole conversation, from nothing to the text of a pipeline that is valid.
//!
//! Invariant: what is given out was planned as `flowctl validate` plans it, and has no fault.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flowctl_intent::{Fault, Faults};
use flowctl_registry::Registry;
use flowctl_types::Code;

use super::chains::{Ends, names};
use super::place;
use super::plugins::Plugins;
use super::questions;
use super::said::Said;
use super::settings;
use super::talk::{Ask, Choice, Stop, Talk};
use super::writer::{Answers, Known, document};
use crate::paths::Existing;
use crate::report::Hinted;
use crate::status;

/// A pipeline that is ready to be written.
pub(super) struct Ready {
    /// Its file, behind those that it brings along.
    pub(super) files: Vec<(PathBuf, String)>,
    /// Variables that it takes from the environment, and which are not set.
    pub(super) unset: Vec<String>,
    /// What is to become of files that are there.
    pub(super) existing: Existing,
}

/// Where the pipeline goes.
pub(super) struct Wanted<'a> {
    /// Its file, where that was said.
    pub(super) file: Option<&'a Path>,
    /// Whether files that are there are replaced.
    pub(super) is_forced: bool,
}

/// Asks for what `said` leaves open.
///
/// # Errors
///
/// [`Stop::Again`] where the questions are to be asked from the start.
pub(super) fn run(talk: &mut Talk, said: &Said, wanted: &Wanted<'_>, plugins: &Plugins) -> Result<Ready, Stop> {
    let mut said = said.clone();
    if said.is_open() {
        if !talk.can_ask() {
            let hint = "say it with `--from TYPE` and other flags, or take a preset: `flowctl init --list-presets`";
            return Err(Hinted::usage("nothing says what is to be made, and nobody can be asked here", hint).into());
        }
        said = questions::start(talk, wanted.file)?.with(said);
    }
    // a name says which file it is, too; one that cannot be is refused before more is asked
    let of_name = said.name.as_ref().filter(|_| wanted.file.is_none()).map(questions::file_of);
    if let Some(file) = &of_name {
        place::check(Path::new(file))?;
    }
    let from = questions::event_type(talk, &mut said, plugins)?;
    let registry = plugins.registry(&said)?;
    let source = questions::source(talk, &said, &registry, &from)?;
    let sink = questions::sink(talk, &said, &registry)?;
    let ends = Ends { registry: &registry, from: &from, source, sink };
    let chain = questions::chain(talk, &said, &ends)?;
    let entries = [&[source][..], &chain, &[sink]].concat();
    let ids = flowctl_topology::node_ids(&entries);
    let nodes: Vec<Known<'_>> = entries.into_iter().zip(ids).map(|(entry, id)| Known { id, entry }).collect();
    let settings = settings::settings(talk, &said, &registry, &nodes)?;
    let name = questions::name(talk, &said, wanted.file, &ends)?;
    let file = match wanted.file.or(of_name.as_deref().map(Path::new)) {
        Some(file) => file.to_owned(),
        None => questions::file(talk, &name)?,
    };
    let answers = Answers {
        name,
        types: said.types.clone(),
        from: from.clone(),
        source: source.name.clone(),
        via: names(&chain),
        to: sink.name.clone(),
        settings,
    };
    let text = document(&answers, &nodes, &file);
    let unset = valid(talk, &file, &text, &registry)?;
    let brought = said.files.iter().map(|(name, text)| (place::folder(&file).join(name), (*text).to_owned()));
    let files: Vec<(PathBuf, String)> = brought.chain([(file.clone(), text)]).collect();
    if talk.has_asked() {
        confirm(talk, &files)?;
    }
    let existing = existing(talk, &files, wanted.is_forced)?;
    Ok(Ready { files, unset, existing })
}

/// Plans the pipeline; the variables that are not set. A fault is said, and asked about.
fn valid(talk: &mut Talk, file: &Path, text: &str, registry: &Registry) -> Result<Vec<String>, Stop> {
    let missed = RefCell::new(BTreeSet::new());
    let environment = |name: &str| {
        let value = std::env::var(name).ok();
        if value.is_none() {
            missed.borrow_mut().insert(name.to_owned());
        }
        value
    };
    let (document, mut faults) = flowctl_intent::read(&file.display().to_string(), text, &environment);
    if let Some(document) = &document {
        let planned = flowctl_topology::plan(document, registry, &environment);
        faults.extend(planned.err().into_iter().flatten());
    }
    // what is not set yet may be set when it runs
    let unset: Vec<String> =
        missed.take().into_iter().filter(|name| faults.iter().any(|fault| is_unset(fault, name))).collect();
    faults.retain(|fault| !unset.iter().any(|name| is_unset(fault, name)));
    let Some(faults) = Faults::collect(faults) else { return Ok(unset) };
    let messages: Vec<String> = faults.iter().map(|fault| fault.message.clone()).collect();
    let is_meant = |key: &str| {
        let (node, setting) = key.split_once('.').unwrap_or(("", key));
        messages.iter().any(|text| text.contains(&format!("`{setting}`")) && text.contains(node))
    };
    Err(talk.refuse(faults.into(), is_meant))
}

/// Whether it is the fault that the variable `name` is not set.
fn is_unset(fault: &Fault, name: &str) -> bool {
    fault.code == Code::VariableNotSet && fault.message.contains(&format!("`{name}`"))
}

/// Shows what is about to be written, and asks whether it is.
fn confirm(talk: &mut Talk, files: &[(PathBuf, String)]) -> Result<(), Stop> {
    let mut shown = String::new();
    for (path, text) in files {
        let title = format!("── {} ", path.display());
        shown.push_str(&format!("\n{title}{}\n{text}", "─".repeat(78_usize.saturating_sub(title.chars().count()))));
    }
    status::say(&format!("{shown}{}", "─".repeat(78)));
    let ask = Ask { key: "write", text: "Write it?", help: "", flag: "--non-interactive" };
    let (yes, no) = ("yes", "no, go back");
    let answer = talk.choose(&ask, &[Choice::new(yes, ""), Choice::new(no, "")], None)?;
    if answer == no {
        // past this question, to the one before it
        talk.back_to(|key| key == ask.key);
        talk.back_to(|_| false);
        return Err(Stop::Again);
    }
    Ok(())
}

/// What is to become of files that are there. Whoever was asked for the file can name another.
fn existing(talk: &mut Talk, files: &[(PathBuf, String)], is_forced: bool) -> Result<Existing, Stop> {
    let taken = place::taken(files);
    if is_forced || taken.is_empty() {
        return Ok(if is_forced { Existing::Replaced } else { Existing::Kept });
    }
    if !talk.can_ask() {
        // the pipeline is the last one
        let pipeline = files.last().map_or(Path::new(""), |(path, _)| path.as_path());
        return Err(place::refused(&taken, pipeline).into());
    }
    let names: Vec<String> = taken.iter().map(|path| format!("`{}`", path.display())).collect();
    let text = format!("{} is there already. Replace it?", names.join(" and "));
    let ask = Ask { key: "replace", text: &text, help: "", flag: "--force" };
    let was_asked = talk.was_asked(questions::FILE);
    let (no, yes) = (if was_asked { "no, name another file" } else { "no, leave it" }, "yes, replace it");
    if talk.choose(&ask, &[Choice::new(no, ""), Choice::new(yes, "")], None)? == yes {
        return Ok(Existing::Replaced);
    }
    if !was_asked {
        return Err(Stop::Left);
    }
    talk.back_to(|key| key == questions::FILE);
    Err(Stop::Again)
}
