//! What a registry knows of one thing that can be a node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowctl_schema::{ConfigSchema, Contract, Conversion, Mismatch, Role, Schema};
use flowctl_types::{Digest, EventType};

use crate::LiveOrigin;

/// Something that can be a node: a plugin, a connector that is built in, or a component
/// that runs in another process.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name that pipelines use; unique within a kind of origin. Of a live component
    /// its id.
    pub name: String,
    /// What it does in a topology.
    pub role: Role,
    /// What it reads; [`Accepts::Nothing`] for a source.
    pub accepts: Accepts,
    /// What it emits; [`Emits::Nothing`] for a sink.
    pub emits: Emits,
    /// Its configuration; none where there is nothing to configure, and for a live
    /// component, which says nothing of it.
    pub config: Option<ConfigSchema>,
    /// What filters by `where:` see, such as `network`. A key that is absent passes.
    pub metadata: BTreeMap<String, String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// What an entry reads.
#[derive(Debug, Clone)]
pub enum Accepts {
    /// No events: a source.
    Nothing,
    /// These types and no other, in the order of the contract's `kind`.
    Types(Vec<Schema>),
    /// Any type, opaque ones too: `stdout`, `file`, `blackhole`.
    Any,
    /// Any type that is not opaque: `postgres`.
    AnyRecord,
}

/// What an entry emits.
#[derive(Debug, Clone)]
pub enum Emits {
    /// No events: a sink.
    Nothing,
    /// These types, in the order of the contract's `kind`.
    Types(Vec<Schema>),
    /// The one type that this field of its configuration names: `file`, `stdin`, `generate`.
    Configured {
        /// The field's name, `type`.
        field: &'static str,
    },
}

/// Why an entry does not take events of a schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Refusal {
    /// It reads no type of that name.
    Type,
    /// It takes typed events only, and these are bytes without structure.
    Opaque,
    /// It reads a type of that name, of another structure.
    Structure(Mismatch),
}

/// Where an entry comes from. Where names meet, a live component wins over a plugin, and
/// a plugin over a connector.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A component on disk.
    Plugin {
        /// Its file.
        path: PathBuf,
        /// What its bytes say.
        contract: Arc<Contract>,
    },
    /// Part of this binary.
    BuiltIn {
        /// What it does, in one sentence.
        summary: &'static str,
        /// Whether this build can run it; discovery knows more than can be run.
        is_available: bool,
    },
    /// A process of its own, which registered or is to be started.
    Live(LiveOrigin),
}

impl Entry {
    /// The entry for a component at `path` whose bytes say `contract`.
    #[must_use]
    pub fn plugin(path: PathBuf, contract: impl Into<Arc<Contract>>) -> Self {
        let contract = contract.into();
        let accepts = match contract.role {
            Role::Source => Accepts::Nothing,
            Role::Processor | Role::Sink => Accepts::Types(contract.inputs.clone()),
        };
        let emits = match contract.role {
            Role::Sink => Emits::Nothing,
            Role::Source | Role::Processor => Emits::Types(contract.outputs.clone()),
        };
        Self {
            name: contract.name.clone(),
            role: contract.role,
            accepts,
            emits,
            config: contract.config.clone(),
            metadata: contract.metadata.clone(),
            origin: Origin::Plugin { path, contract },
        }
    }

    /// What its bytes say; none for what is no plugin.
    #[must_use]
    pub fn contract(&self) -> Option<&Contract> {
        match &self.origin {
            Origin::Plugin { contract, .. } => Some(contract),
            Origin::BuiltIn { .. } | Origin::Live(_) => None,
        }
    }

    /// Its file; none for what is no plugin.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.origin {
            Origin::Plugin { path, .. } => Some(path),
            Origin::BuiltIn { .. } | Origin::Live(_) => None,
        }
    }

    /// The version that it says of itself. Connectors have the version of the binary
    /// and say none.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match &self.origin {
            Origin::Plugin { contract, .. } => contract.version.as_deref(),
            Origin::Live(live) => live.version.as_deref(),
            Origin::BuiltIn { .. } => None,
        }
    }

    /// The digest of its bytes; none for what is no plugin.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.contract().map(|contract| contract.digest)
    }

    /// What it does, in a sentence, where it says so.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        match &self.origin {
            Origin::Plugin { contract, .. } => contract.description.as_deref(),
            Origin::BuiltIn { summary, .. } => Some(summary),
            Origin::Live(live) => Some(live.description.as_str()).filter(|text| !text.is_empty()),
        }
    }

    /// Whether this build can run it. Discovery knows more than can be run.
    #[must_use]
    pub const fn is_available(&self) -> bool {
        match &self.origin {
            Origin::Plugin { .. } | Origin::Live(_) => true,
            Origin::BuiltIn { is_available, .. } => *is_available,
        }
    }

    /// The types it reads by name; empty for a source and for a sink that takes any.
    #[must_use]
    pub fn inputs(&self) -> &[Schema] {
        match &self.accepts {
            Accepts::Types(types) => types,
            Accepts::Nothing | Accepts::Any | Accepts::AnyRecord => &[],
        }
    }

    /// The types it emits whatever its configuration.
    #[must_use]
    pub fn outputs(&self) -> &[Schema] {
        match &self.emits {
            Emits::Types(types) => types,
            Emits::Nothing | Emits::Configured { .. } => &[],
        }
    }

    /// Whether it emits `event_type` without being configured to.
    #[must_use]
    pub fn emits_type(&self, event_type: &EventType) -> bool {
        self.outputs().iter().any(|schema| schema.event_type() == event_type)
    }

    /// The first `where:` filter that it contradicts: the key and the value it has.
    /// An entry that is silent on a key passes.
    #[must_use]
    pub fn contradicts<'a>(&'a self, filter: &'a BTreeMap<String, String>) -> Option<(&'a str, &'a str)> {
        filter.iter().find_map(|(key, wanted)| {
            let found = self.metadata.get(key)?;
            (found != wanted).then_some((key.as_str(), found.as_str()))
        })
    }

    /// How this entry takes events of `emitted`: the index into its inputs and what
    /// payloads go through. A sink that takes any type has index 0. A live component
    /// takes whatever has the name of one of its types, as it is.
    ///
    /// # Errors
    ///
    /// [`Refusal`], with the difference where only structures differ.
    pub fn takes(&self, emitted: &Schema) -> Result<(usize, Conversion), Refusal> {
        match &self.accepts {
            Accepts::Any => Ok((0, Conversion::Same)),
            Accepts::AnyRecord if emitted.is_opaque() => Err(Refusal::Opaque),
            Accepts::AnyRecord => Ok((0, Conversion::Same)),
            Accepts::Nothing => Err(Refusal::Type),
            Accepts::Types(types) => {
                let mut refusal = Refusal::Type;
                for (index, wanted) in types.iter().enumerate() {
                    if wanted.event_type() != emitted.event_type() {
                        continue;
                    }
                    if self.is_live() {
                        return Ok((index, Conversion::Same));
                    }
                    match wanted.accepts(emitted) {
                        Ok(conversion) => return Ok((index, conversion)),
                        Err(mismatch) => refusal = Refusal::Structure(mismatch),
                    }
                }
                Err(refusal)
            }
        }
    }
}
