//! Runs the benchmarks, in a release build of their own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::guests;
use crate::shell::{self, Workspace};

/// Builds the plugins, the benchmarks and the program, and runs the benchmarks over them.
pub(crate) fn run(workspace: &Workspace, json: Option<&Path>, filter: Option<&str>) -> Result<()> {
    let plugins = guests::build(workspace)?;
    // together, so that their dependencies are built once
    shell::run(&mut workspace.cargo(["build", "--release", "--package", "flowctl-bench", "--package", "flowctl"]))?;
    let built = |name: &str| workspace.target.join("release").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let mut bench = Command::new(built("flowctl-bench"));
    bench.current_dir(&workspace.root).arg("--flowctl").arg(built("flowctl"));
    bench.arg("--plugins").arg(plugins).arg("--guests").arg(guests::test_guests(workspace));
    if let Some(path) = json {
        let path = std::path::absolute(path).with_context(|| format!("cannot resolve `{}`", path.display()))?;
        bench.arg("--json").arg(path);
    }
    shell::run(bench.args(filter))
}
