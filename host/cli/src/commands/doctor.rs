//! `flowctl doctor`.
//!
//! Invariant: nothing is changed on the machine, and nothing that is secret is shown. Whoever
//! is asked is waited for no longer than [`LIMIT`], and all are asked at once; only a registry
//! is asked after the helper that keeps its login, and what nodes touch after their plan.

mod check;
mod clock;
mod disk;
mod machine;
mod pipeline;
mod plane;
mod plugins;
mod ports;
mod registries;
mod report;
mod state;
mod versions;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use self::check::{Check, Group};
use self::clock::{Clock, Reading};
use crate::args::PluginArgs;
use crate::help::examples;
use crate::output::{self, Format};
use crate::state::StateArgs;
use crate::status;

/// How long anybody is waited for.
const LIMIT: Duration = Duration::from_secs(5);

/// Check what a run needs on this machine, and say how to mend what is wrong
///
/// Looks at memory and limits, the compiler of plugins, folders and disks, ports, the control plane, registries and
/// their logins, the store of plugins, the state of pipelines, and the clock. With a pipeline, also at what that needs:
/// its plugins, variables, files and servers. Nothing is started or changed. Exits with 1 where a check failed.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl doctor", "this machine"),
    ("flowctl doctor transfers.yaml", "and what a pipeline needs"),
    ("flowctl doctor --port 8080 --registry registry.example --output json", ""),
]))]
pub(crate) struct Doctor {
    /// A pipeline whose needs are checked too
    #[arg(value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// Port that must be free on this machine; may be repeated
    #[arg(long, value_name = "PORT")]
    port: Vec<u16>,
    /// Registry to reach beside those of the settings, HOST or HOST:PORT; may be repeated
    #[arg(long, value_name = "HOST")]
    registry: Vec<String>,
    /// Speak plain HTTP with the registries that `--registry` names
    #[arg(long)]
    insecure: bool,
    /// File of certificates (PEM) to trust beside those of the system; may be repeated
    #[arg(long, value_name = "FILE")]
    ca_file: Vec<PathBuf>,
    /// Read every plugin of the store, and check its digest
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    state: StateArgs,
    /// How to print what was found
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// What a group of checks found, and the times that others told on the way.
#[derive(Default)]
struct Findings {
    checks: Vec<Check>,
    readings: Vec<Reading>,
}

impl From<Vec<Check>> for Findings {
    fn from(checks: Vec<Check>) -> Self {
        Self { checks, readings: Vec::new() }
    }
}

impl Doctor {
    /// Checks everything at once, and prints what was found.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
        let runtime = runtime.context("cannot start the async runtime")?;
        let report = report::Report::new(runtime.block_on(self.check()));
        // a look-up of a name that goes on must not keep the process
        runtime.shutdown_background();
        output::value(self.output, &report, || report.text())?;
        status::say(&report.summary());
        Ok(report.exit_code())
    }

    async fn check(&self) -> Vec<(Group, Vec<Check>)> {
        let clock = Clock::start();
        let (folders, base) = (self.plugins.plugins.clone(), self.state.base());
        let state_dir = base.as_ref().ok().cloned();
        let (versions, machine, disks, ports, (plane, answered), registries, plugins, state, pipeline) = tokio::join!(
            versions::check(),
            machine::check(),
            blocking(move || disk::check(state_dir.as_deref())),
            ports::look(&self.port),
            plane::check(&self.plugins.plane),
            registries::check(&self.registry, self.insecure, &self.ca_file),
            plugins::check(folders, self.deep),
            blocking(move || state::check(base)),
            pipeline::check(self.pipeline.as_deref(), &self.plugins, &self.ca_file),
        );
        let ports = ports.into_iter().map(|port| port.check(answered.as_ref()));
        let readings: Vec<_> = plane.readings.into_iter().chain(registries.readings).collect();
        let machine = machine.into_iter().chain([clock.check(&readings)]).collect();
        vec![
            (Group::Versions, versions),
            (Group::Machine, machine),
            (Group::Folders, disks),
            (Group::ControlPlane, ports.chain(plane.checks).collect()),
            (Group::Registries, registries.checks),
            (Group::Plugins, plugins),
            (Group::State, state),
            (Group::Pipeline, pipeline),
        ]
    }
}

/// Runs what blocks beside everything else. What panics there would panic here too.
async fn blocking(work: impl FnOnce() -> Vec<Check> + Send + 'static) -> Vec<Check> {
    let found = tokio::task::spawn_blocking(work).await;
    found.unwrap_or_else(|error| vec![Check::failed("flowctl", error.to_string(), "this is a fault of flowctl itself")])
}

/// Waits for `work`, but no longer than [`LIMIT`].
async fn within<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(LIMIT, work).await.ok()
}
