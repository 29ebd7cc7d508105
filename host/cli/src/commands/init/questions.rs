//! What is asked about a pipeline: its ends, what lies between them, its name.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flowctl_registry::{Emits, Entry, Registry};
use flowctl_schema::{Role, Schema, Type};
use flowctl_types::{EventType, NodeId};

use super::chains::{Ends, names};
use super::place;
use super::plugins::Plugins;
use super::presets::{PRESETS, Preset};
use super::said::Said;
use super::talk::{Ask, Choice, Stop, Talk};
use crate::catalog;
use crate::output::first_sentence;
use crate::report::Hinted;

/// What stands for a pipeline that is no preset, and for an event type that is not listed.
const OWN: &str = "own";

/// The key of the question for the file.
pub(super) const FILE: &str = "file";

/// Where one begins: at a preset, which may go to `file`, or with nothing said.
pub(super) fn start(talk: &mut Talk, file: Option<&Path>) -> Result<Said, Stop> {
    let ask = Ask { key: "start", text: "What is to be made?", help: "", flag: "--from TYPE" };
    let own = Choice {
        value: OWN.to_owned(),
        label: "a pipeline of your own".to_owned(),
        about: "question by question".to_owned(),
    };
    let presets = PRESETS.iter().map(|preset| Choice::new(preset.name, preset.summary));
    let chosen = talk.choose(&ask, &std::iter::once(own).chain(presets).collect::<Vec<_>>(), None)?;
    Ok(Preset::find(&chosen).map(|preset| preset.said(file)).unwrap_or_default())
}

/// Which event type goes in. One of a file adds that file to what was said.
pub(super) fn event_type(talk: &mut Talk, said: &mut Said, plugins: &Plugins) -> Result<EventType, Stop> {
    let registry = plugins.registry(said)?;
    if let Some(event_type) = &said.from {
        registry.event_type(event_type).map_err(|error| {
            let hint = error.hint().filter(|hint| !hint.contains("types: FILE"));
            let hint = hint.unwrap_or_else(|| "`--types FILE` brings a type of your own, in WIT".to_owned());
            Stop::Failed(Hinted::error(error.to_string(), hint))
        })?;
        return Ok(event_type.clone());
    }
    let ask = Ask {
        key: "from",
        text: "Which events go in?",
        help: "Processors and sinks are found by the type of events.",
        flag: "--from TYPE",
    };
    let own = Choice {
        value: OWN.to_owned(),
        label: "a type of your own".to_owned(),
        about: "from a file of WIT text".to_owned(),
    };
    let mut options = types(&registry, said.types.is_empty());
    if said.types.is_empty() && talk.can_ask() {
        options.push(own);
    }
    let chosen = talk.choose(&ask, &options, None)?;
    if chosen == OWN {
        let ask = Ask {
            key: "types",
            text: "Which file says what an event is?",
            help: "WIT text, such as orders.wit; docs/pipelines.md has an example. The path starts where flowctl runs.",
            flag: "--types FILE",
        };
        let check = |path: &str| match path {
            "" => Err("name a file".to_owned()),
            path => {
                let said = Said { types: vec![path.to_owned()], ..Said::default() };
                plugins.registry(&said).map(drop).map_err(|error| format!("{error:#}"))
            }
        };
        said.types.push(talk.write(&ask, None, &check)?);
        let registry = plugins.registry(said)?;
        let ask = Ask { key: "own", text: "Which of its types goes in?", help: "", flag: "--from TYPE" };
        return parsed(&talk.choose(&ask, &types(&registry, false), None)?);
    }
    parsed(&chosen)
}

fn parsed(event_type: &str) -> Result<EventType, Stop> {
    Ok(event_type.parse().context("an event type has no name")?)
}

/// The event types to choose from: all that are known, or those alone that files declare.
fn types(registry: &Registry, is_all: bool) -> Vec<Choice> {
    let built_in =
        |schema: &&Schema| catalog::well_known().iter().any(|other| other.event_type() == schema.event_type());
    let of_plugins = |schema: &&Schema| {
        let mut entries = registry.all_entries();
        entries.any(|entry| entry.outputs().iter().chain(entry.inputs()).any(|o| o.event_type() == schema.event_type()))
    };
    let is_meant = |schema: &&Schema| is_all || !built_in(schema) && !of_plugins(schema);
    let choice = |schema: &Schema| {
        let emitters = registry.entries().filter(|entry| entry.role == Role::Source);
        let emitters: Vec<&str> =
            emitters.filter(|entry| entry.emits_type(schema.event_type())).map(|entry| entry.name.as_str()).collect();
        let about = match (emitters.is_empty(), schema.root()) {
            (false, _) => format!("from {}", emitters.join(", ")),
            (true, Type::Record(record)) => first_sentence(record.docs.as_deref().unwrap_or_default()),
            (true, _) => String::new(),
        };
        (emitters.is_empty(), Choice::new(schema.event_type().as_str(), about))
    };
    let mut choices: Vec<(bool, Choice)> = registry.event_types().filter(is_meant).map(choice).collect();
    if choices.is_empty() && !is_all {
        // a file may declare what is known anyway
        return types(registry, true);
    }
    // what comes by itself stands first
    choices.sort_by_key(|(is_configured, _)| *is_configured);
    choices.into_iter().map(|(_, choice)| choice).collect()
}

/// The source of these events.
pub(super) fn source<'r>(
    talk: &mut Talk,
    said: &Said,
    registry: &'r Registry,
    event_type: &EventType,
) -> Result<&'r Entry, Stop> {
    if let Some(name) = &said.source {
        return found(registry, Role::Source, name);
    }
    let is_source = |entry: &&Entry| entry.role == Role::Source && entry.is_available();
    let emits = |entry: &&Entry| entry.emits_type(event_type);
    let is_configured = |entry: &&Entry| matches!(entry.emits, Emits::Configured { .. });
    let sources = || registry.entries().filter(is_source);
    let mut emitters: Vec<&Entry> = sources().filter(emits).collect();
    let default = (emitters.len() == 1).then(|| emitters[0].name.clone());
    emitters.extend(sources().filter(is_configured));
    let ask = Ask { key: "source", text: "Which source do they come from?", help: "", flag: "--source SOURCE" };
    let chosen = talk.choose(&ask, &choices(&emitters), default.as_deref())?;
    found(registry, Role::Source, &chosen)
}

/// The sink.
pub(super) fn sink<'r>(talk: &mut Talk, said: &Said, registry: &'r Registry) -> Result<&'r Entry, Stop> {
    if let Some(name) = &said.to {
        return found(registry, Role::Sink, name);
    }
    let sinks = registry.entries().filter(|entry| entry.role == Role::Sink && entry.is_available());
    let ask = Ask { key: "to", text: "Where do they go?", help: "", flag: "--to SINK" };
    let chosen = talk.choose(&ask, &choices(&sinks.collect::<Vec<_>>()), None)?;
    found(registry, Role::Sink, &chosen)
}

fn choices(entries: &[&Entry]) -> Vec<Choice> {
    let about = |entry: &Entry| first_sentence(entry.description().unwrap_or_default());
    entries.iter().map(|entry| Choice::new(&*entry.name, about(entry))).collect()
}

fn found<'r>(registry: &'r Registry, role: Role, name: &str) -> Result<&'r Entry, Stop> {
    registry.find(role, name).map_err(|error| {
        let hint = error.hint().unwrap_or_else(|| "`flowctl processors list` shows what there is".to_owned());
        Stop::Failed(Hinted::error(error.to_string(), hint))
    })
}

/// The processors between the ends.
pub(super) fn chain<'r>(talk: &mut Talk, said: &Said, ends: &Ends<'r>) -> Result<Vec<&'r Entry>, Stop> {
    if let Some(via) = &said.via {
        return Ok(ends.one(via)?);
    }
    if !talk.can_ask() {
        return Ok(ends.one(&[])?);
    }
    let chains = ends.all().map_err(|error| talk.refuse(error, |key| key == "to"))?;
    let choice = |chain: &Vec<&Entry>| {
        let emitted = chain.last().map_or_else(
            || ends.from.to_string(),
            |last| last.outputs().iter().map(|schema| schema.event_type().as_str()).collect::<Vec<_>>().join(", "),
        );
        let names = names(chain);
        let label = if names.is_empty() { "nothing".to_owned() } else { names.join(" → ") };
        Choice { value: names.join(" "), label, about: format!("{emitted} arrives") }
    };
    let options: Vec<Choice> = chains.iter().map(choice).collect();
    let ask = Ask {
        key: "via",
        text: "What do they pass through?",
        help: "These are the chains of processors that fit.",
        flag: "--via PROCESSOR",
    };
    let chosen = talk.choose(&ask, &options, None)?;
    let at = options.iter().position(|option| option.value == chosen);
    Ok(at.map(|at| chains[at].clone()).unwrap_or_default())
}

/// The pipeline's name.
pub(super) fn name(talk: &mut Talk, said: &Said, file: Option<&Path>, ends: &Ends<'_>) -> Result<NodeId, Stop> {
    if let Some(name) = &said.name {
        return Ok(name.clone());
    }
    let (namespace, package) = ends.from.package();
    let events = package.rsplit('-').next().unwrap_or(namespace);
    let of_file = file.and_then(place::name);
    let default = of_file.map_or_else(|| format!("{events}-to-{}", ends.sink.name), |name| name.to_string());
    let check = |name: &str| name.parse::<NodeId>().map(drop).map_err(|error| error.to_string());
    let help = "Its checkpoints are kept under this name.";
    let ask = Ask { key: "name", text: "What is the pipeline called?", help, flag: "--name NAME" };
    let chosen = talk.write(&ask, Some(&default), &check)?;
    Ok(chosen.parse().context("a pipeline has no name")?)
}

/// The file that it is written to.
pub(super) fn file(talk: &mut Talk, name: &NodeId) -> Result<PathBuf, Stop> {
    let check = |path: &str| place::check(Path::new(path)).map_err(|error| format!("{error:#}"));
    let ask = Ask { key: FILE, text: "Which file is it written to?", help: "", flag: "FILE" };
    Ok(talk.write(&ask, Some(&file_of(name)), &check)?.into())
}

/// The file of a pipeline where none was said.
pub(super) fn file_of(name: &NodeId) -> String {
    format!("{name}.yaml")
}
