//! What signing needs of the place where signatures are kept.

use std::future::Future;

use bytes::Bytes;
use flowctl_types::Digest;

use super::StoreError;

/// One repository, as far as signatures concern it: in a registry, or in a layout on disk.
///
/// Whoever implements it bounds a manifest to 4 MiB and checks every digest; signing and
/// verifying check the digests of payloads again.
pub trait SignatureStore: Sync {
    /// Registry and repository, `ghcr.io/acme/ttp`: what a new payload names.
    fn repository(&self) -> String;

    /// The bytes of the manifest at `tag`; `None` where there is none.
    fn manifest(&self, tag: &str) -> impl Future<Output = Result<Option<Bytes>, StoreError>> + Send;

    /// The bytes of a blob of exactly `size` bytes.
    fn blob(&self, digest: Digest, size: u64) -> impl Future<Output = Result<Bytes, StoreError>> + Send;

    /// Stores a blob. One that is there need not be stored again.
    fn put_blob(&self, media_type: &str, bytes: Bytes) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Stores a manifest at `tag`, in place of one that is there.
    fn put_manifest(
        &self,
        tag: &str,
        media_type: &str,
        bytes: Bytes,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
