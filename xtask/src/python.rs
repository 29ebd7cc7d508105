//! The Python packages that the components of tests are written with.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup;
use crate::shell::{self, Workspace};

const GRPCIO: &str = "1.85.3";
const PROTOBUF: &str = "7.36.2";

/// The interpreter, and the Debian packages that have it and its installer.
pub(crate) const PYTHON: &str = "python3";
const PIP: &str = "python3-pip";

/// The folder of grpcio and protobuf, installed below the target directory where this
/// machine's Python cannot import them from there in the right version.
///
/// A folder of its own is no part of the machine's Python, which on Debian belongs to the
/// package manager and refuses packages of others (PEP 668).
pub(crate) fn packages(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target.join("tools").join("python");
    if are_there(&folder) {
        return Ok(folder);
    }
    install(&folder, &[format!("grpcio=={GRPCIO}"), format!("protobuf=={PROTOBUF}")])
        .context("cannot install grpcio and protobuf for Python")?;
    if !are_there(&folder) {
        bail!("grpcio and protobuf were installed in `{}`, but cannot be imported from there", folder.display());
    }
    Ok(folder)
}

/// Fills `folder` with what pip makes of these arguments, and nothing else.
pub(crate) fn install<S: AsRef<OsStr>>(folder: &Path, wanted: &[S]) -> Result<()> {
    let has_pip = || shell::succeeds(Command::new(PYTHON).args(["-m", "pip", "--version"]));
    if !has_pip() {
        setup::debian_packages(&[PIP])?;
        if !has_pip() {
            bail!("`{PYTHON}` has no pip, though the package `{PIP}` was installed: is it another Python?");
        }
    }
    if folder.exists() {
        // of another version, or for another Python
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot empty `{}`", folder.display()))?;
    }
    let mut install = Command::new(PYTHON);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    // a folder of its own harms no package of the system, whoever owns it
    install.env("PIP_ROOT_USER_ACTION", "ignore");
    install.arg("--target").arg(folder).args(wanted);
    shell::run(&mut install)
}

fn are_there(folder: &Path) -> bool {
    let check = format!(
        "import grpc, google.protobuf as protobuf, sys\n\
         assert (grpc.__version__, protobuf.__version__) == ('{GRPCIO}', '{PROTOBUF}')\n\
         assert grpc.__file__.startswith(sys.argv[1])"
    );
    shell::succeeds(Command::new(PYTHON).args(["-c", &check]).arg(folder).env("PYTHONPATH", folder))
}
