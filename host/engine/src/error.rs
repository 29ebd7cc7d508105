//! What can be wrong with a plugin before it runs.
//!
//! Invariant: every error names what it is about; the cause stays in `source`. What
//! goes wrong while a plugin runs is a `Fault` of the runtime instead.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use flowctl_schema::{ContractError, Role};
use flowctl_types::{Code, Digest};

/// Why a plugin could not be made ready, or the engine not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// wasmtime refuses the engine's settings, or memory for it.
    #[error("cannot start the WebAssembly engine")]
    Start {
        /// What wasmtime says.
        #[source]
        source: wasmtime::Error,
    },
    /// The node runs something else than a plugin.
    #[error("node `{node}` runs the connector `{connector}`, which is no plugin")]
    NotAPlugin {
        /// The node.
        node: String,
        /// What it runs.
        connector: String,
    },
    /// The file could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file is larger than a component may be.
    #[error("`{}` has {found} bytes, a component may have {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The largest size in bytes.
        limit: u64,
    },
    /// The file is not the one that the topology was planned with.
    #[error("`{}` has changed: its digest is {found}, the plan pins {pinned}; plan again to take the new one", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// The digest of its bytes.
        found: Digest,
        /// The digest that the topology pins.
        pinned: Digest,
    },
    /// The bytes are no component of the contract.
    #[error("`{plugin}` is no flowctl plugin")]
    Contract {
        /// The plugin.
        plugin: String,
        /// What is wrong.
        #[source]
        source: Box<ContractError>,
    },
    /// The component does something else than the topology has it do.
    #[error("`{plugin}` is a {found}, but node `{node}` runs a {wanted}")]
    Role {
        /// The plugin.
        plugin: String,
        /// The node.
        node: String,
        /// What the component is.
        found: Role,
        /// What the topology has it be.
        wanted: Role,
    },
    /// The component's own types are not those that the topology was planned with.
    #[error("`{plugin}` declares {found} as {direction}, but node `{node}` was planned with {planned}")]
    Types {
        /// The plugin.
        plugin: String,
        /// The node.
        node: String,
        /// `input` or `output`.
        direction: &'static str,
        /// What the component declares.
        found: String,
        /// What the topology has.
        planned: String,
    },
    /// The component imports what no host function answers.
    #[error("`{plugin}` asks for {}, which flowctl does not provide", list(imports))]
    Imports {
        /// The plugin.
        plugin: String,
        /// The imports.
        imports: Vec<String>,
    },
    /// The component cannot be linked, or lacks an export that its contract names.
    #[error("`{plugin}` cannot be linked")]
    Link {
        /// The plugin.
        plugin: String,
        /// What wasmtime says.
        #[source]
        source: wasmtime::Error,
    },
    /// The compiler refuses the bytes.
    #[error("`{plugin}` does not compile: {reason}")]
    Compile {
        /// The plugin.
        plugin: String,
        /// What the compiler says.
        reason: String,
    },
    /// The compiler took too long and was stopped.
    #[error("`{plugin}` did not compile within {} s; the compiler was stopped", limit.as_secs_f64())]
    CompileTime {
        /// The plugin.
        plugin: String,
        /// The limit.
        limit: Duration,
    },
    /// The compiler could not be run.
    #[error("cannot run the compiler `{}`", program.display())]
    CompilerStart {
        /// The program.
        program: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A grant cannot be given.
    #[error("cannot grant `{grant}` to node `{node}`: {reason}")]
    Grant {
        /// The node.
        node: String,
        /// The grant.
        grant: String,
        /// Why not.
        reason: String,
    },
    /// The configuration does not fit the component's record.
    #[error("configuration of node `{node}`: {reason}")]
    Config {
        /// The node.
        node: String,
        /// What does not fit, and where.
        reason: String,
    },
    /// The component itself refuses its configuration.
    #[error("plugin `{plugin}` refuses the configuration of node `{node}`: {reason}")]
    Refused {
        /// The plugin.
        plugin: String,
        /// The node.
        node: String,
        /// In the plugin's words.
        reason: String,
    },
    /// The component crashed while it was made ready.
    #[error("{reason}{}", tail(log_tail))]
    Crashed {
        /// What happened.
        reason: String,
        /// The last lines it wrote.
        log_tail: String,
    },
}

impl EngineError {
    /// Its code, where it has one.
    #[must_use]
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Contract { .. } | Self::Role { .. } | Self::Imports { .. } | Self::Link { .. } => {
                Some(Code::NotAPlugin)
            }
            Self::Digest { .. } => Some(Code::PluginDamaged),
            Self::Config { .. } | Self::Refused { .. } => Some(Code::BadConfig),
            Self::Crashed { .. } => Some(Code::PluginCrashed),
            _ => None,
        }
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn tail(log_tail: &str) -> String {
    if log_tail.is_empty() { String::new() } else { format!("\nlast lines of its log:\n{log_tail}") }
}
