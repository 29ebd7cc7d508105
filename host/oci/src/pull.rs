//! From a registry or a layout into the store.
//!
//! Order: what the store holds; the manifest; its form and sizes; whoever has a say in
//! what may be used; the configuration; the component, which one at a time downloads; its
//! types against the annotations; then, and only then, it is visible.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flowctl_schema::MAX_COMPONENT_BYTES;
use flowctl_types::{Digest, Reference};

use crate::artifact::{MAX_CONFIG_BYTES, WasmConfig};
use crate::store::{Component, Partial};
use crate::{
    Artifact, ArtifactError, ArtifactManifest, BlobSink, Client, Entry, Layout, LayoutError, OciError, Progress,
    RegistryRef, Store, StoreError,
};

/// How often one looks whether somebody else's download is through.
const LOOK: Duration = Duration::from_millis(25);
/// How long somebody else's download may stand still before one downloads oneself.
const STANDSTILL: Duration = Duration::from_secs(45);

/// What whoever admitted an artifact notes about it, kept with it in the store.
pub type Marks = BTreeMap<String, String>;
/// Why an artifact may not be used.
pub type Refusal = Box<dyn Error + Send + Sync>;

/// Has a say in what may be used: checks signatures, for instance.
#[async_trait::async_trait]
pub trait Admission: Send + Sync {
    /// Decides on an artifact whose manifest was read, before its component is.
    ///
    /// # Errors
    ///
    /// Why it may not be used; then nothing of it is kept.
    async fn admit(
        &self,
        client: &Client,
        reference: &RegistryRef,
        manifest: &ArtifactManifest,
    ) -> Result<Marks, Refusal>;

    /// Whether one that is in the store may be used, by the marks that it was given when
    /// it was admitted. Else it is decided on anew, for which the registry is asked.
    fn admits_held(&self, reference: &RegistryRef, manifest: &ArtifactManifest, marks: &Marks) -> bool;
}

/// Where the manifest behind a tag is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TagLookup {
    /// In the store, and at the registry only where the store does not know the tag.
    #[default]
    Store,
    /// At the registry: the tag may have moved.
    Registry,
}

/// How to pull.
#[derive(Clone, Copy)]
pub struct PullOptions<'a> {
    /// Where the manifest behind a tag is looked up.
    pub tags: TagLookup,
    /// Largest component that is downloaded. No more than [`MAX_COMPONENT_BYTES`] counts.
    pub max_bytes: u64,
    /// Who has a say.
    pub admission: Option<&'a dyn Admission>,
}

/// What is in the store now.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulled {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The manifest.
    pub manifest: ArtifactManifest,
    /// Where the component is.
    pub path: PathBuf,
    /// Whether the component was there already.
    pub was_cached: bool,
    /// What whoever admitted it noted.
    pub marks: Marks,
}

/// Why an artifact is not in the store. Nothing of it is visible there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// The registry did not give it.
    #[error("cannot pull `{reference}`")]
    Registry {
        /// What was to be pulled.
        reference: String,
        /// Why.
        #[source]
        source: OciError,
    },
    /// The layout does not hold it.
    #[error("cannot pull `{reference}`")]
    Layout {
        /// What was to be pulled.
        reference: String,
        /// Why.
        #[source]
        source: LayoutError,
    },
    /// It is no plugin, or not the one that it says to be.
    #[error("`{reference}` is no plugin that can be used")]
    Artifact {
        /// What was to be pulled.
        reference: String,
        /// Why.
        #[source]
        source: Box<ArtifactError>,
    },
    /// It is larger than allowed.
    #[error("the component of `{reference}` has {size} bytes, the limit is {limit_bytes}")]
    TooLarge {
        /// What was to be pulled.
        reference: String,
        /// Its size in bytes.
        size: u64,
        /// How much is allowed.
        limit_bytes: u64,
    },
    /// It may not be used.
    #[error("`{reference}` is not admitted")]
    Refused {
        /// What was to be pulled.
        reference: String,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// The store failed.
    #[error("cannot keep `{reference}`")]
    Store {
        /// What was to be pulled.
        reference: String,
        /// Why.
        #[source]
        source: StoreError,
    },
}

impl PullError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Registry { source, .. } => source.hint(),
            Self::Layout { source, .. } => source.hint(),
            Self::Artifact { source, .. } => source.hint(),
            Self::Store { source, .. } => source.hint(),
            _ => None,
        }
    }
}

impl Default for PullOptions<'_> {
    fn default() -> Self {
        Self { tags: TagLookup::Store, max_bytes: MAX_COMPONENT_BYTES as u64, admission: None }
    }
}

/// Gets an artifact into the store, unless it is there. Many may pull the same one, in one
/// process or several: one downloads, the others wait for it. What an earlier pull left
/// that was killed is gone on with.
///
/// # Errors
///
/// [`PullError`]; then nothing of it is visible in the store.
pub async fn pull(
    client: &Client,
    store: &Store,
    reference: &RegistryRef,
    options: &PullOptions<'_>,
    progress: &dyn Progress,
) -> Result<Pulled, PullError> {
    let named = Named(reference.to_string());
    let plain = Reference::from(reference);
    if reference.digest().is_some() || options.tags == TagLookup::Store {
        let held = named
            .store(store, {
                let plain = plain.clone();
                move |store| store.by_reference(&plain)
            })
            .await?;
        let admits = |entry: &Entry| {
            options.admission.is_none_or(|admission| admission.admits_held(reference, &entry.manifest, &entry.marks))
        };
        if let Some(entry) = held.filter(admits) {
            let layer = entry.manifest.layer.clone();
            if !named.store(store, move |store| store.drop_damaged_blob(&layer)).await? {
                return Ok(Pulled::held(entry));
            }
        }
    }
    let (bytes, _) = client.manifest(reference).await.map_err(|source| named.registry(source))?;
    let manifest = named.manifest(&bytes, options)?;
    let marks = match options.admission {
        Some(admission) => {
            let admitted = admission.admit(client, reference, &manifest).await;
            admitted.map_err(|source| PullError::Refused { reference: named.0.clone(), source })?
        }
        None => Marks::new(),
    };
    let config = client.small_blob(reference, &manifest.config, MAX_CONFIG_BYTES).await;
    let config = config.map_err(|source| named.registry(source))?;
    named.config(&config, &manifest)?;
    let fallback_name = plain.short_name().to_owned();
    loop {
        let component = match acquire(&named, store, &manifest).await? {
            None => Component::Held,
            Some(mut partial) => {
                let fetched = client.blob_to(reference, &manifest.layer, &mut partial, progress).await;
                match fetched {
                    Ok(()) => {}
                    Err(error) => {
                        if partial.is_empty() {
                            partial.discard();
                        }
                        return Err(named.registry(error));
                    }
                }
                Component::Fetched(partial)
            }
        };
        let texts = (bytes.clone(), config.clone());
        let checked = named.keep(store, &plain, &manifest, texts, component, &fallback_name, &marks).await?;
        if let Some(pulled) = checked {
            return Ok(pulled);
        }
    }
}

/// Gets an artifact out of a layout into the store. Nobody has a say: whoever can write
/// the layout could write the plugin.
///
/// # Errors
///
/// [`PullError`]; then nothing of it is visible in the store.
pub async fn pull_from_layout(
    layout: &Layout,
    tag: Option<&str>,
    digest: Option<Digest>,
    store: &Store,
    options: &PullOptions<'_>,
) -> Result<Pulled, PullError> {
    let plain = Reference::Layout { path: layout.root().to_owned(), tag: tag.map(str::to_owned), digest };
    let named = Named(plain.to_string());
    let read = {
        let layout = layout.clone();
        let tag = tag.map(str::to_owned);
        move || layout.artifact(tag.as_deref(), digest)
    };
    let failed = |source| match source {
        LayoutError::Artifact { source, .. } => PullError::Artifact { reference: named.0.clone(), source },
        source => PullError::Layout { reference: named.0.clone(), source },
    };
    let artifact: Artifact = blocking(read).await.map_err(failed)?;
    let manifest = named.manifest(artifact.manifest(), options)?;
    let fallback_name = plain.short_name().to_owned();
    loop {
        let component = match acquire(&named, store, &manifest).await? {
            None => Component::Held,
            Some(mut partial) => {
                let bytes = artifact.component().clone();
                let failed = |source| named.broken(StoreError::Write { path: store.root().to_owned(), source });
                let written = blocking(move || {
                    partial.restart()?;
                    partial.write(&bytes)?;
                    Ok(partial)
                });
                Component::Fetched(written.await.map_err(failed)?)
            }
        };
        let texts = (artifact.manifest().clone(), artifact.config().clone());
        let marks = Marks::new();
        if let Some(pulled) = named.keep(store, &plain, &manifest, texts, component, &fallback_name, &marks).await? {
            return Ok(pulled);
        }
    }
}

/// What is pulled, for errors.
struct Named(String);

impl Named {
    fn registry(&self, source: OciError) -> PullError {
        PullError::Registry { reference: self.0.clone(), source }
    }

    fn broken(&self, source: StoreError) -> PullError {
        PullError::Store { reference: self.0.clone(), source }
    }

    fn unfit(&self, source: ArtifactError) -> PullError {
        PullError::Artifact { reference: self.0.clone(), source: Box::new(source) }
    }

    async fn store<T: Send + 'static>(
        &self,
        store: &Store,
        call: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, PullError> {
        let store = store.clone();
        blocking(move || call(&store)).await.map_err(|source| self.broken(source))
    }

    fn manifest(&self, bytes: &[u8], options: &PullOptions<'_>) -> Result<ArtifactManifest, PullError> {
        let manifest = ArtifactManifest::read(bytes).map_err(|source| self.unfit(source))?;
        let (size, limit_bytes) = (manifest.layer.size, options.max_bytes.min(MAX_COMPONENT_BYTES as u64));
        if size > limit_bytes {
            return Err(PullError::TooLarge { reference: self.0.clone(), size, limit_bytes });
        }
        Ok(manifest)
    }

    fn config(&self, bytes: &[u8], manifest: &ArtifactManifest) -> Result<(), PullError> {
        WasmConfig::read(bytes).and_then(|config| config.check(manifest)).map_err(|source| self.unfit(source))
    }

    /// Opens the component, and makes the artifact visible. None where the component was
    /// held and went meanwhile.
    #[allow(clippy::too_many_arguments)]
    async fn keep(
        &self,
        store: &Store,
        reference: &Reference,
        manifest: &ArtifactManifest,
        (manifest_bytes, config): (Bytes, Bytes),
        component: Component,
        fallback_name: &str,
        marks: &Marks,
    ) -> Result<Option<Pulled>, PullError> {
        let was_cached = matches!(component, Component::Held);
        let (fallback_name, reference) = (fallback_name.to_owned(), reference.clone());
        let (parsed, marks, store) = (manifest.clone(), marks.clone(), store.clone());
        let kept = blocking(move || -> Result<Option<Pulled>, Fault> {
            let path = match &component {
                Component::Held => store.layout().blob_path(&parsed.layer.digest),
                Component::Fetched(partial) => partial.path().to_owned(),
            };
            let checked = match fs::read(&path) {
                Err(_) if was_cached => return Ok(None),
                Err(source) => return Err(StoreError::Read { path, source }.into()),
                Ok(bytes) => parsed.open(&bytes, &fallback_name),
            };
            if let Err(error) = checked {
                match component {
                    Component::Fetched(partial) => partial.discard(),
                    // what was damaged since it came is fetched anew
                    Component::Held if store.drop_damaged_blob(&parsed.layer)? => return Ok(None),
                    Component::Held => {}
                }
                return Err(error.into());
            }
            if let Component::Fetched(partial) = &component {
                // before the store is locked, which is to be short
                partial.sync()?;
            }
            let is_kept = store.commit(&reference, (&manifest_bytes, &parsed), &config, component, &marks)?;
            let path = store.layout().blob_path(&parsed.layer.digest);
            Ok(is_kept.then(|| Pulled { digest: parsed.digest, path, was_cached, marks, manifest: parsed }))
        });
        kept.await.map_err(|fault| match fault {
            Fault::Store(source) => self.broken(source),
            Fault::Artifact(source) => self.unfit(source),
        })
    }
}

/// What can go wrong while an artifact is kept.
enum Fault {
    Store(StoreError),
    Artifact(ArtifactError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ArtifactError> for Fault {
    fn from(error: ArtifactError) -> Self {
        Self::Artifact(error)
    }
}

impl Pulled {
    fn held(entry: Entry) -> Self {
        let Entry { manifest, path, marks, .. } = entry;
        Self { digest: manifest.digest, manifest, path, was_cached: true, marks }
    }
}

/// Gets the right to download a component; none where it is there by then.
async fn acquire(named: &Named, store: &Store, manifest: &ArtifactManifest) -> Result<Option<Partial>, PullError> {
    let layer = manifest.layer.clone();
    let mut seen = (0, Instant::now());
    loop {
        if store.layout().has_blob(&layer) {
            return Ok(None);
        }
        let digest = layer.digest;
        let taken = match seen.1.elapsed() < STANDSTILL {
            true => named.store(store, move |store| store.take_partial(&digest)).await?,
            false => Some(named.store(store, move |store| store.own_partial(&digest)).await?),
        };
        if let Some(partial) = taken {
            // who had it before may have got through meanwhile
            if store.layout().has_blob(&layer) {
                partial.discard();
                return Ok(None);
            }
            return Ok(Some(partial));
        }
        tokio::time::sleep(LOOK).await;
        let len = store.partial_len(&digest);
        if len != seen.0 {
            seen = (len, Instant::now());
        }
    }
}

/// Runs what waits for the disk beside the tasks that wait for the network.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(call).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // the runtime ends: so does whoever waits for this
            Err(_) => std::future::pending().await,
        },
    }
}
