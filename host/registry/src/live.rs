//! Components in other processes, as entries.
//!
//! Such a component says the names of its types and nothing of their structure, so these
//! match by name alone. Invariant: where a registry knows a structure under a name, the
//! live entries in it have that one; what nobody describes is opaque.

use std::collections::BTreeMap;

use flowctl_schema::{Role, Schema};
use flowctl_types::{EventType, NodeId};

use crate::{Accepts, Emits, Entry, Origin, kind, less_version};

/// What a component in another process says of itself when it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveComponent {
    /// Its id, `ttp-processor-v1`: unique among live components.
    pub id: String,
    /// Its name, for people; may be empty.
    pub name: String,
    /// What it does, in a sentence; may be empty.
    pub description: String,
    /// Its version; may be empty.
    pub version: String,
    /// What it does in a topology.
    pub role: Role,
    /// The types that it reads. None: a sink or processor that takes any.
    pub input_types: Vec<EventType>,
    /// The types that it emits.
    pub output_types: Vec<EventType>,
    /// Where it listens, `host:port`.
    pub endpoint: String,
    /// What filters by `where:` see.
    pub metadata: BTreeMap<String, String>,
    /// How it is, as [`LiveOrigin::status`].
    pub status: String,
}

/// Where a live entry runs, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOrigin {
    /// Its id.
    pub id: String,
    /// Its name, for people; may be empty.
    pub name: String,
    /// What it does, in a sentence; may be empty.
    pub description: String,
    /// Its version, where it says one.
    pub version: Option<String>,
    /// Where it listens, `host:port`; empty for a process that is still to be started.
    pub endpoint: String,
    /// How it is, in a word: `healthy`, `starting`, `degraded`, `unknown`, `unhealthy`,
    /// `stopping`. The last two alone keep it out of discovery.
    pub status: String,
    /// The node whose `command:` starts it; none for one that runs by itself.
    pub node: Option<NodeId>,
}

impl LiveOrigin {
    /// Whether discovery may choose it.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !["unhealthy", "stopping"].iter().any(|status| self.status.eq_ignore_ascii_case(status))
    }
}

impl Entry {
    /// The entry for a live component. `schema_of` gives the structure that is known
    /// under a type's name; a type without one is opaque.
    #[must_use]
    pub fn live(component: &LiveComponent, schema_of: &dyn Fn(&EventType) -> Option<Schema>) -> Self {
        let schemas = |types: &[EventType]| {
            let schema = |name: &EventType| schema_of(name).unwrap_or_else(|| Schema::opaque(name.clone()));
            types.iter().map(schema).collect::<Vec<_>>()
        };
        let accepts = match (component.role, component.input_types.as_slice()) {
            (Role::Source, _) => Accepts::Nothing,
            (Role::Processor | Role::Sink, []) => Accepts::Any,
            (Role::Processor | Role::Sink, types) => Accepts::Types(schemas(types)),
        };
        let emits = match component.role {
            Role::Sink => Emits::Nothing,
            Role::Source | Role::Processor => Emits::Types(schemas(&component.output_types)),
        };
        let LiveComponent { id, name, description, version, endpoint, status, .. } = component.clone();
        let origin = LiveOrigin {
            id: id.clone(),
            name,
            description,
            version: Some(version).filter(|version| !version.is_empty()),
            endpoint,
            status,
            node: None,
        };
        Self {
            name: id,
            role: component.role,
            accepts,
            emits,
            config: None,
            metadata: component.metadata.clone(),
            origin: Origin::Live(origin),
        }
    }

    /// The entry for a process that the node `node` starts by itself, and that registers
    /// under the node's id. No types to read: it takes any.
    #[must_use]
    pub fn command(
        node: &NodeId,
        role: Role,
        (input_types, output_types): (&[EventType], &[EventType]),
        schema_of: &dyn Fn(&EventType) -> Option<Schema>,
    ) -> Self {
        let component = LiveComponent {
            id: node.to_string(),
            name: String::new(),
            description: String::new(),
            version: String::new(),
            role,
            input_types: input_types.to_vec(),
            output_types: output_types.to_vec(),
            endpoint: String::new(),
            metadata: BTreeMap::new(),
            status: "not started".to_owned(),
        };
        let mut entry = Self::live(&component, schema_of);
        if let Origin::Live(origin) = &mut entry.origin {
            origin.node = Some(node.clone());
        }
        entry
    }

    /// Where it runs, if that is another process.
    #[must_use]
    pub const fn live_origin(&self) -> Option<&LiveOrigin> {
        match &self.origin {
            Origin::Live(origin) => Some(origin),
            Origin::Plugin { .. } | Origin::BuiltIn { .. } => None,
        }
    }

    /// Whether it runs in another process, so that its types match by name alone.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        self.live_origin().is_some()
    }

    /// Whether discovery may choose it: it is no live component that is unhealthy.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.live_origin().is_none_or(LiveOrigin::is_healthy)
    }

    /// Whether `name` is that of this live component: its id, that less `-vN`, or what
    /// it calls itself.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let Some(live) = self.live_origin() else { return false };
        let base = less_version(&live.id);
        [live.id.as_str(), base, live.name.as_str()].contains(&name)
            || NodeId::from_any(base).is_ok_and(|id| id.as_str() == name)
    }

    /// Whether `name` leads to this live component: its own names, and its kind.
    pub(crate) fn answers_live(&self, name: &str) -> bool {
        self.is_called(name) || (self.is_live() && kind(self) == name)
    }

    /// The same with the structures that `known` has under the names of its types, if it
    /// is live.
    pub(crate) fn with_known(mut self, known: &BTreeMap<EventType, Schema>) -> Self {
        if self.is_live() {
            let (accepts, emits) = (&mut self.accepts, &mut self.emits);
            let inputs = if let Accepts::Types(types) = accepts { types.as_mut_slice() } else { &mut [] };
            let outputs = if let Emits::Types(types) = emits { types.as_mut_slice() } else { &mut [] };
            for schema in inputs.iter_mut().chain(outputs) {
                if let Some(found) = known.get(schema.event_type()) {
                    *schema = found.clone();
                }
            }
        }
        self
    }
}
