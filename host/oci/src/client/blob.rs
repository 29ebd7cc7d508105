//! Blobs: asking for them, and where their bytes go.

use std::io;

use bytes::Bytes;
use flowctl_types::Digest;
use reqwest::Method;

use super::token::Access;
use super::{Ask, Client};
use crate::{Descriptor, OciError, RegistryRef, Silent};

/// Takes the bytes of a blob. It may hold the beginning of it from an earlier attempt.
pub trait BlobSink: Send {
    /// How many bytes it holds.
    fn len(&self) -> u64;

    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from it.
    fn write(&mut self, part: &[u8]) -> io::Result<()>;

    /// Forgets what it holds.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from it.
    fn restart(&mut self) -> io::Result<()>;

    /// The SHA-256 of what it holds.
    fn digest(&self) -> Digest;
}

/// Keeps a small blob in memory.
#[derive(Default)]
struct Memory(Vec<u8>);

impl BlobSink for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn write(&mut self, part: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(part);
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.0.clear();
        Ok(())
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl Client {
    /// Reads a blob into memory, checked against its descriptor.
    ///
    /// # Errors
    ///
    /// [`OciError`]; [`OciError::TooLarge`] before anything is asked when its descriptor
    /// says more than `max_bytes`.
    pub async fn small_blob(
        &self,
        reference: &RegistryRef,
        descriptor: &Descriptor,
        max_bytes: u64,
    ) -> Result<Bytes, OciError> {
        if descriptor.size > max_bytes {
            return Err(OciError::TooLarge { what: format!("blob `{}`", descriptor.digest), limit_bytes: max_bytes });
        }
        let mut memory = Memory::default();
        self.blob_to(reference, descriptor, &mut memory, &Silent).await?;
        Ok(memory.0.into())
    }

    /// Whether a repository has a blob.
    ///
    /// # Errors
    ///
    /// [`OciError`].
    pub async fn has_blob(&self, reference: &RegistryRef, digest: &Digest) -> Result<bool, OciError> {
        self.finds_blob(reference, digest, Access::Pull).await
    }

    pub(super) async fn finds_blob(
        &self,
        reference: &RegistryRef,
        digest: &Digest,
        access: Access,
    ) -> Result<bool, OciError> {
        let what = format!("blob `{digest}`");
        let url = self.url(reference, &format!("blobs/{digest}")).await?;
        match self.ask(&Ask::new(reference, access, Method::HEAD, url, &what)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
