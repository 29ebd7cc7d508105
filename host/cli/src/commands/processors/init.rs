//! `flowctl processors init`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;
use flowctl_registry::{ChainError, Registry};
use flowctl_schema::{Schema, Type};
use flowctl_types::{EventType, NodeId, one_of};

use super::rust_form::is_keyword;
use super::scaffold::Scaffold;
use crate::args::PluginArgs;
use crate::artifacts::Artifacts;
use crate::artifacts::args::RegistryArgs;
use crate::catalog::{self, types};
use crate::commands::topology;
use crate::help::examples;
use crate::report::Hinted;
use crate::{output, status};

/// Names of crates that cargo, the compiler or the processor itself needs; and what is something
/// else in the files of a crate: a module of it, a node of its pipeline, or nothing.
const RESERVED: [&str; 11] = [
    "alloc",
    "core",
    "events",
    "flowctl-sdk",
    "flowctl-sdk-macros",
    "null",
    "out",
    "proc-macro",
    "std",
    "test",
    "tests",
];

/// Arguments of `processors init`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl processors init big-orders --input example.order.v1 --output example.order.v1", ""),
    ("flowctl processors init alerts --input example.order.v1 --output acme.alert.v1 --types alert.wit", ""),
    ("flowctl processors init sums --input acme.alert.v1 --output stellar.volume.v1 --plugins plugins", ""),
]))]
pub(crate) struct Init {
    /// The processor's name, of `a-z`, `0-9` and `-`; the crate's too
    #[arg(value_name = "NAME")]
    name: String,
    /// Event type that goes in
    #[arg(long, value_name = "TYPE")]
    input: EventType,
    /// Event type that comes out
    #[arg(long, value_name = "TYPE")]
    output: EventType,
    /// Event types of your own: a file of WIT text, or a folder with a package; may be repeated
    #[arg(long, value_name = "FILE")]
    types: Vec<PathBuf>,
    /// The crate's folder, which is made [default: one of the processor's name]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Take flowctl-sdk from its folder, or from a checkout of flowctl [default: the published one of this version]
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
    #[command(flatten)]
    plugins: PluginArgs,
}

impl Init {
    /// Makes the crate, and prints the paths of its files.
    pub(crate) fn run(self) -> Result<ExitCode> {
        check_name(&self.name)?;
        let sdk = match &self.sdk {
            Some(path) => format!("{{ path = {} }}", serde_json::to_string(&sdk_folder(path)?.to_string_lossy())?),
            None => format!("{:?}", env!("CARGO_PKG_VERSION")),
        };
        let declared = self.types.iter().map(|path| (path.display().to_string(), path.as_path()));
        let artifacts = Artifacts::new(RegistryArgs::default())?;
        let live = self.plugins.plane.live()?;
        let registry = catalog::load(&self.plugins.plugins, &artifacts, &live, types::declarations(declared))?;
        topology::check_declared(&registry)?;
        let scaffold = Scaffold {
            name: &self.name,
            input: known(&registry, &self.input)?,
            output: known(&registry, &self.output)?,
            built_in: catalog::well_known(),
            sdk: &sdk,
        };
        let folder = self.path.clone().unwrap_or_else(|| PathBuf::from(&self.name));
        let mut lines = Vec::new();
        check_free(&folder)?;
        for (path, text) in scaffold.files() {
            let path = folder.join(path);
            write_new(&path, &text)?;
            lines.push(path.display().to_string());
        }
        format(&folder.join("src/lib.rs"));
        output::line(lines.join("\n"))?;
        status::say(&format!("Made the processor `{}`: {} → {}", self.name, self.input, self.output));
        for schema in scaffold.own_types() {
            status::say(&format!(
                "  `{}` stands in its folder wit/; the other types are the SDK's",
                schema.event_type()
            ));
        }
        let is_here = folder == Path::new(".");
        let go = if is_here { String::new() } else { format!("  cd {}\n", output::shell_word(&folder)) };
        status::say(&format!("Next:\n{go}  flowctl processors test\n  flowctl processors dev pipeline.yaml"));
        Ok(ExitCode::SUCCESS)
    }
}

/// A name is one of a node, of a crate, and of a module in Rust.
fn check_name(name: &str) -> Result<()> {
    let is_reserved = RESERVED.contains(&name) || is_keyword(name);
    let is_spelled = name.parse::<NodeId>().is_ok()
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--");
    match (is_spelled, is_reserved) {
        (true, false) => Ok(()),
        (true, true) => Err(Hinted::error(
            format!("`{name}` cannot name a processor: it is something else in Rust, or in the crate's files"),
            format!("choose another, such as `{name}-processor`"),
        )),
        (false, _) => Err(Hinted::error(
            format!("`{name}` cannot name a processor"),
            "write words of `a-z` and `0-9` with `-` between, the first letter one of `a-z`, 63 at most: `big-orders`",
        )),
    }
}

/// The structure of a type, which the SDK must be able to handle.
fn known<'r>(registry: &'r Registry, event_type: &EventType) -> Result<&'r Schema> {
    let schema = registry.event_type(event_type).map_err(|error| {
        let nearest = match &error {
            ChainError::UnknownType { nearest, .. } if !nearest.is_empty() => {
                format!("did you mean {}? If not, ", one_of(nearest))
            }
            _ => String::new(),
        };
        Hinted::error(
            error.to_string(),
            format!(
                "{nearest}`--types FILE` brings a type of your own, in WIT; `--plugins DIR` and `flowctl pull` make \
                 those of plugins known"
            ),
        )
    })?;
    match schema.root() {
        Type::Record(_) | Type::Variant(_) | Type::Enum(_) | Type::Bytes => Ok(schema),
        other => Err(Hinted::error(
            format!("`{event_type}` is a `{other}`, which has no form in the SDK"),
            "an event is a record, a variant, an enum or `list<u8>`: put it into a record",
        )),
    }
}

/// The absolute path of the SDK's crate.
fn sdk_folder(path: &Path) -> Result<PathBuf> {
    let candidates = [path.to_owned(), path.join("sdk/flowctl-sdk")];
    let is_sdk = |folder: &&PathBuf| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.trim() == "name = \"flowctl-sdk\"")
    };
    let found = candidates.iter().find(is_sdk).map(fs::canonicalize);
    found.transpose().with_context(|| format!("cannot resolve `{}`", path.display()))?.ok_or_else(|| {
        Hinted::error(
            format!("there is no flowctl-sdk in `{}`", path.display()),
            "name its folder, or that of a checkout of flowctl, which has it in sdk/flowctl-sdk",
        )
    })
}

/// Refuses a folder that has something in it.
fn check_free(folder: &Path) -> Result<()> {
    let taken = |what: &str| {
        let message = format!("`{}` {what}: nothing was written", folder.display());
        Hinted::error(message, "choose another name, or another folder with `--path DIR`")
    };
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(taken("is not empty")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(taken("is there, and no folder")),
        Err(error) => Err(error).with_context(|| format!("cannot read the folder `{}`", folder.display())),
    }
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    let what = || format!("cannot write `{}`", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(what)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).with_context(what)?;
    file.write_all(text.as_bytes()).with_context(what)
}

/// Formats Rust as its author's tools would, where they are there.
fn format(path: &Path) {
    let mut rustfmt = Command::new("rustfmt");
    let silent = rustfmt.args(["--edition", "2024"]).arg(path).stdin(Stdio::null()).stdout(Stdio::null());
    // it compiles as it is
    let _ = silent.stderr(Stdio::null()).status();
}
