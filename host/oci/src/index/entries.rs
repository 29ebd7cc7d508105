//! The entries of an index, in memory.

use crate::RegistryRef;
use crate::index::{Change, FormatError, Listed, json};

/// Plugins that are known without being here.
///
/// Invariant: sorted by reference, one entry for each repository and tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginIndex {
    entries: Vec<Listed>,
}

impl PluginIndex {
    /// Reads the layer of an index, of at most [`MAX_BYTES`](super::MAX_BYTES) with at most
    /// [`MAX_ENTRIES`](super::MAX_ENTRIES). Annotations that nobody knows are kept, other
    /// unknown fields are not.
    ///
    /// # Errors
    ///
    /// [`FormatError`] that names the first entry that is wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut entries = json::read(bytes)?;
        entries.sort_by(|a, b| a.reference().cmp(b.reference()));
        if let Some(twice) = entries.windows(2).find(|pair| pair[0].reference() == pair[1].reference()) {
            return Err(FormatError::Twice { reference: twice[0].reference().to_string() });
        }
        Ok(Self { entries })
    }

    /// The layer's bytes; the same for the same entries.
    ///
    /// # Errors
    ///
    /// [`FormatError`] when there are more entries or bytes than may be read again.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        json::write(&self.entries)
    }

    /// Adds an entry. Answers with the one of its repository and tag that it replaces.
    pub fn insert(&mut self, listed: Listed) -> Option<Listed> {
        match self.position(listed.reference()) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at], listed)),
            Err(at) => {
                self.entries.insert(at, listed);
                None
            }
        }
    }

    /// Takes away the entry of a repository and a tag, which must stand in `reference`.
    pub fn remove(&mut self, reference: &RegistryRef) -> Option<Listed> {
        self.position(reference).ok().map(|at| self.entries.remove(at))
    }

    /// The entry of a repository and a tag, which must stand in `reference`; its digest is
    /// not looked at.
    #[must_use]
    pub fn get(&self, reference: &RegistryRef) -> Option<&Listed> {
        self.position(reference).ok().map(|at| &self.entries[at])
    }

    /// All entries, sorted by reference.
    pub fn iter(&self) -> std::slice::Iter<'_, Listed> {
        self.entries.iter()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries of one repository after the other, each with all its tags.
    pub(super) fn repositories(&self) -> impl Iterator<Item = &[Listed]> {
        self.entries.chunk_by(|a, b| repository(a.reference()) == repository(b.reference()))
    }

    /// Whether a change that was made is still there. An entry that is neither what was put
    /// nor what was before is a later change of somebody else, and as good.
    pub(super) fn holds(&self, change: &Change) -> bool {
        change.before == change.after || self.get(change.reference()) != change.before.as_ref()
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match &change.after {
            Some(listed) => self.insert(listed.clone()),
            None => self.remove(change.reference()),
        };
    }

    fn position(&self, reference: &RegistryRef) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| {
            let entry = entry.reference();
            repository(entry).cmp(&repository(reference)).then_with(|| entry.tag().cmp(&reference.tag()))
        })
    }
}

impl<'a> IntoIterator for &'a PluginIndex {
    type Item = &'a Listed;
    type IntoIter = std::slice::Iter<'a, Listed>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn repository(reference: &RegistryRef) -> (&str, &str) {
    (reference.registry(), reference.repository())
}
