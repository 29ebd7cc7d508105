//! `flowctl run FILE`.

use std::convert::Infallible;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use flowctl_client::Client;
use flowctl_intent::Intent;
use flowctl_runtime::{Options, Orphans, Status, Summary, Workshop};
use flowctl_store::PipelineState;
use flowctl_topology::render;
use flowctl_types::{Code, NodeId};
use tokio::runtime::Runtime;

use super::processors::workbench::Workbench;
use super::topology::follow;
use crate::args::PluginArgs;
use crate::artifacts::Artifacts;
use crate::artifacts::args::{IndexArgs, RegistryArgs};
use crate::ask::{self, Asker};
use crate::help::examples;
use crate::pipeline::Planned;
use crate::pipeline::choice::{self, Chosen};
use crate::pipeline::supply::{Locking, Reach, Supply};
use crate::plane::attached::{self, Submission};
use crate::plane::children::Running;
use crate::plane::embedded::Embedded;
use crate::plane::peers::Peers;
use crate::plane::planner::HostPlanner;
use crate::plane::{self, Place};
use crate::report::{self, Hinted};
use crate::session::{self, LocalWorkshop, Signals, Voice};
use crate::state::{self, StateArgs};
use crate::{paths, pipeline, status, traces};

/// Run a pipeline until its sources end, or until it is told to stop
///
/// Ctrl-C drains: the sources stop, what is in flight reaches the sinks. A second Ctrl-C stops at once. The next run
/// of the pipeline goes on where this one ended, also when it was killed.
///
/// Where several chains of processors are equally short, whoever sits at the terminal is asked which one is meant, and
/// whether that is to stand in the file; `--quiet` and pipes are not asked, and get the list as an error.
///
/// Where a control plane runs (`flowctl serve`), the pipeline is submitted to it and followed; it goes on when this
/// process is killed, and Ctrl-C stops it. `--control-plane none` runs it here all the same.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl run transfers.yaml", "here, or on the control plane that runs"),
    ("flowctl run transfers.yaml --detach", "leave it to the control plane"),
    ("flowctl run transfers.yaml --fresh --summary summary.json", "from the beginning, with figures"),
    ("cat transfers.yaml | flowctl run - --control-plane none", "in this process, whatever else runs"),
]))]
pub(crate) struct Run {
    /// The pipeline; `-` is stdin
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) plugins: PluginArgs,
    /// Run only what the pipeline's lock file says
    #[arg(long)]
    pub(super) locked: bool,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
    #[command(flatten)]
    pub(super) index: IndexArgs,
    /// Write what the run did to this file, as one JSON object
    #[arg(long, value_name = "FILE")]
    pub(super) summary: Option<PathBuf>,
    #[command(flatten)]
    pub(super) state: StateArgs,
    /// Start over from the beginning of the sources, without what the pipeline had reached
    #[arg(long)]
    pub(super) fresh: bool,
    /// Go on although the last checkpoint keeps something of nodes that the pipeline no longer has; that is lost
    #[arg(long, conflicts_with = "fresh")]
    pub(super) discard_state: bool,
    /// Return when the pipeline runs, and leave it to the control plane
    #[arg(long)]
    pub(super) detach: bool,
    /// Change the pipeline whenever its file changes, while it runs; a file that has faults changes nothing
    #[arg(short, long, conflicts_with = "detach")]
    pub(super) watch: bool,
    /// Where this process runs the pipeline: the port of the loopback interface at which components register and the
    /// run can be watched; 0 is any that is free
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(super) control_plane_port: u16,
    /// Show no live figures and no status, only faults
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// The crates whose processors it runs while they are written
    #[arg(skip)]
    pub(super) bench: Option<Arc<Workbench>>,
}

impl Run {
    /// Plans the pipeline and runs it to its end, here or on the control plane that runs.
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.file == Path::new("-") && self.registry.reads_stdin() {
            return Err(Hinted::usage(
                "standard input is to be both the pipeline and a secret",
                "put the pipeline into a file, and name that",
            ));
        }
        if self.watch && self.file == Path::new("-") {
            return Err(Hinted::usage(
                "standard input cannot be watched",
                "put the pipeline into a file, and name that",
            ));
        }
        if let Some(path) = &self.summary {
            check_writable(path)?;
        }
        let text = pipeline::read(&self.file)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.context("cannot start the async runtime")?;
        let ran = match runtime.block_on(self.control_plane(&text))? {
            Some((client, is_discovered)) => runtime.block_on(self.attached(client, text, is_discovered)),
            None if self.detach => Err(Hinted::coded(
                Code::NoControlPlane,
                "nothing could go on with the pipeline: no control plane runs",
                "`flowctl serve` starts one",
            )),
            None => self.embedded(&text, &runtime),
        };
        // a write that blocks, such as to a pipe that nobody reads, must not keep the process
        runtime.shutdown_background();
        ran
    }

    /// The control plane that is to run the pipeline, and whether its chain is discovered;
    /// none where this process is to.
    async fn control_plane(&self, text: &str) -> Result<Option<(Client, bool)>> {
        if self.bench.is_some() {
            return Ok(None);
        }
        let Some(client) = self.plugins.plane.find().await? else { return Ok(None) };
        let environment = |name: &str| std::env::var(name).ok();
        let (document, _) = flowctl_intent::read("", text, &environment);
        let Some(document) = document else { return Ok(Some((client, false))) };
        match pipeline::terminal_use(&document.intent) {
            Some(name) if self.plugins.plane.place() == Place::Default => {
                self.voice().say(&format!("Running in this process: `{name}` is that of this terminal"));
                Ok(None)
            }
            Some(name) => Err(pipeline::away(name)),
            None => Ok(Some((client, matches!(document.intent, Intent::Discover(_))))),
        }
    }

    async fn attached(&self, client: Client, text: String, is_discovered: bool) -> Result<ExitCode> {
        let mut submission = Submission {
            file: &self.file,
            text,
            plugins: &self.plugins.plugins,
            is_locked: self.locked,
            is_fresh: self.fresh,
            discards_state: self.discard_state,
            is_detached: self.detach,
            is_discovered,
        };
        let written = match self.asker().filter(|_| is_discovered) {
            Some(asker) => attached::choose(&client, &mut submission, asker).await?,
            None => submission.text.clone(),
        };
        let watched = self.watched(client.clone(), written);
        let (run, code) = tokio::select! {
            ran = attached::run(client, submission, self.voice()) => ran?,
            never = watched => match never {},
        };
        self.write_summary(&attached::summary(&run))?;
        Ok(code)
    }

    fn embedded(&self, written: &str, runtime: &Runtime) -> Result<ExitCode> {
        let voice = self.voice();
        let (text, components) = match self.bench.as_deref() {
            Some(bench) => (bench.text(written)?, bench.components()),
            None => (written.to_owned(), Vec::new()),
        };
        let folders: Vec<PathBuf> = components.iter().chain(&self.plugins.plugins).cloned().collect();
        let artifacts = Artifacts::new(self.registry.clone())?.with_indexes(self.index.clone());
        let supply = Supply {
            folders: &folders,
            artifacts: &artifacts,
            reach: Reach::Network,
            locking: if self.locked { Locking::Strict } else { Locking::Prefer },
            is_quiet: self.quiet,
            base_dir: None,
            live: &self.plugins.plane.live()?,
        };
        let Chosen { written: in_file, text, mut planned } = choice::load(&self.file, text, &supply, self.asker())?;
        // what a bench builds is not what stands in the file
        let written = if self.bench.is_some() { written } else { &in_file };
        // as a control plane has them, so that a live change finds them the same
        let here = std::env::current_dir().context("cannot find the working directory")?;
        planned.topology = planned.topology.with_dirs_below(&here);
        let (name, topology) = (&planned.document.name, &planned.topology);
        match &self.bench {
            Some(bench) => bench.check(topology)?,
            None => planned.keep_lock(&self.file, supply.locking, self.quiet)?,
        }
        session::check_available(topology)?;
        let state = open_state(&self.state, self.fresh, name, voice)?;
        if let Intent::Discover(_) = planned.document.intent {
            voice.say(&format!("Discovered chain: {}", render::line(topology)));
        }
        voice.say("Starting topology...");
        let summary = runtime.block_on(self.drive(&planned, (written, &text), components, &state))?;
        self.write_summary(&serde_json::to_value(&summary).context("cannot write JSON")?)?;
        session::say_end(name, &summary, voice);
        if summary.rejected > 0 && topology.dead_letter.is_none() {
            voice.say(&format!("rejected events: {}", paths::dead_letters(state.dir()).display()));
        }
        Ok(if summary.status == Status::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// Runs the pipeline, with a control plane that shows it to others.
    ///
    /// Its text is given as it is written and as it is run; `components` are files of plugins
    /// that belong to it.
    async fn drive(
        &self,
        planned: &Planned,
        (written, text): (&str, &str),
        components: Vec<PathBuf>,
        state: &PipelineState,
    ) -> Result<Summary> {
        let signals = Signals::install()?;
        let (name, topology) = (&planned.document.name, &planned.topology);
        let engine = session::start_run_engine()?;
        let planner = HostPlanner::new(self.plugins.plugins.clone(), self.state.base()?, engine);
        let engine = planner.engine();
        let plane = Embedded::start(&self.state.base()?, state.dir(), self.control_plane_port, planner).await?;
        let file = self.file.to_string_lossy();
        let mut run = plane.adopt((&file, text), components, planned).await?;
        let running = Arc::new(Running::default());
        let peers = Peers::new(Some(Arc::new(plane.children(run.id(), &running))));
        let tenant = flowctl_engine::Tenant::new(name.as_str(), session::MAX_RUN_MEMORY_BYTES);
        let pipeline = state::pipeline(name, state)?;
        let workshop = Arc::new(LocalWorkshop::new(engine, tenant, pipeline, peers));
        let options = Options {
            store: Arc::new(state.checkpoints(topology.settings.checkpoints_kept)),
            orphans: if self.discard_state { Orphans::Discard } else { Orphans::Refuse },
            observer: run.observer(),
            run_id: Some(run.id().to_owned()),
            trace_every: traces::every(),
            ..Options::default()
        };
        let dead_letters = match topology.dead_letter {
            None => paths::dead_letters(state.dir()).display().to_string(),
            Some(_) => String::new(),
        };
        let made = (Arc::clone(&workshop) as Arc<dyn Workshop>, &*workshop);
        let started = async |handle| run.started(handle, dead_letters).await;
        let voice = self.voice();
        let driven = tokio::select! {
            driven = session::drive(topology, made, options, voice, (signals, pending()), started) => driven,
            never = self.watched_here(plane.address(), written) => match never {},
        };
        match &driven {
            Ok(summary) => run.ended(summary).await,
            Err(error) => {
                let hint = error.downcast_ref::<Hinted>().map(|hinted| hinted.hint.clone());
                run.failed(format!("{error:#}"), report::code(error), hint.unwrap_or_default()).await;
            }
        }
        running.stop().await;
        plane.end().await;
        driven
    }

    /// As [`Self::watched`], of a run of this process, which answers at `address`.
    async fn watched_here(&self, address: String, text: &str) -> Infallible {
        if !self.watch {
            return pending().await;
        }
        let connected = async { Client::connect(&plane::target(address)?).await.map_err(plane::refused) };
        match connected.await {
            Ok(client) => self.watched(client, text.to_owned()).await,
            Err(error) => {
                status::warn(&format!("the file is not watched: {error:#}"));
                pending().await
            }
        }
    }

    /// Has the pipeline follow its file, and the source of its processors, where that is asked
    /// for. Never ends.
    async fn watched(&self, client: Client, text: String) -> Infallible {
        match &self.bench {
            _ if !self.watch => pending().await,
            None => follow::file(&client, &self.file, text, None).await,
            Some(bench) => tokio::select! {
                never = follow::file(&client, &self.file, text, Some(bench)) => never,
                never = bench.rebuild() => never,
            },
        }
    }

    /// Who chooses a chain where several are equally short.
    fn asker(&self) -> Option<Box<dyn Asker>> {
        let is_asked = !self.quiet && self.bench.is_none() && self.file != Path::new("-");
        if is_asked { ask::asker() } else { None }
    }

    fn voice(&self) -> Voice {
        if self.quiet { Voice::Quiet } else { Voice::Normal }
    }

    fn write_summary(&self, summary: &serde_json::Value) -> Result<()> {
        let Some(path) = &self.summary else { return Ok(()) };
        let text = serde_json::to_string_pretty(summary).context("cannot write JSON")?;
        std::fs::write(path, text + "\n").with_context(|| unwritable(path))
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
