//! Everything that continuous integration runs, in the order of the time it takes.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::guests::languages;
use crate::shell::{Workspace, run};
use crate::{checks, guests, python, setup, tidy, wit};

/// The package of the servers that tests run against.
pub(crate) const TEST_SUPPORT: &str = "flowctl-test-support";

type Step = (&'static str, fn(&Workspace) -> Result<()>);

const STEPS: [Step; 10] = [
    ("fmt", checks::fmt),
    ("tidy", tidy::check),
    ("wit", wit::check),
    ("clippy", checks::clippy),
    ("guests", |workspace| guests::build(workspace).map(drop)),
    ("tests", run_tests),
    ("doc", checks::doc),
    ("book", checks::book),
    ("package", checks::package),
    ("deny", checks::deny),
];

/// Runs every step, and stops at the first that fails.
pub(crate) fn everything(workspace: &Workspace) -> Result<()> {
    let mut took = Vec::new();
    for (name, step) in STEPS {
        println!("== {name}");
        let start = Instant::now();
        step(workspace).with_context(|| format!("`cargo xtask {name}` failed"))?;
        took.push(format!("{name} {} s", start.elapsed().as_secs()));
    }
    println!("== all steps passed: {}", took.join(", "));
    Ok(())
}

/// Builds the guests and runs the tests.
pub(crate) fn tests(workspace: &Workspace) -> Result<()> {
    guests::build(workspace)?;
    run_tests(workspace)
}

fn run_tests(workspace: &Workspace) -> Result<()> {
    setup::programs()?;
    let wkg = setup::wkg(workspace)?;
    let python = python::packages(workspace)?;
    let languages = languages::build(workspace)?;
    let with_guests = |mut command: std::process::Command| {
        guests::name_folders(workspace, &mut command);
        command
            .env("FLOWCTL_TEST_WKG", &wkg)
            .env("FLOWCTL_TEST_PYTHON", &python)
            .env("FLOWCTL_TEST_LANGUAGES", &languages);
        command
    };
    run(&mut with_guests(workspace.cargo(["test"])))?;
    let mut plugins = workspace.cargo(["test"]);
    for name in guests::plugins(workspace)? {
        plugins.args(["--package", &name]);
    }
    run(&mut with_guests(plugins))?;
    // what tests stand on, which is no default member
    run(&mut with_guests(workspace.cargo(["test", "--package", TEST_SUPPORT])))?;
    // its bound on time holds for optimised code only
    run(&mut workspace.cargo(["test", "--release", "--package", "flowctl-registry", "--test", "scale"]))
}
