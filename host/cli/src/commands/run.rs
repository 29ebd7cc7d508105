//! `flowctl run FILE`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use flowctl_connectors::Pipeline;
use flowctl_intent::Intent;
use flowctl_runtime::{ApplyError, Change, Options, Orphans, Run as Running, Status, Stop, Summary, Workshop};
use flowctl_store::{PipelineState, Standing, StateError};
use flowctl_topology::{Component, Topology, render};
use flowctl_types::NodeId;

use crate::args::PluginArgs;
use crate::pipeline::{self, Planned};
use crate::progress::{self, Progress};
use crate::report::Hinted;
use crate::signals::Signals;
use crate::workshop::LocalWorkshop;
use crate::{paths, report};

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
    /// Write what the run did to this file, as one JSON object
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Where the pipeline keeps its state, in a folder of its name [default: $XDG_STATE_HOME/flowctl]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
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
        let planned = pipeline::load(&self.file, &self.plugins.plugins)?;
        if let Some(node) = planned.topology.unavailable().next() {
            return Err(Hinted::error(
                format!("node `{}` cannot be run by this build of flowctl", node.id),
                "`flowctl processors list` shows what is available",
            ));
        }
        if let Some(path) = &self.summary {
            check_writable(path)?;
        }
        let state = self.open_state(&planned)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.context("cannot start the async runtime")?;
        let driven = runtime.block_on(self.drive(&planned, &state));
        // a write that blocks, such as to a pipe that nobody reads, must not keep the process
        runtime.shutdown_background();
        let summary = driven?;
        if let Some(path) = &self.summary {
            let text = serde_json::to_string_pretty(&summary).context("cannot write JSON")?;
            std::fs::write(path, text + "\n").with_context(|| unwritable(path))?;
        }
        self.say_end(&planned, &summary, state.dir());
        Ok(if summary.status == Status::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn state_dir(&self, planned: &Planned) -> Result<PathBuf> {
        let base = self.state_dir.clone().or_else(paths::state).ok_or_else(|| {
            Hinted::error("there is no place for the pipeline's state", "set HOME, or name a folder with --state-dir")
        })?;
        Ok(base.join(planned.document.name.as_str()))
    }

    /// Opens the pipeline's state, and says from where it goes on.
    fn open_state(&self, planned: &Planned) -> Result<PipelineState> {
        let dir = self.state_dir(planned)?;
        let mut state = PipelineState::open(&dir, &planned.document.name).map_err(unusable)?;
        match state.standing().map_err(unusable)? {
            Some(standing) if self.fresh => {
                self.say(&format!("Starting over, without {}", kept(&standing)));
                self.say("  what sinks hold stays there, and comes once more");
            }
            Some(standing) => self.say(&format!("Going on from {}", kept(&standing))),
            None => {}
        }
        if self.fresh {
            state.start_over().map_err(unusable)?;
        }
        Ok(state)
    }

    async fn drive(&self, planned: &Planned, state: &PipelineState) -> Result<Summary> {
        let topology = &planned.topology;
        let mut signals = Signals::install()?;
        if let Intent::Discover(_) = planned.document.intent {
            self.say(&format!("Discovered chain: {}", render::line(topology)));
        }
        self.say("Starting topology...");
        let pipeline = Pipeline {
            name: planned.document.name.clone(),
            state_id: state.id().to_owned(),
            is_new: state.standing().map_err(unusable)?.is_none(),
            state_dir: state.dir().to_owned(),
        };
        let workshop = Arc::new(LocalWorkshop::start(pipeline)?);
        let mut run = Running::new(
            Arc::clone(&workshop) as Arc<dyn Workshop>,
            Options {
                store: Arc::new(state.checkpoints(topology.settings.checkpoints_kept)),
                orphans: if self.discard_state { Orphans::Discard } else { Orphans::Refuse },
                ..Options::default()
            },
        );
        tokio::select! {
            applied = run.apply(Change::from_empty(topology)) => applied.map_err(unstarted)?,
            () = signals.next() => return Err(anyhow!("stopped before the pipeline had started; nothing ran")),
        }
        let handle = run.handle();
        let (n_compiled, took) = workshop.compiled();
        if n_compiled > 0 {
            self.say(&format!(
                "  ✓ Compiled {n_compiled} of the plugins, kept for the next start ({:.1} s)",
                took.as_secs_f64()
            ));
        }
        self.say("  ✓ All components running");

        let mut progress = Progress::new(self.quiet, writes_stdout(topology));
        let mut ticks = tokio::time::interval(progress::INTERVAL);
        let mut is_draining = false;
        let summary = loop {
            tokio::select! {
                summary = run.wait() => break summary,
                _ = ticks.tick() => {
                    if let Some(snapshot) = handle.snapshot() {
                        progress.show(&snapshot);
                    }
                }
                () = signals.next() => {
                    let stop = if is_draining { Stop::Now } else { Stop::Drain };
                    self.say(if is_draining { "Stopping at once" } else { "Draining; once more to stop at once" });
                    is_draining = true;
                    handle.stop(stop);
                }
            }
        };
        progress.clear();
        Ok(summary)
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    fn say_end(&self, planned: &Planned, summary: &Summary, state: &Path) {
        if let Some(fault) = &summary.fault {
            report::failure(&anyhow::Error::new(fault.clone()));
        }
        let verb = match summary.status {
            Status::Completed => "Completed",
            Status::Stopped => "Stopped",
            Status::Failed => "Failed",
        };
        let (name, seconds) = (&planned.document.name, summary.duration_ms as f64 / 1000.0);
        let (n_in, n_out, rejected) = (summary.events_in, summary.events_out, summary.rejected);
        self.say(&format!("{verb} `{name}`: {n_in} events in, {n_out} out, {rejected} rejected ({seconds:.2} s)"));
        if rejected > 0 && planned.topology.dead_letter.is_none() {
            self.say(&format!("rejected events: {}", paths::dead_letters(state).display()));
        }
    }
}

/// What a checkpoint keeps, in words.
fn kept(standing: &Standing) -> String {
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

fn unusable(error: StateError) -> anyhow::Error {
    let hint = error.hint();
    let error = anyhow::Error::new(error);
    match hint {
        Some(hint) => error.context(Hinted { message: "cannot use the pipeline's state".to_owned(), hint }),
        None => error.context("cannot use the pipeline's state"),
    }
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

fn writes_stdout(topology: &Topology) -> bool {
    let is_stdout = |component: &Component| matches!(component, Component::Connector { name } if name == "stdout");
    topology.nodes.iter().any(|node| is_stdout(&node.component))
}

/// All nodes that could not be prepared, in one error.
fn unstarted(error: ApplyError) -> anyhow::Error {
    let faults = match &error {
        ApplyError::Prepare(faults) => faults,
        ApplyError::Orphans(_) => {
            let hint = "put the nodes back; or go on without with `--discard-state`, or start over with `--fresh`";
            return Hinted::error(error.to_string(), hint);
        }
        _ => return error.into(),
    };
    let texts: Vec<String> = faults
        .iter()
        .map(|fault| {
            let mut text = format!("{fault}");
            let mut cause = std::error::Error::source(fault);
            while let Some(error) = cause {
                text.push_str(&format!("\n  caused by: {}", error.to_string().replace('\n', "\n    ")));
                cause = error.source();
            }
            text
        })
        .collect();
    let hint = faults.iter().find_map(|fault| hint(fault.source.as_ref()));
    match hint {
        Some(hint) => Hinted::error(texts.join("\nerror: "), hint),
        None => anyhow!(texts.join("\nerror: ")),
    }
}

fn hint(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<flowctl_connectors::ConnectorError>() {
        return error.hint();
    }
    match error.downcast_ref::<flowctl_engine::EngineError>()? {
        flowctl_engine::EngineError::Contract { source, .. } => source.hint(),
        _ => None,
    }
}
