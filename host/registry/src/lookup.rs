//! Finds an entry by what a pipeline calls it.
//!
//! A name is looked up among live components first: by id, by what they call themselves,
//! by kind. Then among plugins and connectors, exactly, then as a kind: `postgres` stands
//! for `postgres-sink-v1` when no other sink is of that kind. A live component that is
//! unhealthy is found by its own names, where nothing else has them. Invariant: a name
//! that is found stands for one entry; what is not found is told with the names that are
//! near.

use flowctl_schema::Role;
use flowctl_types::{Code, Digest, Reference, nearest, one_of};

use crate::{Conflict, Entry, Registry};

/// Why a name stands for no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// Nothing of that role has the name.
    #[error("unknown {role} `{name}`")]
    Unknown {
        /// What was looked for.
        role: Role,
        /// As it was written.
        name: String,
        /// Names that are near, nearest first.
        nearest: Vec<String>,
    },
    /// Something has the name, but does something else.
    #[error("`{name}` is a {found}, not a {role}")]
    Role {
        /// What was looked for.
        role: Role,
        /// As it was written.
        name: String,
        /// What the entry of that name does.
        found: Role,
    },
    /// Several entries are of the kind that was named.
    #[error("several {role}s answer to `{name}`: {}", candidates.join(", "))]
    Ambiguous {
        /// What was looked for.
        role: Role,
        /// As it was written.
        name: String,
        /// Their names.
        candidates: Vec<String>,
    },
    /// Only live components that are unhealthy are of the kind that was named.
    #[error("no {role} answers to `{name}`: {} would do and is unhealthy", one_of(candidates))]
    Unhealthy {
        /// What was looked for.
        role: Role,
        /// As it was written.
        name: String,
        /// Their names.
        candidates: Vec<String>,
    },
    /// A plugin was asked for, and what has the name runs in another process.
    #[error("`{name}` is a live component, not a plugin")]
    NoPlugin {
        /// As it was written.
        name: String,
    },
    /// The name is known, in other versions.
    #[error("{role} `{name}` is not known in version {version}")]
    Version {
        /// What was looked for.
        role: Role,
        /// The name.
        name: String,
        /// The version that was asked for.
        version: String,
        /// The versions that are known, highest first.
        known: Vec<String>,
    },
    /// Several plugins have the name and the version.
    #[error(transparent)]
    Conflict(Box<Conflict>),
    /// A file that was not loaded.
    #[error("`{path}` is not among the plugins that were loaded")]
    File {
        /// As it was written.
        path: String,
    },
    /// An artifact that was not pulled, and that no local plugin stands for.
    #[error("`{reference}` is not here")]
    Remote {
        /// As it was written.
        reference: String,
        /// The name under which local plugins were searched.
        name: String,
    },
}

impl LookupError {
    /// Its code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Unknown { .. } | Self::Role { .. } | Self::NoPlugin { .. } | Self::Version { .. } => {
                Code::UnknownComponent
            }
            Self::Ambiguous { .. } | Self::Conflict(_) => Code::AmbiguousComponent,
            Self::Unhealthy { .. } => Code::UnhealthyComponent,
            Self::File { .. } | Self::Remote { .. } => Code::PluginNotFound,
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { nearest, .. } if !nearest.is_empty() => Some(format!("did you mean {}?", one_of(nearest))),
            Self::Unknown { role: Role::Processor, .. } => Some(
                "`--plugins DIR` makes the plugins of a directory known; `flowctl processors list` shows what is"
                    .to_owned(),
            ),
            Self::Unknown { .. } => Some("`--plugins DIR` makes the plugins of a directory known".to_owned()),
            Self::Role { .. } => None,
            Self::Conflict(conflict) => Some(conflict.hint()),
            Self::Ambiguous { candidates, .. } => Some(format!("write {}", one_of(candidates))),
            Self::Unhealthy { candidates, .. } => {
                Some(format!("start it anew, or write {} to use it as it is", one_of(candidates)))
            }
            Self::NoPlugin { name } => Some(format!("write `type: {name}`")),
            Self::Version { name, known, .. } if known.is_empty() => {
                Some(format!("`{name}` says no version; leave the version out"))
            }
            Self::Version { known, .. } => Some(format!("known: {}", known.join(", "))),
            Self::File { .. } => Some("check the path; it is relative to where `flowctl` runs".to_owned()),
            Self::Remote { reference, .. } => {
                Some(format!("`flowctl pull {reference}` gets it; `flowctl run` does by itself"))
            }
        }
    }
}

/// Among which entries a name is looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All of them.
    All,
    /// Plugins and connectors.
    Fixed,
}

impl Registry {
    /// The entry that `name` stands for: its name, or its kind where one entry alone
    /// is of that kind. `name@version` asks for that version exactly. What runs in another
    /// process comes before plugins, and these before connectors.
    ///
    /// # Errors
    ///
    /// [`LookupError`], with names that are near.
    pub fn find(&self, role: Role, name: &str) -> Result<&Entry, LookupError> {
        match name.split_once('@') {
            Some((name, version)) => self.find_version(role, name, version, Scope::All),
            None => self.find_name(role, name, Scope::All),
        }
    }

    /// What a name stands for that may be of a live component or of a plugin: as
    /// [`Self::find`], and a plugin as the one that the name was [pinned](Self::pinned) to.
    ///
    /// # Errors
    ///
    /// [`LookupError`], with names that are near.
    pub fn find_component(&self, role: Role, name: &str) -> Result<&Entry, LookupError> {
        let found = self.find(role, name);
        match name.parse::<Reference>() {
            Ok(reference) if !found.as_ref().is_ok_and(|entry| entry.is_live()) => match self.pin(role, &reference) {
                Some(entry) => check_role(role, entry),
                None => found,
            },
            _ => found,
        }
    }

    /// The entries that have `name`, whatever they do: a source and a sink may share one.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        let of_role = move |role| self.by_name.get(&(role, name.to_owned())).map(|range| &self.entries[range.start]);
        [Role::Source, Role::Processor, Role::Sink].into_iter().filter_map(of_role)
    }

    /// The plugin, or connector, that a reference stands for: the one that it was
    /// [pinned](Self::pinned) to. Without a pin, an artifact with a tag is known when a local
    /// plugin has the last part of its repository as name and the tag as version. Nothing is
    /// pulled here.
    ///
    /// # Errors
    ///
    /// [`LookupError`], with names that are near.
    pub fn find_reference(&self, role: Role, reference: &Reference) -> Result<&Entry, LookupError> {
        if let Some(entry) = self.pin(role, reference) {
            return check_role(role, entry);
        }
        match reference {
            Reference::Name { name, version: None } => self.find_name(role, name, Scope::Fixed),
            Reference::Name { name, version: Some(version) } => self.find_version(role, name, version, Scope::Fixed),
            Reference::File(path) => {
                let entry = self.at_path(path).ok_or_else(|| LookupError::File { path: path.display().to_string() })?;
                check_role(role, entry)
            }
            Reference::Oci { tag, digest, .. } => {
                let name = reference.short_name();
                let remote = || LookupError::Remote { reference: reference.to_string(), name: name.to_owned() };
                let tag = tag.as_deref().filter(|_| digest.is_none()).ok_or_else(remote)?;
                let version = tag.strip_prefix('v').unwrap_or(tag);
                let mut versions = self.versions(role, name).unwrap_or_default().iter();
                let plugin = versions.find(|entry| entry.contract().is_some() && entry.version() == Some(version));
                plugin.ok_or_else(remote).and_then(|entry| self.unrivalled(entry))
            }
            Reference::Layout { .. } => {
                let name = reference.short_name().to_owned();
                Err(LookupError::Remote { reference: reference.to_string(), name })
            }
        }
    }

    fn pin(&self, role: Role, reference: &Reference) -> Option<&Entry> {
        self.pins.get(reference).and_then(|digest| self.by_digest(role, *digest))
    }

    /// The entry with these bytes, of this role where there is one.
    fn by_digest(&self, role: Role, digest: Digest) -> Option<&Entry> {
        let of_digest = || self.entries.iter().filter(|entry| entry.digest() == Some(digest));
        of_digest().find(|entry| entry.role == role).or_else(|| of_digest().next())
    }

    pub(crate) fn index_of(&self, entry: &Entry) -> Option<usize> {
        let range = self.by_name.get(&(entry.role, entry.name.clone()))?;
        range.clone().find(|index| std::ptr::eq(&self.entries[*index], entry))
    }

    fn find_name(&self, role: Role, name: &str, scope: Scope) -> Result<&Entry, LookupError> {
        let live = || self.entries().filter(move |entry| entry.is_live() && entry.role == role);
        let ambiguous = |several: &[&Entry]| LookupError::Ambiguous {
            role,
            name: name.to_owned(),
            candidates: several.iter().map(|entry| entry.name.clone()).collect(),
        };
        if scope == Scope::All {
            let ways: [fn(&Entry, &str) -> bool; 3] = [
                |entry, name| entry.name == name,
                |entry, name| entry.is_healthy() && entry.is_called(name),
                |entry, name| entry.is_healthy() && kind(entry) == name,
            ];
            for way in ways {
                match live().filter(|entry| way(entry, name)).collect::<Vec<_>>().as_slice() {
                    [] => {}
                    [only] => return Ok(only),
                    several => return Err(ambiguous(several)),
                }
            }
        }
        if let Some(entry) = self.fixed_versions(role, name).next() {
            return self.unrivalled(entry);
        }
        match self.fixed(role).filter(|entry| kind(entry) == name).collect::<Vec<_>>().as_slice() {
            [only] => return self.unrivalled(only),
            [] => {}
            several => return Err(ambiguous(several)),
        }
        let called: Vec<&Entry> = live().filter(|entry| entry.answers_live(name)).collect();
        match (scope, called.as_slice()) {
            (_, []) => {}
            (Scope::Fixed, _) => return Err(LookupError::NoPlugin { name: name.to_owned() }),
            (Scope::All, [only]) if only.is_called(name) => return Ok(only),
            (Scope::All, several) => {
                let candidates = several.iter().map(|entry| entry.name.clone()).collect();
                return Err(LookupError::Unhealthy { role, name: name.to_owned(), candidates });
            }
        }
        if let Some(other) = self.named(name).next() {
            return Err(LookupError::Role { role, name: name.to_owned(), found: other.role });
        }
        let of_role = self.entries().filter(|entry| entry.role == role);
        let known = of_role.flat_map(|entry| [entry.name.as_str(), kind(entry)]);
        Err(LookupError::Unknown {
            role,
            name: name.to_owned(),
            nearest: nearest(name, known).into_iter().map(str::to_owned).collect(),
        })
    }

    fn find_version(&self, role: Role, name: &str, version: &str, scope: Scope) -> Result<&Entry, LookupError> {
        let in_scope = |name: &str| -> Vec<&Entry> {
            let versions = self.versions(role, name).unwrap_or_default().iter();
            versions.filter(|entry| scope == Scope::All || !entry.is_live()).collect()
        };
        let mut versions = in_scope(name);
        if versions.is_empty() {
            versions = in_scope(&self.find_name(role, name, scope)?.name);
        }
        match versions.iter().find(|entry| entry.version() == Some(version)) {
            Some(entry) => self.unrivalled(entry),
            None => Err(LookupError::Version {
                role,
                name: versions.first().map_or(name, |entry| &entry.name).to_owned(),
                version: version.to_owned(),
                known: versions.iter().filter_map(|entry| entry.version().map(str::to_owned)).collect(),
            }),
        }
    }

    /// The plugins and connectors of a role, of each name the one in use.
    fn fixed(&self, role: Role) -> impl Iterator<Item = &Entry> {
        let names = self.by_name.keys().filter(move |(of, _)| *of == role);
        names.filter_map(move |(_, name)| self.fixed_versions(role, name).next())
    }

    /// Every version of a plugin's or connector's name, that in use first.
    fn fixed_versions(&self, role: Role, name: &str) -> impl Iterator<Item = &Entry> {
        self.versions(role, name).unwrap_or_default().iter().filter(|entry| !entry.is_live())
    }

    /// An entry that was found by its name, unless another passes for it.
    pub(crate) fn unrivalled<'a>(&'a self, entry: &'a Entry) -> Result<&'a Entry, LookupError> {
        match self.index_of(entry).and_then(|index| self.conflict_of(index)) {
            Some(conflict) => Err(LookupError::Conflict(Box::new(conflict.clone()))),
            None => Ok(entry),
        }
    }

    /// Every version of a name, that in use first; never empty.
    fn versions(&self, role: Role, name: &str) -> Option<&[Entry]> {
        self.by_name.get(&(role, name.to_owned())).map(|range| &self.entries[range.clone()])
    }
}

/// What an entry is a kind of: its name less `-vN`, less its role. `postgres` for the
/// sink `postgres-sink-v1`.
#[must_use]
pub fn kind(entry: &Entry) -> &str {
    let name = less_version(&entry.name);
    let roles: &[&str] = match entry.role {
        Role::Source => &["-source"],
        Role::Processor => &["-processor"],
        Role::Sink => &["-sink", "-consumer"],
    };
    roles.iter().find_map(|role| name.strip_suffix(role)).filter(|kind| !kind.is_empty()).unwrap_or(name)
}

/// A component's name less `-vN`: what a node that runs it is called.
#[must_use]
pub fn less_version(name: &str) -> &str {
    match name.rsplit_once("-v") {
        Some((base, digits)) if !base.is_empty() && is_number(digits) => base,
        _ => name,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn check_role(role: Role, entry: &Entry) -> Result<&Entry, LookupError> {
    if entry.role == role {
        return Ok(entry);
    }
    Err(LookupError::Role { role, name: entry.name.clone(), found: entry.role })
}
