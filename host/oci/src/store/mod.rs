//! The artifacts that were pulled: one OCI image layout that all processes of a user share.
//!
//! ```text
//! ROOT/oci-layout, index.json, blobs/sha256/HEX     an image layout, for any tool
//! ROOT/ingest/HEX.part                              what is on its way, by digest
//! ```
//!
//! Invariants: an entry is in the index only with all of its blobs on the disk, checked.
//! Blobs of an entry are made visible and the entry is written under one lock, which
//! [`Store::collect`] takes too, so that nothing is collected that is about to be listed.
//! A process that is killed leaves at most files that nothing lists: a part goes on where
//! it ended, the rest goes with the next collection.

mod collect;
mod error;
mod partial;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowctl_types::{Digest, Reference};

use crate::annotations::REF_NAME;
use crate::artifact::{ArtifactManifest, MAX_MANIFEST_BYTES};
use crate::layout::{Layout, LayoutEntry};
use crate::{Artifact, Descriptor};

pub use collect::{Collected, Removed, Untagged};
pub use error::StoreError;
pub use partial::Partial;
pub use verify::{Damaged, Depth, Verified};

/// The annotation of an index's entry that holds the reference it was pulled by.
const REFERENCE: &str = "io.flowctl.reference";
/// The annotation of an entry whose tag moved on to another: the reference that it had.
pub(crate) const RELEASED: &str = "io.flowctl.released";
/// How the keys of marks begin.
const MARK: &str = "io.flowctl.mark.";

/// The artifacts that were pulled.
#[derive(Debug, Clone)]
pub struct Store {
    layout: Layout,
}

/// One artifact of the store, under one of the references that it was pulled by.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What it was pulled by, without digest.
    pub reference: Reference,
    /// The manifest.
    pub manifest: ArtifactManifest,
    /// Where the component is.
    pub path: PathBuf,
    /// What whoever admitted it noted, such as the key that its signature was made with.
    pub marks: BTreeMap<String, String>,
}

/// What an artifact's component is made visible from.
#[derive(Debug)]
pub(crate) enum Component {
    /// It was there.
    Held,
    /// It was downloaded and checked.
    Fetched(Partial),
}

impl Store {
    /// Takes the store at `root`, or makes one there.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the folder cannot be made, or holds something else.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let layout = Layout::create(root)?;
        let ingest = layout.root().join(partial::FOLDER);
        std::fs::create_dir_all(&ingest).map_err(|source| StoreError::Write { path: ingest, source })?;
        Ok(Self { layout })
    }

    /// The store as a layout. Change it through the store only.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The store's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    /// Everything that is here, in the order it came. An entry that lost a blob to other
    /// hands is left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the index cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let entries = self.layout.entries()?;
        Ok(entries.iter().filter_map(|entry| self.entry(entry)).collect())
    }

    /// The artifact with this manifest, under any reference.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the index cannot be read.
    pub fn by_digest(&self, digest: &Digest) -> Result<Option<Entry>, StoreError> {
        let entries = self.layout.entries()?;
        Ok(entries.iter().filter(|entry| entry.descriptor.digest == *digest).find_map(|entry| self.entry(entry)))
    }

    /// The artifact that was last pulled by `reference`: by its digest where it has one,
    /// else by its tag, as of that pull.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the index cannot be read.
    pub fn by_reference(&self, reference: &Reference) -> Result<Option<Entry>, StoreError> {
        let (key, digest) = key(reference);
        let is_same = |entry: &&LayoutEntry| entry.descriptor.annotations.get(REFERENCE) == Some(&key);
        let entries = self.layout.entries()?;
        match digest {
            Some(digest) => {
                let mut of_digest: Vec<_> = entries.iter().filter(|entry| entry.descriptor.digest == digest).collect();
                // marks belong to a reference: the same one first
                of_digest.sort_by_key(|entry| !is_same(entry));
                Ok(of_digest.into_iter().find_map(|entry| self.entry(entry)))
            }
            None => Ok(entries.iter().rev().filter(is_same).find_map(|entry| self.entry(entry))),
        }
    }

    /// Removes the component of an entry where it is no longer what it was when it came:
    /// a disk or a hand changed it. True where it was; a pull fetches it anew.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it cannot be read or removed.
    pub fn drop_damaged(&self, entry: &Entry) -> Result<bool, StoreError> {
        self.drop_damaged_blob(&entry.manifest.layer)
    }

    pub(crate) fn drop_damaged_blob(&self, blob: &Descriptor) -> Result<bool, StoreError> {
        let path = self.layout.blob_path(&blob.digest);
        let read =
            |path: &Path| std::fs::read(path).map_err(|source| StoreError::Read { path: path.to_owned(), source });
        if Digest::of(&read(&path)?) == blob.digest {
            return Ok(false);
        }
        let _lock = self.layout.lock()?;
        // somebody else may have mended it meanwhile
        if Digest::of(&read(&path)?) == blob.digest {
            return Ok(false);
        }
        std::fs::remove_file(&path).map_err(|source| StoreError::Write { path, source })?;
        Ok(true)
    }

    /// An entry as an artifact, every part checked: to push it elsewhere, or to load it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when a part is gone or was changed.
    pub fn artifact(&self, entry: &Entry) -> Result<Artifact, StoreError> {
        Ok(self.layout.artifact(None, Some(entry.manifest.digest))?)
    }

    /// Makes an artifact visible: its blobs, then its entry. An older artifact that had
    /// the same tag stays, by its digest. False where the component was taken as held and
    /// is not there any more.
    pub(crate) fn commit(
        &self,
        reference: &Reference,
        (manifest, parsed): (&[u8], &ArtifactManifest),
        config: &[u8],
        component: Component,
        marks: &BTreeMap<String, String>,
    ) -> Result<bool, StoreError> {
        let lock = self.layout.lock()?;
        match component {
            Component::Held if !self.layout.has_blob(&parsed.layer) => return Ok(false),
            Component::Held => {}
            Component::Fetched(partial) => partial.adopt(&self.layout)?,
        }
        self.layout.write_blob(config)?;
        self.layout.write_blob(manifest)?;
        let (key, _) = key(reference);
        let mut descriptor = parsed.descriptor();
        let is_tagged = key.rsplit('/').next().is_some_and(|last| last.contains(':'));
        if is_tagged && matches!(reference, Reference::Oci { .. }) {
            descriptor.annotations.insert(REF_NAME.to_owned(), key.clone());
        }
        descriptor.annotations.insert(REFERENCE.to_owned(), key.clone());
        for (mark, value) in marks {
            descriptor.annotations.insert(format!("{MARK}{mark}"), value.clone());
        }
        self.layout.change_index(&lock, |index| {
            index.manifests.retain(|entry| {
                entry.descriptor.digest != descriptor.digest
                    || entry.descriptor.annotations.get(REFERENCE) != Some(&key)
            });
            for entry in &mut index.manifests {
                if is_tagged && entry.descriptor.annotations.get(REFERENCE) == Some(&key) {
                    release(&mut entry.descriptor, &key);
                }
            }
            index.manifests.push(LayoutEntry::new(descriptor));
            drop_doubles(&mut index.manifests);
        })?;
        Ok(true)
    }

    fn entry(&self, entry: &LayoutEntry) -> Option<Entry> {
        let descriptor = &entry.descriptor;
        let bytes = self.layout.read_blob(descriptor, MAX_MANIFEST_BYTES).ok()?;
        let manifest = ArtifactManifest::read(&bytes).ok()?;
        if ![&manifest.config, &manifest.layer].into_iter().all(|blob| self.layout.has_blob(blob)) {
            return None;
        }
        let reference = descriptor.annotations.get(REFERENCE)?.parse().ok()?;
        let marks = descriptor.annotations.iter();
        let marks = marks.filter_map(|(key, value)| Some((key.strip_prefix(MARK)?.to_owned(), value.clone())));
        let path = self.layout.blob_path(&manifest.layer.digest);
        Some(Entry { reference, path, marks: marks.collect(), manifest })
    }
}

/// The text that an entry is found by, and the digest of a reference.
fn key(reference: &Reference) -> (String, Option<Digest>) {
    match reference {
        Reference::Oci { repository, tag, digest } => {
            let tag = match (tag, digest) {
                (None, None) => Some("latest".to_owned()),
                (tag, _) => tag.clone(),
            };
            (Reference::Oci { repository: repository.clone(), tag, digest: None }.to_string(), *digest)
        }
        Reference::Layout { path, tag, digest } => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            (Reference::Layout { path, tag: tag.clone(), digest: None }.to_string(), *digest)
        }
        other => (other.to_string(), None),
    }
}

/// Takes the tag `key` from a manifest: what is left is its repository.
fn release(descriptor: &mut Descriptor, key: &str) {
    let bare = match key.parse() {
        Ok(Reference::Oci { repository, .. }) => repository,
        Ok(Reference::Layout { path, .. }) => Reference::Layout { path, tag: None, digest: None }.to_string(),
        _ => key.to_owned(),
    };
    descriptor.annotations.remove(REF_NAME);
    descriptor.annotations.insert(RELEASED.to_owned(), key.to_owned());
    descriptor.annotations.insert(REFERENCE.to_owned(), bare);
}

/// Of entries of one manifest under one reference, the last stays.
fn drop_doubles(entries: &mut Vec<LayoutEntry>) {
    let id = |entry: &LayoutEntry| {
        (entry.descriptor.digest, entry.descriptor.annotations.get(REFERENCE).cloned().unwrap_or_default())
    };
    let mut seen = std::collections::HashSet::new();
    entries.reverse();
    entries.retain(|entry| seen.insert(id(entry)));
    entries.reverse();
}
