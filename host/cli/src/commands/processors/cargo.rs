//! An author's crate: what cargo knows of it, and building it to a component.
//!
//! Invariant: what is missing on the machine, or in the manifest, is found before a build is
//! started, and said with what mends it. Tools run in the crate's folder, from where they look
//! for its toolchain and its settings.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, Result, anyhow};
use flowctl_schema::Contract;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::process::{Child, Command};

use crate::report::Hinted;
use crate::{catalog, status};

/// What components are built for.
const TARGET: &str = "wasm32-wasip2";

/// A crate.
pub(super) struct Crate {
    /// Its name.
    pub(super) name: String,
    /// The folders of all local packages that its component is made of, its own first.
    pub(super) sources: Vec<PathBuf>,
    /// Where cargo puts what it builds.
    pub(super) target: PathBuf,
    /// Cargo's id of its package.
    id: String,
    manifest: PathBuf,
}

/// A component that was built.
pub(super) struct Built {
    /// Its file.
    pub(super) path: PathBuf,
    /// What its bytes say.
    pub(super) contract: Contract,
}

/// Where cargo says what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Say {
    /// On the terminal, as it goes.
    AsItGoes,
    /// In the error, where the build fails; warnings once it is done. Ctrl-C is not for it.
    OnFailure,
}

/// The crate does not build, for reasons that its compiler gave.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` does not build")]
pub(super) struct BuildError {
    name: String,
    #[source]
    source: Option<CompilerError>,
}

/// What a compiler said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct CompilerError(String);

/// A process with all that it started, where it leads a group. Dropped, they are killed.
struct Group(Option<Pid>);

/// What `cargo metadata` says, as far as it is needed.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Option<Resolve>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
    source: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<ResolveNode>,
}

#[derive(Deserialize)]
struct ResolveNode {
    id: String,
    dependencies: Vec<String>,
}

/// A line of what `cargo build` prints.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

impl Crate {
    /// Finds the crate in the folder `path`, and checks that it can become a component.
    ///
    /// # Errors
    ///
    /// When there is none, cargo or the target are missing, its dependencies cannot be had,
    /// or it is of the wrong type; with a hint.
    pub(super) async fn find(path: &Path) -> Result<Self> {
        let manifest = if path.ends_with("Cargo.toml") { path.to_owned() } else { path.join("Cargo.toml") };
        let manifest = match std::fs::canonicalize(&manifest) {
            Ok(manifest) => manifest,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Hinted::error(
                    format!("there is no crate in `{}`: it has no Cargo.toml", path.display()),
                    "name the folder of a processor; `flowctl processors init` makes one",
                ));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", manifest.display())),
        };
        let metadata: Metadata = metadata(&manifest).await?;
        let found = metadata.packages.iter().find(|package| package.manifest_path == manifest);
        let package = found.ok_or_else(|| no_package(path, &metadata))?;
        if !package.targets.iter().any(is_component) {
            return Err(Hinted::error(
                format!("`{}` does not become a component: its library is of another type", package.name),
                format!("write into {}:\n[lib]\ncrate-type = [\"cdylib\", \"rlib\"]", manifest.display()),
            ));
        }
        check_target(&manifest).await?;
        Ok(Self {
            name: package.name.clone(),
            sources: sources(&metadata, package),
            id: package.id.clone(),
            target: metadata.target_directory.clone(),
            manifest,
        })
    }

    /// The folder that its manifest is in.
    pub(super) fn folder(&self) -> &Path {
        folder_of(&self.manifest)
    }

    /// Builds the component. Cargo is killed when the future is dropped, with what it started
    /// where it says nothing as it goes.
    ///
    /// # Errors
    ///
    /// [`BuildError`] where it does not compile; else when cargo cannot be started, or what
    /// came out is no plugin.
    pub(super) async fn build(&self, say: Say) -> Result<Built> {
        let mut command = tool("cargo", &self.manifest);
        command.args(["build", "--release", "--lib", "--target", TARGET]);
        command.args(["--message-format", "json-render-diagnostics", "--manifest-path"]).arg(&self.manifest);
        if say == Say::OnFailure {
            command.arg("--quiet").process_group(0);
        }
        let output = run(&mut command, say).await?;
        if !output.status.success() {
            let signal = output.status.signal();
            let killed = signal.map(|signal| format!("cargo was ended by signal {signal}"));
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let said: Vec<String> = [said].into_iter().filter(|said| !said.is_empty()).chain(killed).collect();
            return Err(BuildError {
                name: self.name.clone(),
                source: (!said.is_empty()).then(|| CompilerError(said.join("\n"))),
            }
            .into());
        }
        let warnings = String::from_utf8_lossy(&output.stderr);
        if !warnings.trim().is_empty() {
            status::say(warnings.trim_end());
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let path = messages.lines().filter_map(|line| self.component(line)).next_back();
        let path = path.with_context(|| format!("cargo built `{}`, and no component of it", self.name))?;
        Ok(Built { contract: catalog::contract(&path)?, path })
    }

    /// The component that a line of cargo's says it built.
    fn component(&self, line: &str) -> Option<PathBuf> {
        let message: Message = serde_json::from_str(line).ok()?;
        let is_own = message.reason == "compiler-artifact" && message.package_id == self.id;
        message.filenames.into_iter().find(|path| is_own && path.extension() == Some(OsStr::new("wasm")))
    }
}

impl Group {
    fn of(leader: &Child) -> Self {
        Self(leader.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // fails where it leads none
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

async fn metadata<T: DeserializeOwned>(manifest: &Path) -> Result<T> {
    let mut command = tool("cargo", manifest);
    // what other platforms need is not asked for: it may have to be fetched
    command.args(["metadata", "--format-version", "1", "--filter-platform", TARGET, "--manifest-path"]).arg(manifest);
    let output = run(&mut command, Say::OnFailure).await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let lacks_sdk = said.contains("no matching package named `flowctl-sdk`");
        let error = anyhow::Error::new(CompilerError(said));
        let message = format!("cargo cannot use `{}`", manifest.display());
        return Err(match lacks_sdk {
            true => error.context(Hinted {
                message,
                hint: "the registry of crates has no such flowctl-sdk: name its folder in a checkout of flowctl, \
                       `flowctl-sdk = { path = \"…/sdk/flowctl-sdk\" }`"
                    .to_owned(),
                code: None,
            }),
            false => error.context(message),
        });
    }
    serde_json::from_slice(&output.stdout).context("cannot read what `cargo metadata` says")
}

fn is_component(target: &Target) -> bool {
    target.crate_types.iter().any(|kind| kind == "cdylib")
}

/// The folders of the local packages that `package` is made of, its own first.
fn sources(metadata: &Metadata, package: &Package) -> Vec<PathBuf> {
    let mut wanted = vec![package.id.as_str()];
    let mut seen: HashSet<&str> = wanted.iter().copied().collect();
    let mut index = 0;
    while let Some(id) = wanted.get(index) {
        let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes).filter(|node| node.id == *id);
        let used: Vec<&str> = nodes.flat_map(|node| &node.dependencies).map(String::as_str).collect();
        wanted.extend(used.into_iter().filter(|id| seen.insert(id)));
        index += 1;
    }
    let local = |id: &&str| metadata.packages.iter().find(|package| package.id == **id && package.source.is_none());
    let folders = wanted.iter().filter_map(local).filter_map(|package| package.manifest_path.parent());
    folders.map(Path::to_owned).collect()
}

fn no_package(path: &Path, metadata: &Metadata) -> anyhow::Error {
    let components =
        metadata.packages.iter().filter(|package| package.source.is_none() && package.targets.iter().any(is_component));
    let folders: Vec<String> = components
        .filter_map(|package| package.manifest_path.parent())
        .map(|folder| folder.display().to_string())
        .collect();
    let hint = match folders.as_slice() {
        [] => "`flowctl processors init` makes a crate".to_owned(),
        folders => format!("name the folder of one: {}", folders.join(", ")),
    };
    Hinted::error(format!("`{}` is a workspace, and no crate itself", path.display()), hint)
}

/// Checks that the toolchain of the crate can build components.
async fn check_target(manifest: &Path) -> Result<()> {
    // the one that cargo takes
    let mut command = tool(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()), manifest);
    command.args(["--print", "target-libdir", "--target", TARGET]);
    let output = run(&mut command, Say::OnFailure).await?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && Path::new(&folder).is_dir() {
        return Ok(());
    }
    let hint = format!(
        "`rustup target add {TARGET}` installs it; where Rust did not come with rustup, its package for {TARGET} does"
    );
    let missing = Hinted { message: format!("the Rust toolchain has no target {TARGET}"), hint, code: None };
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if said.is_empty() { anyhow::Error::new(missing) } else { anyhow!(said).context(missing) })
}

/// A tool of Rust's, for the crate of `manifest`.
fn tool(program: impl AsRef<OsStr>, manifest: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder_of(manifest));
    command
}

/// The folder of a manifest, which is named by its absolute path.
fn folder_of(manifest: &Path) -> &Path {
    manifest.parent().unwrap_or(manifest)
}

/// Runs a tool of Rust's to its end.
async fn run(command: &mut Command, say: Say) -> Result<Output> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let stderr = match say {
        Say::AsItGoes => Stdio::inherit(),
        Say::OnFailure => {
            // what it says is looked into, and shown without what acts on a terminal
            command.env("CARGO_TERM_COLOR", "never");
            Stdio::piped()
        }
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).kill_on_drop(true);
    let running = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Hinted::error(
            format!("`{program}` is not installed, or not on the PATH"),
            "processors are built with Rust: https://rustup.rs says how to install it",
        ),
        _ => anyhow::Error::new(error).context(format!("cannot start `{program}`")),
    })?;
    let mut group = Group::of(&running);
    let output = running.wait_with_output().await;
    group.0 = None;
    output.with_context(|| format!("cannot wait for `{program}`"))
}
