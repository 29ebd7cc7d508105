//! `flowctl run FILE`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use flowctl_intent::Intent;
use flowctl_runtime::{Options, Orphans, Status, Workshop};
use flowctl_store::PipelineState;
use flowctl_topology::render;
use flowctl_types::NodeId;

use crate::args::PluginArgs;
use crate::artifacts::Artifacts;
use crate::artifacts::args::{IndexArgs, RegistryArgs};
use crate::pipeline::supply::{Locking, Reach, Supply};
use crate::report::Hinted;
use crate::session::{self, LocalWorkshop, Voice};
use crate::state::{self, StateArgs};
use crate::{paths, pipeline};

/// Run a pipeline until its sources end, or until it is told to stop
///
/// Ctrl-C drains: the sources stop, what is in flight reaches the sinks. A second Ctrl-C stops at once. The next run
/// of the pipeline goes on where this one ended, also when it was killed.
#[derive(Args)]
pub(crate) struct Run {
    /// The pipeline; `-` is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    plugins: PluginArgs,
    /// Run only what the pipeline's lock file says
    #[arg(long)]
    locked: bool,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    index: IndexArgs,
    /// Write what the run did to this file, as one JSON object
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
    /// Start over from the beginning of the sources, without what the pipeline had reached
    #[arg(long)]
    fresh: bool,
    /// Go on although the last checkpoint keeps something of nodes that the pipeline no longer has; that is lost
    #[arg(long, conflicts_with = "fresh")]
    discard_state: bool,
    /// Show no live figures and no status, only faults
    #[arg(short, long)]
    quiet: bool,
}

impl Run {
    /// Plans the pipeline and runs it to its end.
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.file == Path::new("-") && self.registry.reads_stdin() {
            return Err(Hinted::error(
                "standard input is to be both the pipeline and a secret",
                "put the pipeline into a file, and name that",
            ));
        }
        let artifacts = Artifacts::new(self.registry)?.with_indexes(self.index);
        let supply = Supply {
            folders: &self.plugins.plugins,
            artifacts: &artifacts,
            reach: Reach::Network,
            locking: if self.locked { Locking::Strict } else { Locking::Prefer },
            is_quiet: self.quiet,
            base_dir: None,
            live: &[],
        };
        let planned = pipeline::load(&self.file, &supply)?;
        planned.keep_lock(&self.file, supply.locking, self.quiet)?;
        let (name, topology) = (&planned.document.name, &planned.topology);
        session::check_available(topology)?;
        if let Some(path) = &self.summary {
            check_writable(path)?;
        }
        let voice = if self.quiet { Voice::Quiet } else { Voice::Normal };
        let state = open_state(&self.state, self.fresh, name, voice)?;
        if let Intent::Discover(_) = planned.document.intent {
            voice.say(&format!("Discovered chain: {}", render::line(topology)));
        }
        voice.say("Starting topology...");
        let workshop = Arc::new(LocalWorkshop::start(state::pipeline(name, &state)?)?);
        let options = Options {
            store: Arc::new(state.checkpoints(topology.settings.checkpoints_kept)),
            orphans: if self.discard_state { Orphans::Discard } else { Orphans::Refuse },
            ..Options::default()
        };
        let made = (Arc::clone(&workshop) as Arc<dyn Workshop>, &*workshop);
        let summary = session::run(topology, made, options, voice, std::future::pending())?;
        if let Some(path) = &self.summary {
            let text = serde_json::to_string_pretty(&summary).context("cannot write JSON")?;
            std::fs::write(path, text + "\n").with_context(|| unwritable(path))?;
        }
        session::say_end(name, &summary, voice);
        if summary.rejected > 0 && topology.dead_letter.is_none() {
            voice.say(&format!("rejected events: {}", paths::dead_letters(state.dir()).display()));
        }
        Ok(if summary.status == Status::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// Opens the pipeline's state, and says from where it goes on.
fn open_state(args: &StateArgs, is_fresh: bool, name: &NodeId, voice: Voice) -> Result<PipelineState> {
    let mut state = args.open(name)?;
    match state::standing(&state)? {
        Some(standing) if is_fresh => {
            voice.say(&format!("Starting over, without {}", state::kept(&standing)));
            voice.say("  what sinks hold stays there, and comes once more");
        }
        Some(standing) => voice.say(&format!("Going on from {}", state::kept(&standing))),
        None => {}
    }
    if is_fresh {
        state.start_over().map_err(state::unusable)?;
    }
    Ok(state)
}

/// Finds a wrong path before anything runs; the file is written when there is something
/// to say.
fn check_writable(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_folder = std::fs::metadata(folder).with_context(|| unwritable(path))?.is_dir();
    if path.is_dir() || !is_folder {
        return Err(Hinted::error(unwritable(path), "name a file in an existing folder"));
    }
    Ok(())
}

fn unwritable(path: &Path) -> String {
    format!("cannot write the summary to `{}`", path.display())
}
