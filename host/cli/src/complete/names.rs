//! Where names are known: the control plane, the folder of state, folders of plugins, the
//! local store, the settings, and this program.
//!
//! Invariant: each place is asked on a thread of its own, which may fail or never end;
//! only the time that all of them get together is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use flowctl_client::{admin, status_word};
use flowctl_registry::Entry;
use flowctl_schema::Role;
use flowctl_store::CredentialRecord;
use flowctl_types::{Code, NodeId};

use super::line::Line;
use crate::artifacts::Artifacts;
use crate::artifacts::args::RegistryArgs;
use crate::catalog;
use crate::commands::dead_letters::letters::{Letter, Letters};
use crate::commands::init::presets::PRESETS;
use crate::pipeline::MAX_FILE_BYTES;
use crate::{paths, plane, state};

/// Names that wait to be taken.
const QUEUE: usize = 64;
/// Runs that are offered.
const MAX_RUNS: usize = 50;
/// Letters that are looked at.
const MAX_LETTERS: usize = 500;

/// Names of one kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Pipelines,
    /// Also those that only have state here.
    PipelinesWithState,
    /// Pipelines, and ids of late runs.
    Runs,
    /// Of the pipeline that is named, else of all that run.
    Nodes,
    EventTypes,
    Sources,
    Processors,
    Sinks,
    Components,
    /// References of the local store.
    Stored,
    /// Those of the settings.
    Indexes,
    /// Ids of events that a pipeline set aside.
    Letters,
    Revisions,
    /// Golden cases of a crate.
    Cases,
    /// Codes of errors.
    Codes,
    /// Pipelines that are ready made.
    Presets,
    Tenants,
    Tokens,
}

/// Takes names, each with a few words on it.
type Found = SyncSender<(String, String)>;

/// Looks in one place.
type Place = fn(&Line, &Found) -> Result<()>;

/// The names of a kind that are found within `limit`, by alphabet.
pub(super) fn within(limit: Duration, names: Names, line: &Line) -> BTreeMap<String, String> {
    let deadline = Instant::now() + limit;
    let (found, taken) = sync_channel(QUEUE);
    for place in names.places() {
        let (line, found, place) = (line.clone(), found.clone(), *place);
        // a place that fails has no names, and one that is late has none in time
        std::thread::spawn(move || place(&line, &found));
    }
    drop(found);
    let mut all = BTreeMap::new();
    while let Ok((name, words)) = taken.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        all.insert(name, words);
    }
    all
}

impl Names {
    const fn places(self) -> &'static [Place] {
        match self {
            Self::Pipelines => &[pipelines],
            Self::PipelinesWithState => &[pipelines, pipelines_with_state],
            Self::Runs => &[pipelines, runs],
            Self::Nodes => &[nodes, nodes_of_letters],
            Self::EventTypes => &[known_types, types_of_plugins, types_of_components],
            Self::Sources => &[
                |_, found| connectors(found, |role| role == Role::Source),
                |line, found| plugins(line, found, |role| role == Role::Source),
                |line, found| components(line, found, "source"),
            ],
            Self::Processors => &[
                |line, found| plugins(line, found, |role| role == Role::Processor),
                |line, found| components(line, found, "processor"),
            ],
            // a chain may end at an event type, too
            Self::Sinks => &[
                |_, found| connectors(found, |role| role == Role::Sink),
                |line, found| plugins(line, found, |role| role == Role::Sink),
                |line, found| components(line, found, "sink"),
                known_types,
                types_of_plugins,
            ],
            Self::Components => &[
                |_, found| connectors(found, |_| true),
                |line, found| plugins(line, found, |_| true),
                |line, found| components(line, found, ""),
            ],
            Self::Stored => &[stored],
            Self::Indexes => &[indexes],
            Self::Letters => &[letters],
            Self::Revisions => &[revisions],
            Self::Cases => &[cases],
            Self::Codes => &[codes],
            Self::Presets => &[presets],
            Self::Tenants => &[own_tenant, tenants],
            Self::Tokens => &[tokens],
        }
    }
}

fn say(found: &Found, name: impl Into<String>, words: impl Into<String>) -> Result<()> {
    // who asked may have gone
    found.send((name.into(), words.into())).context("nobody waits for more")
}

fn pipelines(line: &Line, found: &Found) -> Result<()> {
    plane::block_on(async {
        let client = line.plane().connect().await?;
        for pipeline in client.pipelines(admin::ListPipelinesRequest::default()).await? {
            let status = pipeline.last_run.as_ref().map_or("never run", |run| status_word(run.status()));
            say(found, pipeline.name, status)?;
        }
        Ok(())
    })
}

fn pipelines_with_state(line: &Line, found: &Found) -> Result<()> {
    state::names_in(&line.state().base()?).into_iter().try_for_each(|name| say(found, name, "has state here"))
}

fn runs(line: &Line, found: &Found) -> Result<()> {
    plane::block_on(async {
        let client = line.plane().connect().await?;
        for run in client.runs(admin::ListRunsRequest::default(), MAX_RUNS).await? {
            let words = format!("{}, {}", run.pipeline, status_word(run.status()));
            say(found, run.id, words)?;
        }
        Ok(())
    })
}

fn nodes(line: &Line, found: &Found) -> Result<()> {
    plane::block_on(async {
        let client = line.plane().connect().await?;
        if let Some(run) = line.value("run")
            && let Ok(run) = client.run(&run).await
        {
            return run.nodes.into_iter().try_for_each(|node| say(found, node.node, node.role));
        }
        let named = line.value("pipeline").or_else(|| line.value("run")).or_else(|| owner_of_letters(line));
        let pipelines = match named {
            Some(name) => vec![name],
            None => {
                let active = admin::ListPipelinesRequest { is_active: true, ..Default::default() };
                client.pipelines(active).await?.into_iter().map(|pipeline| pipeline.name).collect()
            }
        };
        for pipeline in pipelines {
            let topology: serde_json::Value = serde_json::from_str(&client.topology(&pipeline).await?.json)?;
            for node in topology["nodes"].as_array().into_iter().flatten() {
                let text = |key: &str| node[key].as_str().unwrap_or_default();
                say(found, text("id"), text("role"))?;
            }
        }
        Ok(())
    })
}

fn revisions(line: &Line, found: &Found) -> Result<()> {
    plane::block_on(async {
        let client = line.plane().connect().await?;
        let active = admin::ListPipelinesRequest { is_active: true, ..Default::default() };
        let names = match line.value("pipeline") {
            Some(name) => vec![name],
            None => client.pipelines(active).await?.into_iter().map(|pipeline| pipeline.name).collect(),
        };
        for name in names {
            for revision in client.revisions(&name).await? {
                say(found, revision.number.to_string(), revision.line)?;
            }
        }
        Ok(())
    })
}

/// Components of other processes; of any role where that is empty.
fn components(line: &Line, found: &Found, role: &str) -> Result<()> {
    line.plane()
        .live()?
        .into_iter()
        .filter(|live| role.is_empty() || live.role.to_string() == role)
        .try_for_each(|live| say(found, live.name, live.description))
}

fn types_of_components(line: &Line, found: &Found) -> Result<()> {
    for live in line.plane().live()? {
        live.input_types.iter().chain(&live.output_types).try_for_each(|name| say(found, name.as_str(), ""))?;
    }
    Ok(())
}

fn known_types(_: &Line, found: &Found) -> Result<()> {
    catalog::well_known()
        .iter()
        .try_for_each(|schema| say(found, schema.event_type().as_str(), first_line(schema.docs())))
}

fn connectors(found: &Found, is_wanted: fn(Role) -> bool) -> Result<()> {
    let all = flowctl_connectors::catalogue();
    all.iter().filter(|entry| is_wanted(entry.role)).try_for_each(|entry| entry_of(found, entry))
}

fn plugins(line: &Line, found: &Found, is_wanted: fn(Role) -> bool) -> Result<()> {
    each_plugin(line, &mut |entry| if is_wanted(entry.role) { entry_of(found, entry) } else { Ok(()) })
}

fn types_of_plugins(line: &Line, found: &Found) -> Result<()> {
    each_plugin(line, &mut |entry| {
        let contract = entry.contract().context("it is a plugin")?;
        let mut types = contract.inputs.iter().chain(&contract.outputs);
        types.try_for_each(|schema| say(found, schema.event_type().as_str(), first_line(schema.docs())))
    })
}

/// Each plugin that is known here, one after the other, as reading them takes its time.
fn each_plugin(line: &Line, look: &mut dyn FnMut(&Entry) -> Result<()>) -> Result<()> {
    let files = line.plugins().into_iter().flat_map(|folder| components_in(&folder));
    for path in files.collect::<BTreeSet<PathBuf>>() {
        if let Ok(entry) = catalog::plugin(&path) {
            look(&entry)?;
        }
    }
    let artifacts = Artifacts::new(RegistryArgs::default())?;
    catalog::stored(&artifacts)?.iter().try_for_each(|(entry, _)| look(entry))
}

/// The files of plugins in a folder, or the file itself.
fn components_in(folder: &Path) -> Vec<PathBuf> {
    let is_plugin = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "wasm") && path.is_file();
    match std::fs::read_dir(folder) {
        Ok(files) => files.flatten().map(|file| file.path()).filter(is_plugin).collect(),
        Err(_) => Some(folder.to_owned()).filter(is_plugin).into_iter().collect(),
    }
}

fn entry_of(found: &Found, entry: &Entry) -> Result<()> {
    say(found, entry.name.as_str(), first_line(entry.description()))
}

fn first_line(text: Option<&str>) -> &str {
    text.unwrap_or_default().lines().next().unwrap_or_default()
}

fn stored(_: &Line, found: &Found) -> Result<()> {
    let artifacts = Artifacts::new(RegistryArgs::default())?;
    let Some(store) = artifacts.existing_store()? else { return Ok(()) };
    store.list()?.iter().try_for_each(|held| say(found, held.reference.to_string(), "in the local store"))
}

fn indexes(_: &Line, found: &Found) -> Result<()> {
    let artifacts = Artifacts::new(RegistryArgs::default())?;
    artifacts.index_refs()?.iter().try_for_each(|index| say(found, index.to_string(), "of the settings"))
}

fn letters(line: &Line, found: &Found) -> Result<()> {
    each_letter(line, &mut |letter| say(found, letter.event_id, first_line(Some(&letter.reason))))
}

fn nodes_of_letters(line: &Line, found: &Found) -> Result<()> {
    each_letter(line, &mut |letter| say(found, letter.node.as_str(), "has dead letters"))
}

/// The pipeline whose letters are meant: by its name, or by its file.
fn owner_of_letters(line: &Line) -> Option<String> {
    let named = line.value("letters_of")?;
    let Ok(text) = paths::read_text(Path::new(&named), MAX_FILE_BYTES) else { return Some(named) };
    let environment = |name: &str| std::env::var(name).ok();
    Some(flowctl_intent::read(&named, &text, &environment).0?.name.to_string())
}

/// The first letters of the pipeline that is named, where they lie with its state.
fn each_letter(line: &Line, look: &mut dyn FnMut(Letter) -> Result<()>) -> Result<()> {
    let name = owner_of_letters(line).context("no pipeline is named")?;
    let dir = line.state().dir(&name.parse::<NodeId>()?)?;
    let mut letters = Letters::open(&paths::dead_letters(&dir), 0)?.context("there are no letters")?;
    let mut n_letters = 0;
    while let Some((letter, _)) = letters.next()?.filter(|_| n_letters < MAX_LETTERS) {
        look(letter)?;
        n_letters += 1;
    }
    Ok(())
}

fn cases(line: &Line, found: &Found) -> Result<()> {
    let path = line.value("path").unwrap_or_else(|| ".".to_owned());
    let folder =
        path.strip_suffix("Cargo.toml").map_or(path.as_str(), |folder| if folder.is_empty() { "." } else { folder });
    for case in std::fs::read_dir(Path::new(folder).join("cases"))?.flatten().filter(|case| case.path().is_dir()) {
        say(found, case.file_name().to_string_lossy(), "")?;
    }
    Ok(())
}

fn codes(_: &Line, found: &Found) -> Result<()> {
    Code::ALL.iter().try_for_each(|code| say(found, code.name(), code.summary()))
}

fn presets(_: &Line, found: &Found) -> Result<()> {
    PRESETS.iter().try_for_each(|preset| say(found, preset.name, preset.summary))
}

fn own_tenant(line: &Line, found: &Found) -> Result<()> {
    plane::block_on(async {
        let host = line.plane().connect().await?.host().await?;
        say(found, host.tenant, "")
    })
}

fn tenants(line: &Line, found: &Found) -> Result<()> {
    credentials(line)?.into_iter().try_for_each(|credential| say(found, credential.tenant, ""))
}

fn tokens(line: &Line, found: &Found) -> Result<()> {
    credentials(line)?.into_iter().try_for_each(|credential| {
        let words = format!("{} of {}  {}", credential.role, credential.tenant, credential.description);
        say(found, credential.id, words.trim_end())
    })
}

/// What opens the control plane here.
fn credentials(line: &Line) -> Result<Vec<CredentialRecord>> {
    Ok(flowctl_store::credentials(&line.state().base()?)?)
}
