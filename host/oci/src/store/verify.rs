//! Looks whether a store still holds what its index lists, and leaves it as it is.

use std::path::Path;

use flowctl_schema::MAX_COMPONENT_BYTES;
use flowctl_types::Reference;

use super::{REFERENCE, StoreError};
use crate::Descriptor;
use crate::layout::{Layout, LayoutEntry, LayoutError};

/// How closely one looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Manifests are read, of everything else the size counts.
    Sizes,
    /// Everything is read, and its digest checked.
    Digests,
}

/// What a store holds.
#[derive(Debug, Default)]
pub struct Verified {
    /// How many artifacts its index lists.
    pub n_entries: usize,
    /// Bytes of their components.
    pub n_bytes: u64,
    /// Those that cannot be used as they are.
    pub damaged: Vec<Damaged>,
}

/// An artifact that is not what it was when it came.
#[derive(Debug)]
pub struct Damaged {
    /// What it was pulled by, where the index says so.
    pub reference: Option<Reference>,
    /// What is wrong with it.
    pub error: LayoutError,
}

impl super::Store {
    /// Looks at the store in the folder `root`. None where there is no store.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when its index cannot be read.
    pub fn verify(root: &Path, depth: Depth) -> Result<Option<Verified>, StoreError> {
        let layout = match Layout::open(root) {
            Err(LayoutError::NoLayout { .. }) => return Ok(None),
            opened => opened?,
        };
        let mut verified = Verified::default();
        for entry in layout.entries()? {
            verified.n_entries += 1;
            match verify(&layout, &entry, depth) {
                Ok(n_bytes) => verified.n_bytes += n_bytes,
                Err(error) => {
                    let reference = entry.descriptor.annotations.get(REFERENCE).and_then(|text| text.parse().ok());
                    verified.damaged.push(Damaged { reference, error });
                }
            }
        }
        Ok(Some(verified))
    }
}

/// Answers the size of the component.
fn verify(layout: &Layout, entry: &LayoutEntry, depth: Depth) -> Result<u64, LayoutError> {
    let (_, manifest) = layout.manifest(None, Some(entry.descriptor.digest))?;
    for blob in [&manifest.config, &manifest.layer] {
        match depth {
            Depth::Digests => drop(layout.read_blob(blob, MAX_COMPONENT_BYTES as u64)?),
            Depth::Sizes if layout.has_blob(blob) => {}
            Depth::Sizes => return Err(missing(layout, blob)),
        }
    }
    Ok(manifest.layer.size)
}

fn missing(layout: &Layout, blob: &Descriptor) -> LayoutError {
    let path = layout.blob_path(&blob.digest);
    if path.exists() {
        return LayoutError::Size { path, size: blob.size };
    }
    LayoutError::NoBlob { path: layout.root().to_owned(), digest: blob.digest }
}
