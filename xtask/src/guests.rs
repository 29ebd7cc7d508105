//! Builds everything that runs in the sandbox: the first-party plugins and the
//! misbehaving guests of the tests.

pub(crate) mod languages;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup::{self, WASM_TARGET};
use crate::shell::{Workspace, run};

/// The package of the misbehaving guests.
pub(crate) const TEST_GUESTS: &str = "flowctl-test-guests";

/// Builds all guests and answers the folder that holds the first-party plugins, and
/// only those, as `NAME.wasm`.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    setup::wasm_target(workspace)?;
    let plugins = plugins(workspace)?;
    let mut cargo = workspace.cargo(["build", "--profile", "guest", "--target", WASM_TARGET]);
    for name in &plugins {
        cargo.args(["--package", name]);
    }
    run(&mut cargo)?;
    let mut cargo = workspace.cargo(["build", "--profile", "guest", "--target", WASM_TARGET]);
    run(cargo.args(["--package", TEST_GUESTS, "--examples"]))?;

    let folder = folder(workspace);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty `{}`", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    for name in &plugins {
        let built = built(workspace).join(format!("{}.wasm", name.replace('-', "_")));
        let wanted = folder.join(format!("{name}.wasm"));
        fs::copy(&built, &wanted).with_context(|| format!("cannot copy `{}`", built.display()))?;
    }
    Ok(folder)
}

/// The folder that [`build`] fills.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("plugins")
}

/// The folder of the misbehaving guests.
pub(crate) fn test_guests(workspace: &Workspace) -> PathBuf {
    built(workspace).join("examples")
}

/// Tells the tests that `command` runs where the guests are.
pub(crate) fn name_folders(workspace: &Workspace, command: &mut Command) {
    command.env("FLOWCTL_TEST_PLUGINS", folder(workspace)).env("FLOWCTL_TEST_GUESTS", test_guests(workspace));
}

/// The names of the first-party plugins: the folders of `plugins/`.
pub(crate) fn plugins(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root.join("plugins");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let path = entry?.path();
        if path.join("Cargo.toml").is_file() {
            names.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
        }
    }
    if names.is_empty() {
        bail!("`{}` holds no plugin", folder.display());
    }
    names.sort();
    Ok(names)
}

fn built(workspace: &Workspace) -> PathBuf {
    Path::new(&workspace.target).join(WASM_TARGET).join("guest")
}
