//! Finds an entry by what a pipeline calls it.
//!
//! A name is looked up exactly, then as a kind: `postgres` stands for
//! `postgres-sink-v1` when no other sink is of that kind. Invariant: a name that is
//! found stands for one entry; what is not found is told with the names that are near.

use flowctl_schema::Role;
use flowctl_types::{Digest, Reference};

use crate::{Conflict, Entry, Registry, nearest, one_of};

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

impl Registry {
    /// The entry that `name` stands for: its name, or its kind where one entry alone
    /// is of that kind. `name@version` asks for that version exactly.
    ///
    /// # Errors
    ///
    /// [`LookupError`], with names that are near.
    pub fn find(&self, role: Role, name: &str) -> Result<&Entry, LookupError> {
        match name.split_once('@') {
            Some((name, version)) => self.find_version(role, name, version),
            None => self.find_name(role, name),
        }
    }

    /// The entries that have `name`, whatever they do: a source and a sink may share one.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        let of_role = move |role| self.by_name.get(&(role, name.to_owned())).map(|range| &self.entries[range.start]);
        [Role::Source, Role::Processor, Role::Sink].into_iter().filter_map(of_role)
    }

    /// The entry that a plugin reference stands for: the one that it was
    /// [pinned](Self::pinned) to. Without a pin, an artifact with a tag is known when a local
    /// plugin has the last part of its repository as name and the tag as version. Nothing is
    /// pulled here.
    ///
    /// # Errors
    ///
    /// [`LookupError`], with names that are near.
    pub fn find_reference(&self, role: Role, reference: &Reference) -> Result<&Entry, LookupError> {
        if let Some(entry) = self.pins.get(reference).and_then(|digest| self.by_digest(role, *digest)) {
            return check_role(role, entry);
        }
        match reference {
            Reference::Name { name, version: None } => self.find_name(role, name),
            Reference::Name { name, version: Some(version) } => self.find_version(role, name, version),
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

    /// The entry with these bytes, of this role where there is one.
    fn by_digest(&self, role: Role, digest: Digest) -> Option<&Entry> {
        let of_digest = || self.entries.iter().filter(|entry| entry.digest() == Some(digest));
        of_digest().find(|entry| entry.role == role).or_else(|| of_digest().next())
    }

    pub(crate) fn index_of(&self, entry: &Entry) -> Option<usize> {
        let range = self.by_name.get(&(entry.role, entry.name.clone()))?;
        range.clone().find(|index| std::ptr::eq(&self.entries[*index], entry))
    }

    fn find_name(&self, role: Role, name: &str) -> Result<&Entry, LookupError> {
        if let Some(versions) = self.versions(role, name) {
            return self.unrivalled(&versions[0]);
        }
        let of_role = || self.entries().filter(move |entry| entry.role == role);
        let of_kind: Vec<&Entry> = of_role().filter(|entry| kind(entry) == name).collect();
        match of_kind.as_slice() {
            [only] => return self.unrivalled(only),
            [] => {}
            several => {
                return Err(LookupError::Ambiguous {
                    role,
                    name: name.to_owned(),
                    candidates: several.iter().map(|entry| entry.name.clone()).collect(),
                });
            }
        }
        if let Some(other) = self.named(name).next() {
            return Err(LookupError::Role { role, name: name.to_owned(), found: other.role });
        }
        let known = of_role().flat_map(|entry| [entry.name.as_str(), kind(entry)]);
        Err(LookupError::Unknown { role, name: name.to_owned(), nearest: nearest(name, known) })
    }

    fn find_version(&self, role: Role, name: &str, version: &str) -> Result<&Entry, LookupError> {
        let versions = match self.versions(role, name) {
            Some(versions) => versions,
            None => self.versions(role, &self.find_name(role, name)?.name).unwrap_or_default(),
        };
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
