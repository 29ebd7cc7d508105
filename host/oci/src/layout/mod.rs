//! An OCI image layout on disk: chapter `image-layout` of the OCI image specification.
//!
//! `oci-layout` says the version, `index.json` lists manifests, `blobs/sha256/HEX` holds
//! what they name. Invariants: a blob is there whole or not at all, since it is written
//! beside its place and renamed; `index.json` changes under a lock that processes share
//! and that the kernel takes back from one that dies; what stands in the index is on the
//! disk before the index says so.

mod error;
mod index;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flowctl_types::Digest;

use crate::annotations::REF_NAME;
use crate::artifact::{Artifact, ArtifactManifest};
use crate::files::{read_bounded, sync_folder, write_whole};
use crate::{Descriptor, media};

pub use error::LayoutError;
pub use index::LayoutEntry;
pub(crate) use index::{Index, MAX_INDEX_BYTES};

const VERSION_FILE: &str = "oci-layout";
const VERSION_TEXT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
const INDEX_FILE: &str = "index.json";
const LOCK_FILE: &str = ".lock";
/// Longest `oci-layout` that is read.
const MAX_VERSION_BYTES: u64 = 4 << 10;

/// A folder that is an OCI image layout.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

/// The right to change the index, until it is dropped.
#[derive(Debug)]
pub(crate) struct IndexLock {
    _file: File,
}

impl Layout {
    /// Takes the layout at `root`.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when it is none.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        let layout = Self { root: root.into() };
        let path = layout.root.join(VERSION_FILE);
        let bytes = match read_bounded(&path, MAX_VERSION_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LayoutError::NoLayout { path: layout.root });
            }
            Err(source) => return Err(LayoutError::Read { path, source }),
        };
        index::check_version(&bytes).map_err(|found| LayoutError::Version { path: layout.root.clone(), found })?;
        Ok(layout)
    }

    /// Takes the layout at `root`, or makes one there. A folder that holds other files is
    /// not touched.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the folder is something else, or cannot be made.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        let root = root.into();
        match Self::open(&root) {
            Err(LayoutError::NoLayout { .. }) => {}
            opened => return opened,
        }
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| LayoutError::Write { path, source }
        };
        let blobs = root.join("blobs").join("sha256");
        if root.is_dir() && !blobs.is_dir() {
            let mut names = fs::read_dir(&root).map_err(|source| LayoutError::Read { path: root.clone(), source })?;
            let is_ours = |name: &std::ffi::OsStr| {
                name.to_str().is_some_and(|name| name.starts_with('.') || name == "blobs" || name == "ingest")
            };
            if names.any(|entry| entry.is_ok_and(|entry| !is_ours(&entry.file_name()))) {
                return Err(LayoutError::Occupied { path: root });
            }
        }
        fs::create_dir_all(&blobs).map_err(write(&blobs))?;
        let layout = Self { root };
        let lock = layout.lock()?;
        let index = layout.root.join(INDEX_FILE);
        if !index.exists() {
            write_whole(&index, &Index::default().to_json()).map_err(write(&index))?;
        }
        // last: with it, the folder is a layout
        let version = layout.root.join(VERSION_FILE);
        write_whole(&version, VERSION_TEXT.as_bytes()).map_err(write(&version))?;
        drop(lock);
        Ok(layout)
    }

    /// The layout's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the blob of `digest` is, if it is there.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join("sha256").join(digest.to_hex())
    }

    /// Whether a blob is there, with the size that its descriptor has. It is not read.
    #[must_use]
    pub fn has_blob(&self, descriptor: &Descriptor) -> bool {
        let found = fs::metadata(self.blob_path(&descriptor.digest));
        found.is_ok_and(|found| found.is_file() && found.len() == descriptor.size)
    }

    /// Reads a blob, and checks its size and digest.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when it is missing, larger than `max_bytes`, or another than its
    /// descriptor says.
    pub fn read_blob(&self, descriptor: &Descriptor, max_bytes: u64) -> Result<Bytes, LayoutError> {
        let path = self.blob_path(&descriptor.digest);
        if descriptor.size > max_bytes {
            let source = io::Error::from(io::ErrorKind::FileTooLarge);
            return Err(LayoutError::Read { path, source });
        }
        let bytes = match read_bounded(&path, descriptor.size) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LayoutError::NoBlob { path: self.root.clone(), digest: descriptor.digest });
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(LayoutError::Size { path, size: descriptor.size });
            }
            Err(source) => return Err(LayoutError::Read { path, source }),
        };
        if bytes.len() as u64 != descriptor.size {
            return Err(LayoutError::Size { path, size: descriptor.size });
        }
        let found = Digest::of(&bytes);
        if found != descriptor.digest {
            return Err(LayoutError::Digest { path, found });
        }
        Ok(bytes.into())
    }

    /// What the index lists, in its order.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the index cannot be read.
    pub fn entries(&self) -> Result<Vec<LayoutEntry>, LayoutError> {
        Ok(self.index()?.manifests)
    }

    /// The manifest that a tag or a digest stands for; without either, the one that the
    /// layout holds.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when there is none, or several.
    pub fn find(&self, tag: Option<&str>, digest: Option<Digest>) -> Result<Descriptor, LayoutError> {
        let entries = self.entries()?;
        let fits = |entry: &&LayoutEntry| match (digest, tag) {
            (Some(digest), _) => entry.descriptor.digest == digest,
            (None, Some(tag)) => entry.ref_name() == Some(tag),
            (None, None) => true,
        };
        let mut found: Vec<Descriptor> = entries.iter().filter(fits).map(|entry| entry.descriptor.clone()).collect();
        found.dedup_by_key(|descriptor| descriptor.digest);
        match found.len() {
            1 => Ok(found.swap_remove(0)),
            n_found => {
                let wanted = match (digest, tag) {
                    (Some(digest), _) => format!("manifest `{digest}`"),
                    (None, Some(tag)) => format!("tag `{tag}`"),
                    (None, None) => "manifest".to_owned(),
                };
                let tags = entries.iter().filter_map(|entry| entry.ref_name().map(str::to_owned)).collect();
                Err(LayoutError::NotOne { path: self.root.clone(), wanted, n_found, tags })
            }
        }
    }

    /// Reads the manifest that a tag or a digest stands for.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when there is not exactly one, or it is none of a plugin.
    pub fn manifest(
        &self,
        tag: Option<&str>,
        digest: Option<Digest>,
    ) -> Result<(Bytes, ArtifactManifest), LayoutError> {
        let descriptor = self.find(tag, digest)?;
        let bytes = self.read_blob(&descriptor, crate::artifact::MAX_MANIFEST_BYTES)?;
        match ArtifactManifest::read(&bytes) {
            Ok(manifest) => Ok((bytes, manifest)),
            Err(source) => Err(LayoutError::Artifact {
                path: self.root.clone(),
                digest: descriptor.digest,
                source: Box::new(source),
            }),
        }
    }

    /// Reads the artifact that a tag or a digest stands for, every part checked.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when there is not exactly one, or it is none of a plugin.
    pub fn artifact(&self, tag: Option<&str>, digest: Option<Digest>) -> Result<Artifact, LayoutError> {
        let (bytes, manifest) = self.manifest(tag, digest)?;
        let config = self.read_blob(&manifest.config, manifest.config.size)?;
        let component = self.read_blob(&manifest.layer, manifest.layer.size)?;
        Artifact::assemble(bytes, config, component).map_err(|source| LayoutError::Artifact {
            path: self.root.clone(),
            digest: manifest.digest,
            source: Box::new(source),
        })
    }

    /// Puts an artifact into the layout, under `tag` where one is given: another manifest
    /// that had the tag loses it, and is no longer listed.
    ///
    /// # Errors
    ///
    /// [`LayoutError::Write`]; then the index is as it was.
    pub fn put(&self, artifact: &Artifact, tag: Option<&str>) -> Result<(), LayoutError> {
        let lock = self.lock()?;
        for bytes in [artifact.component(), artifact.config(), artifact.manifest()] {
            self.write_blob(bytes)?;
        }
        let mut descriptor = artifact.parsed().descriptor();
        if let Some(tag) = tag {
            descriptor.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        }
        let entry = LayoutEntry::new(descriptor);
        self.change_index(&lock, |index| {
            let is_replaced = |other: &LayoutEntry| {
                other.descriptor.media_type == media::MANIFEST
                    && match (other.ref_name(), tag) {
                        (Some(other), Some(tag)) => other == tag,
                        (None, _) => other.descriptor.digest == entry.descriptor.digest,
                        _ => false,
                    }
            };
            index.manifests.retain(|other| !is_replaced(other));
            index.manifests.push(entry);
        })
    }

    /// Waits for the right to change the index. It blocks the thread: others hold it for
    /// as long as a few small writes take.
    pub(crate) fn lock(&self) -> Result<IndexLock, LayoutError> {
        let path = self.root.join(LOCK_FILE);
        let open = || {
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            file.lock()?;
            Ok(IndexLock { _file: file })
        };
        open().map_err(|source| LayoutError::Write { path: path.clone(), source })
    }

    /// Writes a blob that is in memory; one that is there already stays.
    pub(crate) fn write_blob(&self, bytes: &[u8]) -> Result<(), LayoutError> {
        let digest = Digest::of(bytes);
        let path = self.blob_path(&digest);
        if fs::metadata(&path).is_ok_and(|found| found.len() == bytes.len() as u64) {
            return Ok(());
        }
        write_whole(&path, bytes).map_err(|source| LayoutError::Write { path, source })
    }

    /// Moves a file that was checked and is on the disk to where the blob of `digest` is.
    pub(crate) fn adopt_blob(&self, file: &Path, digest: &Digest) -> Result<(), LayoutError> {
        let path = self.blob_path(digest);
        let adopt = || {
            fs::rename(file, &path)?;
            sync_folder(&path)
        };
        adopt().map_err(|source| LayoutError::Write { path: path.clone(), source })
    }

    pub(crate) fn index(&self) -> Result<Index, LayoutError> {
        let path = self.root.join(INDEX_FILE);
        let bytes =
            read_bounded(&path, MAX_INDEX_BYTES).map_err(|source| LayoutError::Read { path: path.clone(), source })?;
        Index::read(&bytes).map_err(|source| LayoutError::Index { path, source })
    }

    pub(crate) fn change_index(&self, _: &IndexLock, change: impl FnOnce(&mut Index)) -> Result<(), LayoutError> {
        let mut index = self.index()?;
        change(&mut index);
        let path = self.root.join(INDEX_FILE);
        write_whole(&path, &index.to_json()).map_err(|source| LayoutError::Write { path, source })
    }
}
