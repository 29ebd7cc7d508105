//! `warm-start`: from the start of the process `flowctl run` to the first event on its
//! output, with everything pulled and compiled.
//!
//! One event is one start. `native` of this row is the start of the same program for
//! `--version`; the time that counts is the wall's.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::measure::{self, Clock, Elapsed};
use crate::pipeline::Sandbox;
use crate::report::{Bound, Row};

/// The row's name.
pub(crate) const NAME: &str = "warm-start";

const PIPELINE: &str = "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: start}
spec:
  sources: [{id: orders, type: generate, config: {type: example.order.v1, rate: 1000}}]
  processors: [{id: filter, plugin: order-filter, inputs: [orders], config: {minimum: 1}}]
  sinks: [{id: out, type: stdout, inputs: [filter]}]
";

/// A `flowctl` that is ended when this is dropped.
struct Started(Child);

/// Measures it.
pub(crate) fn run(sandbox: &Sandbox) -> Result<Row> {
    let Some(flowctl) = sandbox.flowctl() else { bail!("`--flowctl` does not say which program to start") };
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let mut file = std::fs::File::create(folder.path().join("start.yaml")).context("cannot write a pipeline")?;
    file.write_all(PIPELINE.as_bytes()).context("cannot write a pipeline")?;
    let command = |arguments: &[&str]| {
        let mut command = Command::new(flowctl);
        command.args(arguments).current_dir(folder.path()).env("HOME", folder.path());
        for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "FLOWCTL_CONFIG"] {
            command.env_remove(name);
        }
        command.env("FLOWCTL_PLUGINS", sandbox.plugins());
        command
    };
    let first_event = || first_line(command(&["run", "start.yaml", "--quiet", "--fresh"]));
    // compiles the plugin
    first_event()?;
    let [version, start] =
        measure::rounds(1, [Box::new(|| first_line(command(&["--version"]))), Box::new(first_event)])?;
    let mut row = Row::new(NAME, "start", 1, &version, &start);
    row.goal("first_event_ms", start.wall_ns_per_event / 1e6, Bound::AtMost(100.0));
    Ok(row)
}

/// The time from the start of a process to the first line of its output.
fn first_line(mut command: Command) -> Result<Elapsed> {
    let clock = Clock::start();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut started = Started(spawned.with_context(|| format!("cannot start `{}`", shown(&command)))?);
    let output = started.0.stdout.take().context("the output is not piped")?;
    let mut line = String::new();
    let n_bytes = BufReader::new(output).read_line(&mut line).context("cannot read the output")?;
    let elapsed = clock.stop();
    if n_bytes == 0 {
        bail!("`{}` printed nothing", shown(&command));
    }
    Ok(elapsed)
}

fn shown(command: &Command) -> String {
    Path::new(command.get_program()).display().to_string()
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
