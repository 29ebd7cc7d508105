//! A repository in a registry, as the place of signatures.

use bytes::Bytes;
use flowctl_types::Digest;

use super::{SignatureStore, StoreError, payload};
use crate::{Client, Descriptor, RegistryRef, Silent};

/// The repository of a reference, seen through a client. Tag and digest are not looked at.
#[derive(Debug, Clone, Copy)]
pub struct Repository<'a> {
    client: &'a Client,
    reference: &'a RegistryRef,
}

impl<'a> Repository<'a> {
    /// The repository that `reference` is in.
    #[must_use]
    pub fn new(client: &'a Client, reference: &'a RegistryRef) -> Self {
        Self { client, reference }
    }
}

impl SignatureStore for Repository<'_> {
    fn repository(&self) -> String {
        format!("{}/{}", self.reference.registry(), self.reference.repository())
    }

    async fn manifest(&self, tag: &str) -> Result<Option<Bytes>, StoreError> {
        match self.client.manifest(&self.reference.at_tag(tag)?).await {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn blob(&self, digest: Digest, size: u64) -> Result<Bytes, StoreError> {
        let annotations = Default::default();
        let descriptor = Descriptor { media_type: payload::MEDIA_TYPE.to_owned(), digest, size, annotations };
        Ok(self.client.small_blob(self.reference, &descriptor, payload::MAX_BYTES).await?)
    }

    async fn put_blob(&self, _: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.client.push_blob(self.reference, bytes, &Silent).await?;
        Ok(())
    }

    async fn put_manifest(&self, tag: &str, media_type: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.client.push_manifest(&self.reference.at_tag(tag)?, media_type, bytes).await?;
        Ok(())
    }
}
