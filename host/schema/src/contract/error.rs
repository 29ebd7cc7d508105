//! Why a file is no component that flowctl can use, and what to do about it.

use flowctl_types::EventTypeError;

use super::{CONTRACT_VERSION, MAX_COMPONENT_BYTES, MAX_MANIFEST_BYTES, Role};
use crate::TypeError;

/// Why a file is no component that flowctl can use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContractError {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// Too many bytes.
    #[error("the file has {size_bytes} bytes, the limit is {MAX_COMPONENT_BYTES}")]
    TooLarge {
        /// How many there are.
        size_bytes: usize,
    },
    /// Something else than WebAssembly.
    #[error("the file is not WebAssembly: it starts with `{start}`")]
    NotWasm {
        /// Its first bytes, those that cannot be shown as `\x…`.
        start: String,
    },
    /// WebAssembly's text format.
    #[error("the file is WebAssembly text, not binary")]
    Text,
    /// A core module, which has no typed interfaces.
    #[error("the file is a core WebAssembly module, not a component")]
    Module,
    /// A binary format of another time.
    #[error("the file is WebAssembly of binary version {version}, which is not known")]
    BinaryVersion {
        /// The version field.
        version: u32,
    },
    /// The bytes break the rules of the format: a truncated or damaged file.
    #[error("the component is damaged or not valid at byte {offset:#x}")]
    Invalid {
        /// Where.
        offset: usize,
        /// Which rule.
        #[source]
        source: wasmparser::BinaryReaderError,
    },
    /// The bytes end before the component does.
    #[error("the component ends in the middle")]
    Incomplete,
    /// A component that is no flowctl plugin.
    #[error(
        "the component exports none of `handler`, `producer` and `consumer` of `flowctl:processor`: {}",
        found(exports)
    )]
    NoContract {
        /// What it exports.
        exports: Vec<String>,
    },
    /// A plugin for another version of the contract.
    #[error(
        "the component was built for another version of the contract: it has `{found}`, this host has `flowctl:processor@{CONTRACT_VERSION}`"
    )]
    Version {
        /// The interface that says so.
        found: String,
    },
    /// More than one role.
    #[error("the component is {first} and {second} at once")]
    SeveralRoles {
        /// One of its roles.
        first: Role,
        /// Another one.
        second: Role,
    },
    /// An interface that the role demands is not there.
    #[error("the {role} does not export an interface `{interface}`, which names its event type")]
    NoEvents {
        /// What the component is.
        role: Role,
        /// `input` or `output`.
        interface: &'static str,
    },
    /// An interface that the role has no use for is there.
    #[error("the {role} exports an interface `{interface}`, which a {role} cannot have")]
    UnfitEvents {
        /// What the component is.
        role: Role,
        /// `input` or `output`.
        interface: &'static str,
    },
    /// `input` or `output` without a type `event`.
    #[error("interface `{interface}` has no type `event`")]
    NoEventType {
        /// `input` or `output`.
        interface: &'static str,
    },
    /// An event type that does not come from a package of its own.
    #[error(
        "type `{name}` of interface `{interface}` does not come from the interface `event` of a versioned WIT package"
    )]
    Homeless {
        /// `input` or `output`.
        interface: &'static str,
        /// `event`, or the case of it.
        name: String,
    },
    /// The package's name maps to no event type.
    #[error("interface `{interface}` uses an event type whose name cannot be used")]
    Name {
        /// `input` or `output`.
        interface: &'static str,
        /// Why not.
        #[source]
        source: EventTypeError,
    },
    /// The event's structure is one that events cannot have.
    #[error("event type `{event}` of interface `{interface}` cannot be used")]
    Type {
        /// `input` or `output`.
        interface: &'static str,
        /// The event type's package.
        event: String,
        /// Why not.
        #[source]
        source: TypeError,
    },
    /// An interface `config` that is not the contract's.
    #[error("interface `config` has no {missing}")]
    Config {
        /// What it lacks.
        missing: &'static str,
    },
    /// A configuration record that cannot be written in YAML.
    #[error("record `config` cannot be used")]
    ConfigType {
        /// Why not.
        #[source]
        source: TypeError,
    },
    /// A default in the manifest that its field cannot have.
    #[error("section `flowctl:manifest` gives the configuration field `{field}` a default that it cannot have")]
    Default {
        /// The field.
        field: String,
        /// Why not.
        #[source]
        source: crate::ConfigFault,
    },
    /// The section `flowctl:manifest` cannot be read.
    #[error("section `flowctl:manifest` cannot be read")]
    Manifest {
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// Several manifests, or one that is too long.
    #[error("section `flowctl:manifest` {fault}, and there may be one, of at most {MAX_MANIFEST_BYTES} bytes")]
    ManifestBounds {
        /// What is wrong with it.
        fault: String,
    },
}

impl ContractError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Empty | Self::Incomplete | Self::Invalid { .. } => {
                "build or pull the plugin again: the file was not written completely, or was changed since"
            }
            Self::NotWasm { .. } => "give the path of a plugin's `.wasm` file",
            Self::Text => "assemble it first, with `wasm-tools parse`",
            Self::Module => {
                "build for the target `wasm32-wasip2`, which gives components (`wasm32-wasip1` and `wasm32-unknown-unknown` give modules)"
            }
            Self::NoContract { .. } => {
                "a plugin includes the world `processor`, `source` or `sink` of `flowctl:processor`: with the SDK, a module under `#[flowctl_sdk::processor]`"
            }
            Self::Version { .. } => "build the plugin again with the SDK of this host's version",
            Self::SeveralRoles { .. } => "split it into two components, one role each",
            Self::NoEvents { .. } | Self::NoEventType { .. } => {
                "export `interface { use namespace:name/event@1.0.0.{name}; type event = name; }` under this name"
            }
            Self::UnfitEvents { .. } => "a source has `output`, a sink has `input`, a processor has both",
            Self::Homeless { .. } => {
                "define it in `interface event` of `package namespace:name@1.0.0`, and `use` it from there"
            }
            Self::Type { source, .. } | Self::ConfigType { source } => return source.hint(),
            Self::Config { .. } => "export `record config { … }` and `configure: func(c: config) -> result<_, string>`",
            Self::Manifest { .. } | Self::ManifestBounds { .. } | Self::Default { .. } => {
                "build the plugin again with the SDK of this host's version"
            }
            Self::TooLarge { .. } | Self::BinaryVersion { .. } | Self::Name { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

fn found(exports: &[String]) -> String {
    const SHOWN: usize = 8;
    if exports.is_empty() {
        return "it exports nothing".to_owned();
    }
    let names: Vec<String> = exports.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let rest = exports.len().saturating_sub(SHOWN);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("it exports {}{more}", names.join(", "))
}
