//! Holds the SDKs' copies of the WIT packages equal to `wit/`.
//!
//! Each SDK is packaged without this repository, so it carries the contract and the
//! first-party event types itself. `wit/` is the truth.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::Workspace;

const TRUTH: &str = "wit";
const COPIES: [&str; 3] = ["sdk/flowctl-sdk-macros/wit", "sdk/javascript/wit", "sdk/python/flowctl_sdk/wit"];

/// Compares the copies.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let truth = read(&workspace.root.join(TRUTH))?;
    let mut differing = Vec::new();
    for folder in COPIES {
        let copy = read(&workspace.root.join(folder))?;
        let names = truth.keys().chain(copy.keys()).collect::<std::collections::BTreeSet<_>>();
        let unequal = names.into_iter().filter(|name| truth.get(*name) != copy.get(*name));
        differing.extend(unequal.map(|name| Path::new(folder).join(name).display().to_string()));
    }
    if !differing.is_empty() {
        bail!("{} differs from `{TRUTH}`: run `cargo xtask wit --update`", differing.join(", "));
    }
    println!("{} WIT files, the SDKs' copies equal them", truth.len());
    Ok(())
}

/// Writes the copies anew.
pub(crate) fn update(workspace: &Workspace) -> Result<()> {
    let truth = read(&workspace.root.join(TRUTH))?;
    for copy in COPIES.map(|copy| workspace.root.join(copy)) {
        if copy.exists() {
            fs::remove_dir_all(&copy).with_context(|| format!("cannot remove `{}`", copy.display()))?;
        }
        for (name, text) in &truth {
            let path = copy.join(name);
            let folder = path.parent().context("a WIT file lies in a folder")?;
            fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
            fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        }
    }
    check(workspace)
}

fn read(root: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
                files.insert(path.strip_prefix(root).context("below the root")?.to_owned(), text);
            }
        }
    }
    Ok(files)
}
