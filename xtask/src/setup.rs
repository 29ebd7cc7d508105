//! What a fresh machine lacks: the wasm target, and cargo-deny.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{self, Workspace};

/// The version of cargo-deny that `deny.toml` is written for.
const CARGO_DENY: &str = "0.20.2";

/// The target that guests are built for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// Installs everything.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    wasm_target(workspace)?;
    cargo_deny(workspace).map(drop)
}

/// Makes sure that rustc can build for [`WASM_TARGET`]. rustup's automatic install may
/// be switched off, so it is asked for by name.
pub(crate) fn wasm_target(workspace: &Workspace) -> Result<()> {
    let installed = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .current_dir(&workspace.root)
        .output()
        .context("cannot start rustc: install Rust with rustup")?;
    let libdir = PathBuf::from(String::from_utf8_lossy(&installed.stdout).trim());
    if installed.status.success() && libdir.is_dir() {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", WASM_TARGET]).current_dir(&workspace.root);
    shell::run(&mut rustup)
        .with_context(|| format!("the Rust target {WASM_TARGET} is missing and rustup cannot add it"))
}

/// The path of cargo-deny, installed below the target directory when it is missing.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    let tools = workspace.target.join("tools");
    let program = tools.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    let version = Command::new(&program).arg("--version").output();
    if version.is_ok_and(|answer| String::from_utf8_lossy(&answer.stdout).trim().ends_with(CARGO_DENY)) {
        return Ok(program);
    }
    let mut install = workspace.cargo(["install", "--locked", "--force", "--version", CARGO_DENY, "cargo-deny"]);
    // of its own, so that its dependencies do not mix with the workspace's
    install.arg("--root").arg(&tools).env("CARGO_TARGET_DIR", workspace.target.join("tools-build"));
    shell::run(&mut install).context("cannot install cargo-deny")?;
    if !shell::succeeds(Command::new(&program).arg("--version")) {
        bail!("cargo-deny was installed but does not start: `{}`", program.display());
    }
    Ok(program)
}
