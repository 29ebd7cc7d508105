//! One run of a topology in this process, from preparing it to its summary: progress,
//! signals, and what is said on the way.

mod progress;
mod signals;
mod workshop;

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use flowctl_runtime::{ApplyError, Change, Options, Run, RunHandle, Status, Stop, Summary, Workshop};
use flowctl_topology::{Component, Topology};
use flowctl_types::{Code, NodeId};

use self::progress::Progress;
pub(crate) use self::signals::Signals;
pub(crate) use self::workshop::{
    COMPILE, LocalWorkshop, MAX_RUN_MEMORY_BYTES, compile, compile_child, start_engine, start_run_engine, trial_engine,
};
use crate::report::{self, Hinted};

/// How much a run says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Status and live figures.
    Normal,
    /// Faults only.
    Quiet,
}

impl Voice {
    /// Says something of the run's status.
    pub(crate) fn say(self, text: &str) {
        if self == Self::Normal {
            crate::status::say(text);
        }
    }
}

/// Runs `topology` to its end. `engine` is what compiles its plugins, as part of
/// `workshop`; when `done` is ready, the run is drained.
///
/// # Errors
///
/// When some node cannot be prepared; nothing ran then.
pub(crate) fn run(
    topology: &Topology,
    (workshop, engine): (Arc<dyn Workshop>, &LocalWorkshop),
    options: Options,
    voice: Voice,
    done: impl Future<Output = ()>,
) -> Result<Summary> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the async runtime")?;
    let driven = runtime.block_on(async {
        let signals = Signals::install()?;
        drive(topology, (workshop, engine), options, voice, (signals, done), async |_| {}).await
    });
    // a write that blocks, such as to a pipe that nobody reads, must not keep the process
    runtime.shutdown_background();
    driven
}

/// As [`run`], within the caller's runtime. `started` is told when every node is ready.
///
/// # Errors
///
/// When some node cannot be prepared; nothing ran then.
pub(crate) async fn drive(
    topology: &Topology,
    (workshop, engine): (Arc<dyn Workshop>, &LocalWorkshop),
    options: Options,
    voice: Voice,
    (mut signals, done): (Signals, impl Future<Output = ()>),
    started: impl AsyncFnOnce(RunHandle),
) -> Result<Summary> {
    let mut run = Run::new(workshop, options);
    tokio::select! {
        applied = run.apply(Change::from_empty(topology)) => applied.map_err(unstarted)?,
        () = signals.next() => return Err(anyhow!("stopped before the pipeline had started; nothing ran")),
    }
    let handle = run.handle();
    let (n_compiled, took) = engine.compiled();
    if n_compiled > 0 {
        let seconds = took.as_secs_f64();
        voice.say(&format!("  ✓ Compiled {n_compiled} of the plugins, kept for the next start ({seconds:.1} s)"));
    }
    started(handle.clone()).await;
    voice.say("  ✓ All components running");

    let mut progress = Progress::new(voice == Voice::Quiet, writes_stdout(topology));
    let mut ticks = tokio::time::interval(progress::INTERVAL);
    let mut is_draining = false;
    let mut done = std::pin::pin!(done);
    let summary = loop {
        tokio::select! {
            summary = run.wait() => break summary,
            _ = ticks.tick() => {
                if let Some(snapshot) = handle.snapshot() {
                    progress.show(&snapshot);
                }
            }
            () = &mut done, if !is_draining => {
                is_draining = true;
                handle.stop(Stop::Drain);
            }
            () = signals.next() => {
                let stop = if is_draining { Stop::Now } else { Stop::Drain };
                voice.say(if is_draining { "Stopping at once" } else { "Draining; once more to stop at once" });
                is_draining = true;
                handle.stop(stop);
            }
        }
    };
    progress.clear();
    Ok(summary)
}

/// Says how the run of pipeline `name` ended.
pub(crate) fn say_end(name: &NodeId, summary: &Summary, voice: Voice) {
    if let Some(fault) = &summary.fault {
        report::failure(&anyhow::Error::new(fault.clone()));
    }
    let verb = match summary.status {
        Status::Completed => "Completed",
        Status::Stopped => "Stopped",
        Status::Failed => "Failed",
    };
    let seconds = summary.duration_ms as f64 / 1000.0;
    let (n_in, n_out, rejected) = (summary.events_in, summary.events_out, summary.rejected);
    voice.say(&format!("{verb} `{name}`: {n_in} events in, {n_out} out, {rejected} rejected ({seconds:.2} s)"));
}

/// Refuses a topology that this build can plan and not run.
pub(crate) fn check_available(topology: &Topology) -> Result<()> {
    match topology.unavailable().next() {
        None => Ok(()),
        Some(node) => Err(Hinted::error(
            format!("node `{}` cannot be run by this build of flowctl", node.id),
            "`flowctl processors list` shows what is available",
        )),
    }
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
            return Hinted::coded(Code::OrphanedState, error.to_string(), hint);
        }
        _ => return error.into(),
    };
    let texts = faults.iter().map(|fault| {
        let mut text = format!("{fault}");
        let mut cause = std::error::Error::source(fault);
        while let Some(error) = cause {
            text.push_str(&format!("\n  caused by: {}", error.to_string().replace('\n', "\n    ")));
            cause = error.source();
        }
        (report::code_in(fault), text, report::hint_in(fault))
    });
    report::all(texts).expect_err("an error of preparing names a node at least")
}
