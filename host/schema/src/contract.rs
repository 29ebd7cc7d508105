//! What a component's bytes tell about it, with no instantiation.
//!
//! Invariant: the bytes are validated first, and what is read of them is bounded by
//! their size. The types in the component are the truth; the manifest section adds
//! names, docs and defaults to them.

mod component;
mod error;
mod imports;
mod manifest;

use std::collections::BTreeMap;
use std::fmt;

use flowctl_types::{Digest, EventType};
use wasmparser::component_types::{ComponentAnyTypeId, ComponentValType};

use crate::lower::lower;
use crate::{ConfigSchema, Schema, Type};
use component::{Component, Documented};
use manifest::Manifest;

pub use error::ContractError;

/// Largest component that is read: 256 MiB.
pub const MAX_COMPONENT_BYTES: usize = 256 << 20;

/// The version of `flowctl:processor` that this host speaks. While its major is 0,
/// components of the same minor fit.
pub const CONTRACT_VERSION: semver::Version = semver::Version::new(0, 1, 0);

/// Longest manifest section that is read: 1 MiB.
pub(crate) const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// What a component does in a topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Brings events from outside.
    Source,
    /// Turns events into events.
    Processor,
    /// Takes events out.
    Sink,
}

/// Everything known of a component from its bytes alone.
#[derive(Debug, Clone)]
pub struct Contract {
    /// What it does.
    pub role: Role,
    /// The manifest's name, else the fallback that the reader gave.
    pub name: String,
    /// The manifest's version.
    pub version: Option<String>,
    /// The manifest's description.
    pub description: Option<String>,
    /// The event types it takes; the index is the batch's `kind`. Empty for sources.
    pub inputs: Vec<Schema>,
    /// The event types it gives; the index is the batch's `kind`. Empty for sinks.
    pub outputs: Vec<Schema>,
    /// Its configuration record, where it has one.
    pub config: Option<ConfigSchema>,
    /// Whether it exports `state`.
    pub has_state: bool,
    /// Whether it exports `timer`.
    pub has_timer: bool,
    /// Whether the manifest says that every event it gives has a partition key.
    pub brings_keys: bool,
    /// The version of `flowctl:processor` that it was built on.
    pub contract_version: semver::Version,
    /// The imports beyond what every guest with a standard library has. To import is
    /// not to be granted.
    pub asks: Vec<String>,
    /// What else the manifest says, such as the network.
    pub metadata: BTreeMap<String, String>,
    /// Size of the component in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the component.
    pub digest: Digest,
}

impl Contract {
    /// Reads a component. `fallback_name` (the file's stem, or the reference's last
    /// part) is its name where it has no manifest.
    ///
    /// # Errors
    ///
    /// [`ContractError`] when the bytes are no component of the contract.
    pub fn read(bytes: &[u8], fallback_name: &str) -> Result<Self, ContractError> {
        check_header(bytes)?;
        let component = Component::read(bytes)?;
        let (role, contract_version) = role(&component)?;
        let manifest = Manifest::read(&component.manifests)?;
        let reader = Reader { component: &component, manifest: &manifest, role };
        let (inputs, outputs) = (reader.events("input")?, reader.events("output")?);
        let config = reader.config()?;
        let exports = |interface: &str| {
            let mut ids = component.exports.iter().filter_map(|export| export.id());
            ids.any(|id| id.namespace == "flowctl" && id.package == "processor" && id.interface == interface)
        };
        Ok(Self {
            role,
            inputs,
            outputs,
            config,
            has_state: exports("state"),
            has_timer: exports("timer"),
            brings_keys: manifest.brings_keys,
            contract_version,
            asks: imports::beyond_baseline(&component),
            name: manifest.name.unwrap_or_else(|| fallback_name.to_owned()),
            version: manifest.version,
            description: manifest.description,
            metadata: manifest.metadata,
            size_bytes: bytes.len() as u64,
            digest: Digest::of(bytes),
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Source => "source",
            Self::Processor => "processor",
            Self::Sink => "sink",
        })
    }
}

/// Tells what a file is from its first bytes.
fn check_header(bytes: &[u8]) -> Result<(), ContractError> {
    if bytes.is_empty() {
        return Err(ContractError::Empty);
    }
    if bytes.len() > MAX_COMPONENT_BYTES {
        return Err(ContractError::TooLarge { size_bytes: bytes.len() });
    }
    let Some(rest) = bytes.strip_prefix(b"\0asm") else {
        let text = bytes.trim_ascii_start();
        if [&b"(component"[..], b"(module", b";;"].iter().any(|start| text.starts_with(start)) {
            return Err(ContractError::Text);
        }
        return Err(ContractError::NotWasm { start: bytes[..bytes.len().min(8)].escape_ascii().to_string() });
    };
    match rest.first_chunk::<4>() {
        None => Err(ContractError::Incomplete),
        Some([0x0d, 0, 1, 0]) => Ok(()),
        Some([1, 0, 0, 0]) => Err(ContractError::Module),
        Some(version) => Err(ContractError::BinaryVersion { version: u32::from_le_bytes(*version) }),
    }
}

/// The role, and the version of the contract that says so.
fn role(component: &Component<'_>) -> Result<(Role, semver::Version), ContractError> {
    let mut found: Option<(Role, semver::Version)> = None;
    for item in component.imports.iter().chain(&component.exports) {
        let Some(id) = item.id() else { continue };
        if id.namespace != "flowctl" || id.package != "processor" {
            continue;
        }
        let fits = |version: &semver::Version| {
            version.major == CONTRACT_VERSION.major
                && version.minor == CONTRACT_VERSION.minor
                && version.pre == CONTRACT_VERSION.pre
        };
        let Some(version) = id.version.filter(fits) else {
            return Err(ContractError::Version { found: item.name.clone() });
        };
        let role = match id.interface.as_str() {
            "handler" => Role::Processor,
            "producer" => Role::Source,
            "consumer" => Role::Sink,
            _ => continue,
        };
        if !component.exports.iter().any(|export| export.name == item.name) {
            continue;
        }
        match &found {
            Some((first, _)) if *first != role => {
                return Err(ContractError::SeveralRoles { first: *first, second: role });
            }
            _ => found = Some((role, version)),
        }
    }
    found.ok_or_else(|| ContractError::NoContract {
        exports: component.exports.iter().map(|export| export.name.clone()).collect(),
    })
}

struct Reader<'a, 'b> {
    component: &'a Component<'b>,
    manifest: &'a Manifest,
    role: Role,
}

impl Reader<'_, '_> {
    /// The event types of `input` or `output`, in the order of `kind`.
    fn events(&self, interface: &'static str) -> Result<Vec<Schema>, ContractError> {
        let role = self.role;
        let is_due = match role {
            Role::Processor => true,
            Role::Source => interface == "output",
            Role::Sink => interface == "input",
        };
        let instance = match self.component.exported(interface) {
            Some(instance) if is_due => instance,
            Some(_) => return Err(ContractError::UnfitEvents { role, interface }),
            None if is_due => return Err(ContractError::NoEvents { role, interface }),
            None => return Ok(Vec::new()),
        };
        let event = self.component.type_of(instance, "event").ok_or(ContractError::NoEventType { interface })?;
        let is_own = self.component.origin(event).is_some_and(|origin| origin.interface == interface);
        match self.component.cases(event).filter(|_| is_own) {
            Some(cases) => cases
                .into_iter()
                .map(|(name, carried)| match carried {
                    Some(id) => self.event(interface, &name, id),
                    None => Err(ContractError::Homeless { interface, name }),
                })
                .collect(),
            None => Ok(vec![self.event(interface, "event", event)?]),
        }
    }

    fn event(&self, interface: &'static str, name: &str, id: ComponentAnyTypeId) -> Result<Schema, ContractError> {
        let homeless = || ContractError::Homeless { interface, name: name.to_owned() };
        let origin = self.component.origin(id).ok_or_else(homeless)?;
        let home = origin.id().filter(|home| home.interface == "event").ok_or_else(homeless)?;
        let version = home.version.ok_or_else(homeless)?;
        let event_type = EventType::from_package(&home.namespace, &home.package, version.major)
            .map_err(|source| ContractError::Name { interface, source })?;
        let root = self.lower(id).map_err(|source| ContractError::Type {
            interface,
            event: format!("{}:{}@{version}", home.namespace, home.package),
            source,
        })?;
        Ok(Schema::new(event_type, version, root, self.manifest.docs(origin, "")))
    }

    fn config(&self) -> Result<Option<ConfigSchema>, ContractError> {
        let Some(instance) = self.component.exported("config") else { return Ok(None) };
        let no_record = || ContractError::Config { missing: "record `config`" };
        let id = self.component.type_of(instance, "config").ok_or_else(no_record)?;
        if !self.component.has_configure(instance, id) {
            return Err(ContractError::Config {
                missing: "function `configure: func(c: config) -> result<_, string>`",
            });
        }
        let root = self.lower(id).map_err(|source| ContractError::ConfigType { source })?;
        let Type::Record(record) = root else { return Err(no_record()) };
        let defaults = [(record.name.clone(), self.manifest.defaults())].into();
        let schema = ConfigSchema::of_record(&record, defaults);
        schema.map(Some).map_err(|(field, fault)| ContractError::Default { field, source: fault })
    }

    fn lower(&self, id: ComponentAnyTypeId) -> Result<Type, crate::TypeError> {
        match id {
            ComponentAnyTypeId::Defined(id) => {
                lower(&Documented { component: self.component, manifest: self.manifest }, ComponentValType::Type(id))
            }
            _ => Err(crate::TypeError::Refused { path: "event".to_owned(), keyword: "resource" }),
        }
    }
}
