//! The example processors in JavaScript and Python: the tools they are built with, and
//! the components, each built once for the same sources.

use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::python::{self, PYTHON};
use crate::setup;
use crate::shell::{self, Workspace};

/// The interpreter, and the Debian packages that have it and its installer.
const NODE: &str = "node";
const NODE_PACKAGES: [&str; 2] = ["nodejs", "npm"];

const EXAMPLES: [&str; 2] = ["order-filter", "order-alerts"];

/// Builds the components that are not there, and answers the folder that holds
/// `javascript/NAME.wasm` and `python/NAME.wasm`.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("languages");
    let (javascript, python) = tools(workspace)?;
    for name in EXAMPLES {
        let package = workspace.root.join("sdk/javascript");
        let source = package.join("examples").join(name).join("processor.js");
        component(&folder.join("javascript").join(name), &package, |output| {
            let mut command = Command::new(NODE);
            command.arg(javascript.join("bin/componentize.js")).arg(&source).arg("-o").arg(output);
            command
        })?;
        let package = workspace.root.join("sdk/python");
        let source = package.join("examples").join(name.replace('-', "_")).join("processor.py");
        component(&folder.join("python").join(name), &package, |output| {
            let mut command = Command::new(PYTHON);
            command.args(["-B", "-m", "flowctl_sdk.componentize"]).arg(&source).arg("-o").arg(output);
            let path = std::env::join_paths([&package, &python]).unwrap_or_default();
            command.env("PYTHONPATH", path);
            command
        })?;
    }
    Ok(folder)
}

/// The folders of the package for JavaScript with what it needs, and of componentize-py.
pub(crate) fn tools(workspace: &Workspace) -> Result<(PathBuf, PathBuf)> {
    Ok((javascript(workspace)?, python_tool(workspace)?))
}

/// A copy of the package below the target directory, so that what npm installs does not
/// lie among the sources.
fn javascript(workspace: &Workspace) -> Result<PathBuf> {
    let has_npm = || {
        shell::succeeds(Command::new(NODE).arg("--version")) && shell::succeeds(Command::new("npm").arg("--version"))
    };
    if !has_npm() {
        setup::debian_packages(&NODE_PACKAGES)?;
        if !has_npm() {
            bail!("the packages `{}` were installed, but node or npm does not start", NODE_PACKAGES.join("` and `"));
        }
    }
    let sources = workspace.root.join("sdk/javascript");
    let folder = workspace.target.join("tools/javascript");
    let lock = fs::read(sources.join("package-lock.json")).context("cannot read `package-lock.json`")?;
    // npm leaves its own record of what it installed: one of another lock file is begun anew
    let is_installed = fs::read(folder.join("installed-lock.json")).is_ok_and(|installed| installed == lock);
    if !is_installed && folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty `{}`", folder.display()))?;
    }
    for name in ["bin", "src", "wit"] {
        let copy = folder.join(name);
        if copy.exists() {
            fs::remove_dir_all(&copy).with_context(|| format!("cannot empty `{}`", copy.display()))?;
        }
    }
    copy(&sources, &folder)?;
    if !is_installed {
        // scripts of packages run nothing here
        let mut install = Command::new("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(&folder);
        shell::run(&mut install).context("cannot install componentize-js for JavaScript")?;
        fs::write(folder.join("installed-lock.json"), lock).context("cannot record what npm installed")?;
    }
    Ok(folder)
}

fn python_tool(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("tools/componentize-py");
    let requirements = workspace.root.join("sdk/python/requirements.txt");
    let wanted = fs::read(&requirements).with_context(|| format!("cannot read `{}`", requirements.display()))?;
    let record = folder.join("installed-requirements.txt");
    if fs::read(&record).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    python::install(&folder, &["--requirement".as_ref(), requirements.as_os_str()])
        .context("cannot install componentize-py for Python")?;
    fs::write(&record, wanted).context("cannot record what pip installed")?;
    Ok(folder)
}

/// Builds `PATH.wasm` with `command`, unless it was built of these sources.
fn component(path: &Path, sources: &Path, command: impl FnOnce(&Path) -> Command) -> Result<()> {
    let (output, record) = (path.with_extension("wasm"), path.with_extension("sources"));
    let mut hasher = DefaultHasher::new();
    for file in sources_in(sources)? {
        file.strip_prefix(sources)?.hash(&mut hasher);
        fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?.hash(&mut hasher);
    }
    let key = format!("{:016x}\n", hasher.finish());
    if output.is_file() && fs::read_to_string(&record).is_ok_and(|built| built == key) {
        return Ok(());
    }
    let folder = path.parent().context("a component lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    shell::run(&mut command(&output))?;
    fs::write(&record, key).with_context(|| format!("cannot write `{}`", record.display()))
}

/// The files below a folder that a component is made of, in one order.
fn sources_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = files(folder)?;
    // wherever the folder itself lies
    files.retain(|file| file.strip_prefix(folder).is_ok_and(is_source));
    Ok(files)
}

/// Whether a component is made of it, or of the versions in it; not the tests, and not what
/// installing it leaves behind.
fn is_source(file: &Path) -> bool {
    let is_aside = |part: &OsStr| {
        let names = ["tests", "node_modules", "__pycache__", "build"];
        names.map(OsStr::new).contains(&part) || part.to_string_lossy().ends_with(".egg-info")
    };
    !file.components().any(|part| is_aside(part.as_os_str()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in sources_in(from)? {
        let target = to.join(file.strip_prefix(from)?);
        let folder = target.parent().context("a file lies in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        fs::copy(&file, &target).with_context(|| format!("cannot copy `{}`", file.display()))?;
    }
    Ok(())
}

/// Every file below a folder, in one order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}
