//! A blob on its way into the store, in a file by its digest.
//!
//! Invariant: one at a time writes such a file, held by a lock on the file itself that the
//! kernel takes back from a process that dies. Its bytes are hashed as they are written;
//! what an earlier process left is hashed when it is taken up, and counts for nothing
//! before the digest of the whole is right.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flowctl_types::Digest;
use sha2::{Digest as _, Sha256};

use super::{Store, StoreError};
use crate::client::BlobSink;
use crate::layout::Layout;

/// The folder of parts inside the store's.
pub(super) const FOLDER: &str = "ingest";
/// How names of parts end.
pub(super) const SUFFIX: &str = ".part";

/// A blob on its way, which nobody else is writing.
#[derive(Debug)]
pub struct Partial {
    file: File,
    path: PathBuf,
    digest: Digest,
    hash: Sha256,
    len: u64,
}

impl Store {
    /// Takes up the part of a blob, or begins one. None while somebody else has it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the file cannot be used.
    pub fn take_partial(&self, digest: &Digest) -> Result<Option<Partial>, StoreError> {
        Partial::take(&self.partial_path(digest), digest)
    }

    /// Begins a part of one's own, where the other who writes that blob does not get on.
    pub(crate) fn own_partial(&self, digest: &Digest) -> Result<Partial, StoreError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}.{}-{number}{SUFFIX}", digest.to_hex(), std::process::id());
            if let Some(partial) = Partial::take(&self.root().join(FOLDER).join(name), digest)? {
                return Ok(partial);
            }
        }
    }

    /// How much of a blob has come, whoever writes it.
    pub(crate) fn partial_len(&self, digest: &Digest) -> u64 {
        fs::metadata(self.partial_path(digest)).map_or(0, |found| found.len())
    }

    fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.root().join(FOLDER).join(format!("{}{SUFFIX}", digest.to_hex()))
    }
}

impl Partial {
    fn take(path: &Path, digest: &Digest) -> Result<Option<Self>, StoreError> {
        let take = || -> io::Result<Option<Self>> {
            let Some(mut file) = lock(path)? else { return Ok(None) };
            let mut hash = Sha256::new();
            let mut len = 0;
            let mut buffer = vec![0; 256 << 10];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    n_read => {
                        hash.update(&buffer[..n_read]);
                        len += n_read as u64;
                    }
                }
            }
            Ok(Some(Self { file, path: path.to_owned(), digest: *digest, hash, len }))
        };
        take().map_err(|source| StoreError::Write { path: path.to_owned(), source })
    }

    /// Where the bytes are.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Throws the bytes away.
    pub(crate) fn discard(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Makes the bytes durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(|source| StoreError::Write { path: self.path.clone(), source })
    }

    /// Makes the blob visible. Its digest must have been checked.
    pub(super) fn adopt(self, layout: &Layout) -> Result<(), StoreError> {
        self.sync()?;
        Ok(layout.adopt_blob(&self.path, &self.digest)?)
    }
}

impl BlobSink for Partial {
    fn len(&self) -> u64 {
        self.len
    }

    fn write(&mut self, part: &[u8]) -> io::Result<()> {
        self.file.write_all(part)?;
        self.hash.update(part);
        self.len += part.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hash = Sha256::new();
        self.len = 0;
        Ok(())
    }

    fn digest(&self) -> Digest {
        Digest::from_bytes(self.hash.clone().finalize().into())
    }
}

/// Opens and locks a file. None while somebody else has it.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // who had it before may have moved it to its place meanwhile
        if is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}
