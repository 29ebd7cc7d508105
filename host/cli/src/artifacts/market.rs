//! What indexes list that a pipeline lacks.

use anyhow::Result;
use flowctl_oci::index::{self, Listed, PluginIndex, Query};
use flowctl_oci::{Facts, RegistryRef};
use flowctl_registry::{Accepts, Registry};
use flowctl_schema::Role;
use flowctl_topology::Wish;
use flowctl_types::{EventType, Reference};

use super::Artifacts;
use crate::report::{self, Hinted, hinted};
use crate::status;

/// Most plugins that are pulled because an index lists them: whoever hosts one is not
/// trusted with the disk.
const MAX_WANTED: usize = 32;

/// What is wanted: the ends of chains, and what lies between.
pub(crate) struct Way<'a> {
    /// The types that sources emit.
    pub(crate) from: Vec<EventType>,
    /// Sinks, or types.
    pub(crate) to: &'a [String],
    /// Processors to pass through.
    pub(crate) via: &'a [String],
}

impl Artifacts {
    /// Whether there is an index to look in.
    pub(crate) fn has_indexes(&self) -> bool {
        !self.indexes.is_empty()
    }

    /// Fetches the indexes that the settings or the command line name, in their order.
    ///
    /// # Errors
    ///
    /// When one is spelled wrong, or none can be had; of several, one that fails is warned of.
    pub(crate) fn fetch_indexes(&self) -> Result<Vec<PluginIndex>> {
        let named: Vec<RegistryRef> = self.index_refs()?;
        let registries: Vec<&str> = named.iter().map(RegistryRef::registry).collect();
        let client = self.client(&registries)?;
        let fetches = named.iter().map(|reference| index::fetch(&client, reference));
        let fetched = self.wait(futures_util::future::join_all(fetches))?;
        let mut found = Vec::new();
        let mut failed = Vec::new();
        for (reference, fetched) in named.iter().zip(fetched) {
            match fetched {
                Ok(Some((index, _))) => found.push(index),
                Ok(None) => status::warn(&format!("there is no index at `{reference}`")),
                Err(error) => failed.push(hinted(error.hint(), error)),
            }
        }
        if found.is_empty() && !failed.is_empty() {
            return Err(failed.swap_remove(0));
        }
        failed.iter().for_each(report::warn);
        Ok(found)
    }

    /// What the indexes list that `registry` lacks to go the way, each pinned to its digest.
    /// Types are compared by name: whether they fit is known when the plugins are here.
    pub(crate) fn on_the_way(&self, registry: &Registry, way: &Way<'_>) -> Result<Vec<Reference>> {
        let indexes = self.fetch_indexes()?;
        let processors = registry.entries().filter(|entry| entry.role == Role::Processor);
        let facts = processors.filter_map(|entry| entry.contract()).map(Facts::of);
        let known: Vec<_> = facts.map(|facts| (facts.inputs, facts.outputs)).collect();
        let mut wanted: Vec<RegistryRef> = Vec::new();
        let mut want = |listed: &Listed| {
            if !wanted.contains(&listed.pinned()) {
                wanted.push(listed.pinned());
            }
        };
        for index in &indexes {
            for name in way.via.iter().filter(|name| registry.find(Role::Processor, name).is_err()) {
                newest(index, Role::Processor, name).into_iter().for_each(&mut want);
            }
            for name in way.to {
                let is_end = |event_type: &EventType| ends(registry, name, event_type);
                if registry.find(Role::Sink, name).is_err() {
                    newest(index, Role::Sink, name).into_iter().for_each(&mut want);
                }
                for from in &way.from {
                    let between = index.between(std::slice::from_ref(from), &is_end, &known, Wish::MAX_HOPS);
                    between.into_iter().for_each(&mut want);
                }
            }
        }
        if wanted.len() > MAX_WANTED {
            return Err(Hinted::error(
                format!(
                    "the indexes list {} plugins on the way, more than the {MAX_WANTED} that are tried",
                    wanted.len()
                ),
                "name the one that is meant in `via:`, or pull it with `flowctl pull`",
            ));
        }
        Ok(wanted.iter().map(Reference::from).collect())
    }

    /// The references of the indexes to look in.
    pub(crate) fn index_refs(&self) -> Result<Vec<RegistryRef>> {
        self.indexes.iter().map(|text| self.registry_ref(&text.parse::<Reference>()?)).collect()
    }
}

/// The newest plugin of a role that has just this name.
fn newest<'a>(index: &'a PluginIndex, role: Role, name: &str) -> Option<&'a Listed> {
    let query = Query { text: name.to_owned(), ..Query::default() };
    let mut found = index.search(&query).into_iter();
    found.find(|listed| listed.facts().role == role && listed.facts().name == name)
}

/// Whether a chain that leads to `name` may end with events of this type.
fn ends(registry: &Registry, name: &str, event_type: &EventType) -> bool {
    let Ok(sink) = registry.find(Role::Sink, name) else {
        return name == event_type.as_str();
    };
    match &sink.accepts {
        Accepts::Nothing => false,
        Accepts::Any => true,
        // a type that nothing here knows may be a record
        Accepts::AnyRecord => registry.event_type(event_type).map_or(true, |schema| sink.takes(schema).is_ok()),
        Accepts::Types(types) => types.iter().any(|schema| schema.event_type() == event_type),
    }
}
