//! A repository in memory, which tests may damage, and the vectors of `testdata/sign`.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use flowctl_oci::sign::{PublicKey, SignatureStore, SigningKey, StoreError, tag_of};
use flowctl_types::Digest;

pub(crate) const REPOSITORY: &str = "registry.example/acme/ttp";
pub(crate) const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub(crate) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The artifact that the vectors sign.
pub(crate) fn artifact() -> Digest {
    Digest::of(b"artifact of the tests")
}

pub(crate) fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/testdata/sign/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn text(name: &str) -> String {
    String::from_utf8(vector(name)).unwrap().trim_end().to_owned()
}

pub(crate) fn public_key(name: &str) -> PublicKey {
    PublicKey::from_pem(&vector(name)).unwrap()
}

pub(crate) fn openssl_key() -> SigningKey {
    SigningKey::from_pem(&vector("openssl-p256.key"), None).unwrap()
}

/// One layer of a manifest of signatures, as cosign writes it.
pub(crate) fn layer(payload: &[u8], signature: &str) -> serde_json::Value {
    serde_json::json!({
        "mediaType": SIMPLE_SIGNING,
        "size": payload.len(),
        "digest": Digest::of(payload).to_string(),
        "annotations": {SIGNATURE: signature},
    })
}

#[derive(Default)]
pub(crate) struct Memory {
    blobs: Mutex<HashMap<Digest, Bytes>>,
    manifests: Mutex<HashMap<String, Bytes>>,
    /// Manifests that somebody else writes over ours, the last first.
    pub(crate) intruders: Mutex<Vec<Bytes>>,
    pub(crate) n_written: AtomicUsize,
    pub(crate) n_blobs_read: AtomicUsize,
}

impl Memory {
    /// A repository with these layers of signatures for [`artifact`].
    pub(crate) fn with_layers(layers: &[serde_json::Value], payloads: &[&[u8]]) -> Self {
        let memory = Self::default();
        memory.put_layers(layers);
        for payload in payloads {
            memory.put(payload);
        }
        memory
    }

    pub(crate) fn put_layers(&self, layers: &[serde_json::Value]) {
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": Digest::of(b"{}")},
            "layers": layers,
        });
        self.put_tag(&tag_of(artifact()), manifest.to_string().as_bytes());
    }

    pub(crate) fn put(&self, blob: &[u8]) {
        self.blobs.lock().unwrap().insert(Digest::of(blob), Bytes::copy_from_slice(blob));
    }

    /// Stores what has another digest.
    pub(crate) fn damage(&self, digest: Digest, bytes: &'static [u8]) {
        self.blobs.lock().unwrap().insert(digest, Bytes::from_static(bytes));
    }

    pub(crate) fn put_tag(&self, tag: &str, manifest: &[u8]) {
        self.manifests.lock().unwrap().insert(tag.to_owned(), Bytes::copy_from_slice(manifest));
    }

    /// The manifest of the signatures of [`artifact`].
    pub(crate) fn signatures(&self) -> serde_json::Value {
        serde_json::from_slice(&self.manifests.lock().unwrap()[&tag_of(artifact())]).unwrap()
    }

    pub(crate) fn blob_of(&self, descriptor: &serde_json::Value) -> Bytes {
        let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
        let blob = self.blobs.lock().unwrap()[&digest].clone();
        assert_eq!(descriptor["size"], blob.len());
        blob
    }
}

impl SignatureStore for Memory {
    fn repository(&self) -> String {
        REPOSITORY.to_owned()
    }

    async fn manifest(&self, tag: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.manifests.lock().unwrap().get(tag).cloned())
    }

    async fn blob(&self, digest: Digest, _: u64) -> Result<Bytes, StoreError> {
        self.n_blobs_read.fetch_add(1, Ordering::Relaxed);
        self.blobs.lock().unwrap().get(&digest).cloned().ok_or_else(|| format!("no blob `{digest}`").into())
    }

    async fn put_blob(&self, _: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.put(&bytes);
        Ok(())
    }

    async fn put_manifest(&self, tag: &str, _: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.n_written.fetch_add(1, Ordering::Relaxed);
        let bytes = self.intruders.lock().unwrap().pop().unwrap_or(bytes);
        self.put_tag(tag, &bytes);
        Ok(())
    }
}
