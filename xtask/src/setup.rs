//! What a fresh machine lacks: the wasm target, cargo-deny, and PostgreSQL to test against.

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
    cargo_deny(workspace)?;
    postgres()
}

/// Makes sure that PostgreSQL's server is installed: tests start servers of their own.
/// Root on Debian gets its package; anybody else is told to install it.
pub(crate) fn postgres() -> Result<()> {
    const PACKAGE: &str = "postgresql";
    if has_postgres() {
        return Ok(());
    }
    let user = Command::new("id").arg("-u").output().context("cannot start `id`")?;
    if user.stdout.trim_ascii() != b"0" || !shell::succeeds(Command::new("apt-get").arg("--version")) {
        bail!("PostgreSQL's server is missing: install it (on Debian, as root: `apt-get install {PACKAGE}`)");
    }
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        shell::run(apt.args(["--quiet", "--yes"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let wanted = ["install", "--no-install-recommends", PACKAGE];
    // the lists of packages may be missing or old
    apt(&wanted).or_else(|_| apt(&["update"]).and_then(|()| apt(&wanted)))?;
    if !has_postgres() {
        bail!("the package `{PACKAGE}` was installed, but its program `initdb` is not where it was looked for");
    }
    Ok(())
}

/// Whether PostgreSQL's programs are where Debian puts them, or in the PATH.
fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders = versions.map(|entry| entry.path().join("bin"));
    let search = std::env::var_os("PATH").unwrap_or_default();
    folders.any(|folder| folder.join("initdb").is_file())
        || std::env::split_paths(&search).any(|folder| folder.join("initdb").is_file())
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
