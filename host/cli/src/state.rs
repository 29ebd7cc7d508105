//! Where a pipeline's state lies, and opening it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use flowctl_connectors::Pipeline;
use flowctl_store::{PipelineState, Standing, StateError};
use flowctl_types::NodeId;

use crate::paths;
use crate::report::{Hinted, hinted};

/// Where pipelines keep their state.
#[derive(Args)]
pub(crate) struct StateArgs {
    /// Where the pipeline keeps its state, in a folder of its name [default: $XDG_STATE_HOME/flowctl]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl StateArgs {
    /// Of the folder `dir`; as if nothing was said, where there is none.
    pub(crate) const fn at(dir: Option<PathBuf>) -> Self {
        Self { state_dir: dir }
    }

    /// The folder of all of it. It may not exist.
    pub(crate) fn base(&self) -> Result<PathBuf> {
        self.state_dir.clone().or_else(paths::state).ok_or_else(|| {
            Hinted::error("there is no place for the pipeline's state", "set HOME, or name a folder with --state-dir")
        })
    }

    /// The folder of the pipeline `name`. It may not exist.
    pub(crate) fn dir(&self, name: &NodeId) -> Result<PathBuf> {
        Ok(self.base()?.join(name.as_str()))
    }

    /// Opens the state of the pipeline `name`, which no other process may hold.
    pub(crate) fn open(&self, name: &NodeId) -> Result<PipelineState> {
        PipelineState::open(&self.dir(name)?, name).map_err(unusable)
    }
}

/// The names of the pipelines that have their state, or dead letters, in a folder. What else lies
/// there, such as `hosts` and `tenants`, is no pipeline's.
pub(crate) fn names_in(base: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(base).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    let folders = folders.filter(|entry| {
        let folder = entry.path();
        folder.join("state.db").is_file() || paths::dead_letters(&folder).is_file()
    });
    let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.parse::<NodeId>().is_ok()).collect()
}

/// How far the pipeline got.
pub(crate) fn standing(state: &PipelineState) -> Result<Option<Standing>> {
    state.standing().map_err(unusable)
}

/// What connectors may know of the pipeline `name`.
pub(crate) fn pipeline(name: &NodeId, state: &PipelineState) -> Result<Pipeline> {
    Ok(Pipeline {
        name: name.clone(),
        state_id: state.id().to_owned(),
        is_new: standing(state)?.is_none(),
        state_dir: state.dir().to_owned(),
        base_dir: None,
    })
}

/// What a checkpoint keeps, in words.
pub(crate) fn kept(standing: &Standing) -> String {
    let names = |nodes: Vec<&NodeId>| nodes.iter().map(|node| format!("`{node}`")).collect::<Vec<_>>().join(", ");
    let taken = jiff::Timestamp::from_second(standing.stored_at).map(|time| format!(", taken {time}"));
    let mut text = format!("checkpoint {}{}", standing.epoch, taken.unwrap_or_default());
    if !standing.sources.is_empty() {
        text.push_str(&format!(": where {} stood", names(standing.sources.iter().collect())));
    }
    if !standing.states.is_empty() {
        text.push_str(&format!(", what {} knew", names(standing.states.iter().map(|(node, _)| node).collect())));
    }
    text
}

/// A control plane's database that cannot be used, with what to do about it.
pub(crate) fn unusable_host(error: StateError) -> anyhow::Error {
    let hint = error.hint();
    hinted(hint, anyhow::Error::new(error).context("cannot use the control plane's database"))
}

/// A state that cannot be used, with what to do about it.
pub(crate) fn unusable(error: StateError) -> anyhow::Error {
    let hint = error.hint();
    let error = anyhow::Error::new(error);
    match hint {
        Some(hint) => error.context(Hinted { message: "cannot use the pipeline's state".to_owned(), hint, code: None }),
        None => error.context("cannot use the pipeline's state"),
    }
}
