//! What a fresh machine lacks: the wasm target, cargo's tools, and the servers, clients,
//! shells and interpreter that tests run against.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::guests::languages;
use crate::python::{self, PYTHON};
use crate::shell::{self, Workspace};

/// A program that cargo builds below the target directory.
struct Tool {
    name: &'static str,
    version: &'static str,
    /// What its build needs to be told.
    options: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

/// In the version that `deny.toml` is written for.
const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2", options: &[], environment: &[] };

/// A client of registries that tests hold flowctl against. How fast it runs is of no
/// importance, how long it builds is.
const WKG: Tool = Tool {
    name: "wkg",
    version: "0.16.1",
    options: &["--no-default-features"],
    environment: &[("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")],
};

/// Makes a book of the guide. It neither serves nor searches here.
const MDBOOK: Tool = Tool {
    name: "mdbook",
    version: "0.5.4",
    options: &["--no-default-features"],
    environment: &[("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")],
};

/// A program that tests start, and the Debian package that has it.
struct Program {
    package: &'static str,
    name: &'static str,
}

const PROGRAMS: [Program; 11] = [
    Program { package: "postgresql", name: "initdb" },
    Program { package: REGISTRY, name: REGISTRY },
    Program { package: "skopeo", name: "skopeo" },
    Program { package: "tmux", name: "tmux" },
    Program { package: "bsdutils", name: "script" },
    Program { package: "curl", name: "curl" },
    Program { package: "bash", name: "bash" },
    Program { package: "zsh", name: "zsh" },
    Program { package: "fish", name: "fish" },
    Program { package: "mandoc", name: "mandoc" },
    Program { package: PYTHON, name: PYTHON },
];

const REGISTRY: &str = "docker-registry";

/// The target that guests are built for.
pub(crate) const WASM_TARGET: &str = "wasm32-wasip2";

/// Installs everything.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    wasm_target(workspace)?;
    cargo_deny(workspace)?;
    wkg(workspace)?;
    mdbook(workspace)?;
    programs()?;
    python::packages(workspace)?;
    languages::tools(workspace).map(drop)
}

/// Makes sure that the servers, clients and the interpreter are installed that tests
/// start. Root on Debian gets their packages; anybody else is told to install them.
pub(crate) fn programs() -> Result<()> {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|program| !is_installed(program.name)).map(|program| program.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    debian_packages(&missing)?;
    if missing.contains(&REGISTRY) && Path::new("/run/systemd/system").is_dir() {
        // the package starts a registry for the whole network, which nobody asked for
        shell::run(Command::new("systemctl").args(["disable", "--now", REGISTRY]))?;
    }
    if let Some(Program { package, name }) = PROGRAMS.iter().find(|program| !is_installed(program.name)) {
        bail!("the package `{package}` was installed, but its program `{name}` is not where it was looked for");
    }
    Ok(())
}

/// Installs packages for root on Debian, and tells anybody else to.
pub(crate) fn debian_packages(packages: &[&str]) -> Result<()> {
    let user = Command::new("id").arg("-u").output().context("cannot start `id`")?;
    if user.stdout.trim_ascii() != b"0" || !shell::succeeds(Command::new("apt-get").arg("--version")) {
        let packages = packages.join(" ");
        bail!("programs that tests start are missing: install them (on Debian, as root: `apt-get install {packages}`)");
    }
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        shell::run(apt.args(["--quiet", "--yes"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let wanted = [&["install", "--no-install-recommends"], packages].concat();
    // the lists of packages may be missing or old
    apt(&wanted).or_else(|_| apt(&["update"]).and_then(|()| apt(&wanted)))
}

/// Whether a program is in the PATH, or where Debian puts PostgreSQL's.
fn is_installed(program: &str) -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders = versions.map(|entry| entry.path().join("bin"));
    let search = std::env::var_os("PATH").unwrap_or_default();
    folders.any(|folder| folder.join(program).is_file())
        || std::env::split_paths(&search).any(|folder| folder.join(program).is_file())
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

/// The path of cargo-deny, installed when it is missing.
pub(crate) fn cargo_deny(workspace: &Workspace) -> Result<PathBuf> {
    tool(workspace, &CARGO_DENY)
}

/// The path of wkg, installed when it is missing.
pub(crate) fn wkg(workspace: &Workspace) -> Result<PathBuf> {
    tool(workspace, &WKG)
}

/// The path of mdbook, installed when it is missing.
pub(crate) fn mdbook(workspace: &Workspace) -> Result<PathBuf> {
    tool(workspace, &MDBOOK)
}

/// The path of a tool, installed below the target directory when it is missing.
fn tool(workspace: &Workspace, tool: &Tool) -> Result<PathBuf> {
    let Tool { name, version, options, environment } = tool;
    let tools = workspace.target.join("tools");
    let program = tools.join("bin").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let answer = Command::new(&program).arg("--version").output();
    if answer.is_ok_and(|answer| String::from_utf8_lossy(&answer.stdout).trim().ends_with(version)) {
        return Ok(program);
    }
    let mut install = workspace.cargo(["install", "--locked", "--force", "--version", version, name]);
    // of its own, so that its dependencies do not mix with the workspace's
    let build = workspace.target.join("tools-build");
    install.args(*options).arg("--root").arg(&tools).env("CARGO_TARGET_DIR", &build);
    shell::run(install.envs(environment.iter().copied())).with_context(|| format!("cannot install {name}"))?;
    if !shell::succeeds(Command::new(&program).arg("--version")) {
        bail!("{name} was installed but does not start: `{}`", program.display());
    }
    // hundreds of megabytes that nothing needs again
    std::fs::remove_dir_all(&build).with_context(|| format!("cannot remove `{}`", build.display()))?;
    Ok(program)
}
