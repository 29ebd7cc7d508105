//! Taking artifacts out of the store, and what nothing lists any more.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use flowctl_types::{Digest, Reference};

use super::{REFERENCE, RELEASED, Store, StoreError, key, partial};
use crate::artifact::{ArtifactManifest, MAX_MANIFEST_BYTES};
use crate::files::TEMPORARY;

/// What becomes of artifacts whose tag moved on to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Untagged {
    /// They stay, since a lock file may name them by digest.
    #[default]
    Keep,
    /// They go.
    Remove,
}

/// What was taken out of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// How many entries.
    pub n_entries: usize,
}

/// What was collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// How many entries left the index.
    pub n_entries: usize,
    /// How many files were removed.
    pub n_files: usize,
    /// How many bytes they had.
    pub n_bytes: u64,
}

impl Store {
    /// Takes the entries of a reference out of the index: one tag, or one digest under all
    /// references of its repository. Files stay until [`Store::collect`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the index cannot be changed.
    pub fn remove(&self, reference: &Reference) -> Result<Removed, StoreError> {
        let (key, digest) = key(reference);
        self.remove_where(|entry_key, entry_digest| match digest {
            Some(digest) => entry_digest == digest && repository(entry_key) == repository(&key),
            None => entry_key == key,
        })
    }

    /// Takes the entries of a manifest out of the index, under every reference.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the index cannot be changed.
    pub fn remove_digest(&self, digest: &Digest) -> Result<Removed, StoreError> {
        self.remove_where(|_, found| found == *digest)
    }

    fn remove_where(&self, fits: impl Fn(&str, Digest) -> bool) -> Result<Removed, StoreError> {
        let lock = self.layout.lock()?;
        let mut removed = Removed::default();
        self.layout.change_index(&lock, |index| {
            let before = index.manifests.len();
            index.manifests.retain(|entry| {
                let key = entry.descriptor.annotations.get(REFERENCE).map_or("", String::as_str);
                !fits(key, entry.descriptor.digest)
            });
            removed.n_entries = before - index.manifests.len();
        })?;
        Ok(removed)
    }

    /// Removes what nothing lists: blobs, parts that nobody is writing, and what killed
    /// processes left. With [`Untagged::Remove`], also artifacts that have no tag.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when a file cannot be removed; the rest was.
    pub fn collect(&self, untagged: Untagged) -> Result<Collected, StoreError> {
        let lock = self.layout.lock()?;
        let mut collected = Collected::default();
        if untagged == Untagged::Remove {
            self.layout.change_index(&lock, |index| {
                let before = index.manifests.len();
                index.manifests.retain(|entry| !entry.descriptor.annotations.contains_key(RELEASED));
                collected.n_entries = before - index.manifests.len();
            })?;
        }
        let mut reached = HashSet::new();
        for entry in self.layout.entries()? {
            reached.insert(entry.descriptor.digest.to_hex());
            let Ok(bytes) = self.layout.read_blob(&entry.descriptor, MAX_MANIFEST_BYTES) else { continue };
            if let Ok(manifest) = ArtifactManifest::read(&bytes) {
                reached.extend([manifest.config.digest.to_hex(), manifest.layer.digest.to_hex()]);
            }
        }
        let blobs = self.root().join("blobs").join("sha256");
        sweep(&blobs, &mut collected, |name, _| Ok((!reached.contains(name)).then_some(None)))?;
        sweep(self.root(), &mut collected, |name, _| Ok(name.starts_with(TEMPORARY).then_some(None)))?;
        sweep(&self.root().join(partial::FOLDER), &mut collected, |name, path| {
            match name.ends_with(partial::SUFFIX) {
                // a part that is being written is locked, and this lock is held while it goes
                true => Ok(partial::lock(path)?.map(Some)),
                false => Ok(None),
            }
        })?;
        Ok(collected)
    }
}

/// Removes the files of a folder for which `waste` answers, with the lock to hold meanwhile.
fn sweep(
    folder: &Path,
    collected: &mut Collected,
    waste: impl Fn(&str, &Path) -> io::Result<Option<Option<File>>>,
) -> Result<(), StoreError> {
    let mut sweep = || -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), entry.path());
            let found = entry.metadata()?;
            if !found.is_file() {
                continue;
            }
            if let Some(_lock) = waste(&name.to_string_lossy(), &path)? {
                fs::remove_file(&path)?;
                collected.n_files += 1;
                collected.n_bytes += found.len();
            }
        }
        Ok(())
    };
    sweep().map_err(|source| StoreError::Write { path: folder.to_owned(), source })
}

/// The reference of an entry without its tag.
fn repository(key: &str) -> String {
    match key.parse() {
        Ok(Reference::Oci { repository, .. }) => repository,
        Ok(Reference::Layout { path, .. }) => path.display().to_string(),
        _ => key.to_owned(),
    }
}
