//! Runs the benchmarks, in a release build of their own.

use std::path::Path;

use anyhow::{Context, Result};

use crate::guests;
use crate::shell::{self, Workspace};

/// Builds the plugins and runs the benchmarks over them.
pub(crate) fn run(workspace: &Workspace, json: Option<&Path>, filter: Option<&str>) -> Result<()> {
    let plugins = guests::build(workspace)?;
    let mut cargo = workspace.cargo(["run", "--release", "--package", "flowctl-bench", "--"]);
    cargo.arg("--plugins").arg(plugins).arg("--guests").arg(guests::test_guests(workspace));
    if let Some(path) = json {
        let path = std::path::absolute(path).with_context(|| format!("cannot resolve `{}`", path.display()))?;
        cargo.arg("--json").arg(path);
    }
    shell::run(cargo.args(filter))
}
