//! What can be used, indexed once.
//!
//! Invariant: of each name and role one entry is in use, the others are reached by
//! naming their version. Of two components that pass for the same one neither is
//! chosen: that is a [`Conflict`] where the name is used. Built once and never changed:
//! whoever loads something new builds a new registry.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use flowctl_schema::{ConfigFault, Role, Schema};
use flowctl_types::{Digest, EventType, Reference, nearest};

use crate::graph::TypeGraph;
use crate::{ChainError, DeclarationFault, Declarations, Entry, Origin};

/// Plugins and connectors, and the graph of types that they span.
#[derive(Debug, Clone)]
pub struct Registry {
    /// By role, name, and the version that is preferred first.
    pub(crate) entries: Vec<Entry>,
    /// By role and name: the entry in use, followed by its other versions.
    pub(crate) by_name: BTreeMap<(Role, String), std::ops::Range<usize>>,
    /// Every known event type; of several structures that of the highest version.
    pub(crate) types: BTreeMap<EventType, Schema>,
    pub(crate) graph: TypeGraph,
    /// Every file that holds an entry, the same bytes in two files included.
    paths: BTreeMap<PathBuf, usize>,
    /// Of each entry that another passes for, by its index.
    conflicts: BTreeMap<usize, Conflict>,
    /// Indices of the entries whose name leads to a live component.
    pub(crate) shadowed: BTreeSet<usize>,
    declarations: Declarations,
    check: ConfigCheck,
    /// What references stand for that were resolved elsewhere: digests of components.
    pub(crate) pins: HashMap<Reference, Digest>,
}

/// What is wrong with an entry's configuration that the types of its record do not say.
pub type ConfigCheck = fn(&Entry, &serde_json::Value) -> Vec<ConfigFault>;

/// Two components that pass for the same plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{first}` and `{second}` both hold {role} `{name}`{}, but they differ ({} and {})",
    version_text(.version.as_deref()), .first_digest.short(), .second_digest.short(),
    first = .first.display(), second = .second.display()
)]
pub struct Conflict {
    /// What both of them do.
    pub role: Role,
    /// Their name.
    pub name: String,
    /// Their version, where they say one.
    pub version: Option<String>,
    /// The file that was found first.
    pub first: PathBuf,
    /// Its digest.
    pub first_digest: Digest,
    /// The other file.
    pub second: PathBuf,
    /// Its digest.
    pub second_digest: Digest,
}

impl Conflict {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        "remove one of the files, give one of them another version, or name the file that is meant".to_owned()
    }
}

impl Registry {
    /// Indexes `entries`. `well_known` are event types that are known though nothing
    /// here emits or reads them; sources such as `file` can be configured to.
    ///
    /// Where names meet, a live component wins over a plugin of the same role, and a
    /// plugin over a connector; a live component that is unhealthy comes last. Of several
    /// versions the highest is in use, one without a pre-release where there is one;
    /// a plugin that says no version comes last. The same bytes twice are one; other
    /// bytes under the same name and version are a [`Conflict`] for whoever uses them.
    pub fn build(entries: impl IntoIterator<Item = Entry>, well_known: impl IntoIterator<Item = Schema>) -> Self {
        Self::build_with(entries, well_known, Declarations::default())
    }

    /// As [`Self::build`], with the event types of `declarations`. What is wrong with
    /// them is no error here, so that whoever plans can report it with the rest: see
    /// [`Self::declaration_faults`].
    pub fn build_with(
        entries: impl IntoIterator<Item = Entry>,
        well_known: impl IntoIterator<Item = Schema>,
        mut declarations: Declarations,
    ) -> Self {
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        entries.sort_by(|a, b| (a.role, &a.name).cmp(&(b.role, &b.name)).then_with(|| by_preference(a, b)));
        let mut paths = BTreeMap::new();
        let mut kept = 0;
        for (index, entry) in entries.iter().enumerate() {
            kept += usize::from(index > 0 && !is_same(&entries[index - 1], entry));
            paths.extend(entry.path().map(|path| (plain(path), kept)));
        }
        entries.dedup_by(|b, a| is_same(a, b));
        let conflicts = conflicts(&entries);
        let mut by_name = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            by_name.entry((entry.role, entry.name.clone())).or_insert(index..index).end = index + 1;
        }
        let well_known: Vec<Schema> = well_known.into_iter().collect();
        let fixed = by_name.values().filter_map(|versions: &std::ops::Range<usize>| {
            entries[versions.clone()].iter().find(|entry| !entry.is_live())
        });
        let declared = declarations.settle(well_known.iter(), fixed);
        let of_entries = |is_live: bool| {
            let entries = entries.iter().filter(move |entry| entry.is_live() == is_live);
            entries.flat_map(|entry| entry.outputs().iter().chain(entry.inputs())).cloned()
        };
        let mut types: BTreeMap<EventType, Schema> = BTreeMap::new();
        for schema in well_known.into_iter().chain(declared).chain(of_entries(false)) {
            let known = types.entry(schema.event_type().clone()).or_insert_with(|| schema.clone());
            if schema.version() > known.version() {
                *known = schema;
            }
        }
        // what a live component says of a structure counts where nobody else says one
        for schema in of_entries(true) {
            types.entry(schema.event_type().clone()).or_insert(schema);
        }
        let entries: Vec<Entry> = entries.into_iter().map(|entry| entry.with_known(&types)).collect();
        let shadowed = shadowed(&entries);
        let graph = TypeGraph::new(&entries, types.values());
        Self {
            entries,
            by_name,
            types,
            graph,
            paths,
            conflicts,
            shadowed,
            declarations,
            check: |_, _| Vec::new(),
            pins: HashMap::new(),
        }
    }

    /// The same, with configurations held against `check` too.
    #[must_use]
    pub fn checked_by(self, check: ConfigCheck) -> Self {
        Self { check, ..self }
    }

    /// The same, with references that stand for the entry whose component has this digest,
    /// whatever their text says.
    #[must_use]
    pub fn pinned(self, pins: HashMap<Reference, Digest>) -> Self {
        Self { pins, ..self }
    }

    /// What is wrong with a configuration of `entry` that its record takes.
    #[must_use]
    pub fn check_config(&self, entry: &Entry, config: &serde_json::Value) -> Vec<ConfigFault> {
        (self.check)(entry, config)
    }

    /// The entries in use, by role and name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.by_name.values().map(|versions| &self.entries[versions.start])
    }

    /// All entries, other versions and what stands behind another's name included.
    pub fn all_entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Every event type that is known, by name.
    pub fn event_types(&self) -> impl Iterator<Item = &Schema> {
        self.types.values()
    }

    /// The structure of an event type; of several the one with the highest version.
    ///
    /// # Errors
    ///
    /// [`ChainError::UnknownType`], with names that are close.
    pub fn event_type(&self, event_type: &EventType) -> Result<&Schema, ChainError> {
        self.types.get(event_type).ok_or_else(|| ChainError::UnknownType {
            event_type: event_type.clone(),
            nearest: nearest(event_type.as_str(), self.types.keys().map(EventType::as_str))
                .into_iter()
                .map(str::to_owned)
                .collect(),
        })
    }

    /// What is wrong with the declared types, in the order of their files. Where there
    /// is something, nothing may be run by this registry.
    #[must_use]
    pub fn declaration_faults(&self) -> &[DeclarationFault] {
        self.declarations.faults()
    }

    /// Whether one of [`Self::declaration_faults`] may be behind an error: a type is
    /// unknown, and a file that could not be read may declare it.
    #[must_use]
    pub fn is_explained(&self, error: &ChainError) -> bool {
        matches!(error, ChainError::UnknownType { event_type, .. } if self.declarations.may_declare(event_type))
    }

    /// Pairs of plugins with one name and version whose bytes differ.
    #[must_use]
    pub fn conflicts(&self) -> Vec<&Conflict> {
        let mut conflicts: Vec<&Conflict> = self.conflicts.values().collect();
        // both of a pair have it
        conflicts.dedup();
        conflicts
    }

    /// The conflict that the entry at an index is in.
    pub(crate) fn conflict_of(&self, index: usize) -> Option<&Conflict> {
        self.conflicts.get(&index)
    }

    /// The entry whose file is `path`, as the path was given, a `./` aside.
    #[must_use]
    pub fn at_path(&self, path: &Path) -> Option<&Entry> {
        self.paths.get(&plain(path)).map(|index| &self.entries[*index])
    }
}

/// The path without `.` components.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

fn version_text(version: Option<&str>) -> String {
    version.map(|version| format!(" {version}")).unwrap_or_default()
}

/// Live components that are well before plugins, these before connectors and those that
/// are unhealthy; released before pre-released, high versions before low.
fn by_preference(a: &Entry, b: &Entry) -> Ordering {
    let rank = |entry: &Entry| {
        let version = entry.version().and_then(|text| semver::Version::parse(text).ok());
        (
            match &entry.origin {
                Origin::Live(live) if live.is_healthy() => 3,
                Origin::Plugin { .. } => 2,
                Origin::BuiltIn { .. } => 1,
                Origin::Live(_) => 0,
            },
            version.as_ref().map(|version| version.pre.is_empty()),
            version,
            entry.version().map(str::to_owned),
        )
    };
    rank(b).cmp(&rank(a)).then_with(|| a.digest().cmp(&b.digest())).then_with(|| a.path().cmp(&b.path()))
}

fn is_same(a: &Entry, b: &Entry) -> bool {
    (a.role, &a.name) == (b.role, &b.name) && a.is_live() == b.is_live() && a.digest() == b.digest()
}

/// The indices of plugins and connectors whose name leads to a live component that is well.
fn shadowed(entries: &[Entry]) -> BTreeSet<usize> {
    let live: Vec<&Entry> = entries.iter().filter(|entry| entry.is_live() && entry.is_healthy()).collect();
    let is_shadowed = |entry: &Entry| {
        !entry.is_live() && live.iter().any(|live| live.role == entry.role && live.answers_live(&entry.name))
    };
    entries.iter().enumerate().filter(|(_, entry)| is_shadowed(entry)).map(|(index, _)| index).collect()
}

/// The conflicts among entries in the order of [`Registry::entries`], by the index of
/// each entry in one.
fn conflicts(entries: &[Entry]) -> BTreeMap<usize, Conflict> {
    let mut conflicts = BTreeMap::new();
    for (index, pair) in entries.windows(2).enumerate() {
        if let Some(conflict) = conflict(&pair[0], &pair[1]) {
            conflicts.entry(index).or_insert_with(|| conflict.clone());
            conflicts.insert(index + 1, conflict);
        }
    }
    conflicts
}

fn conflict(a: &Entry, b: &Entry) -> Option<Conflict> {
    if (a.role, &a.name, a.version()) != (b.role, &b.name, b.version()) {
        return None;
    }
    Some(Conflict {
        role: a.role,
        name: a.name.clone(),
        version: a.version().map(str::to_owned),
        first: a.path()?.to_owned(),
        first_digest: a.digest()?,
        second: b.path()?.to_owned(),
        second_digest: b.digest()?,
    })
}
