//! Adding plugins to an index, and taking them away, beside other writers.
//!
//! Registries have no way to replace a tag only where it still stands for what was read. A
//! writer looks right before it writes, waits longer than writing took it, and looks again:
//! whoever wrote in between has read an index without the changes, or with them, and in the
//! first case they are made anew upon what is there. So a change is lost only to a writer
//! whose registry takes longer between its look and its write than the other one waited.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flowctl_types::Digest;
use tokio::task::JoinSet;

use crate::index::manifest::{self, EMPTY_BYTES};
use crate::index::{EntryError, IndexError, Listed, PluginIndex, fetch};
use crate::{ArtifactManifest, Client, RegistryRef, Silent, media};

/// How often an index is written in vain.
const MAX_ATTEMPTS: u32 = 24;
/// How many manifests are fetched at once.
const MAX_FETCHES: usize = 8;
/// How long a writer waits before it looks again: so many times what writing took it,
/// within these bounds.
const PATIENCE: u32 = 3;
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What happens to one repository and tag in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    reference: RegistryRef,
    /// The entry that was there.
    pub before: Option<Listed>,
    /// The entry that is there now; the same where nothing changed.
    pub after: Option<Listed>,
}

/// What became of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    /// The digest of its manifest.
    pub digest: Digest,
    /// What was asked for, in its order.
    pub changes: Vec<Change>,
}

impl Change {
    /// The repository and the tag.
    #[must_use]
    pub fn reference(&self) -> &RegistryRef {
        &self.reference
    }
}

/// Lists plugins in an index, which is made where there is none. The manifest of each is
/// read where it is; a reference without tag means `latest`, one with tag and digest lists
/// that digest under the tag. Entries of the same repository and tag are replaced; where
/// all are there already, nothing is written.
///
/// Several writers may work on one index: each looks right before it writes and again some
/// 100 ms later, and makes its changes anew where another one has undone them.
///
/// # Errors
///
/// [`IndexError`]. Where a plugin cannot be listed, or there would be too many, the changes
/// were not made. Where the registry fails or others are always faster, they may be there;
/// making them again does no harm.
pub async fn add(client: &Client, index: &RegistryRef, plugins: &[RegistryRef]) -> Result<Updated, IndexError> {
    writable(index)?;
    let listed = list(client, plugins).await?;
    update(client, index, |current| {
        let changes = listed.iter().map(|listed| Change {
            reference: listed.reference().clone(),
            before: current.get(listed.reference()).cloned(),
            after: Some(listed.clone()),
        });
        Ok(changes.collect())
    })
    .await
}

/// Takes plugins out of an index: with a tag, the entry of that tag; without, those of all
/// tags of the repository; with a digest, only what is listed with that digest. Works beside
/// other writers, as [`add`] does.
///
/// # Errors
///
/// [`IndexError::NotListed`] for the first that is not there, or others as of [`add`].
pub async fn remove(client: &Client, index: &RegistryRef, plugins: &[RegistryRef]) -> Result<Updated, IndexError> {
    writable(index)?;
    update(client, index, |current| {
        let mut changes = BTreeMap::new();
        for plugin in plugins {
            let mut meant = current.iter().filter(|listed| is_meant(plugin, listed)).peekable();
            if meant.peek().is_none() {
                return Err(IndexError::NotListed { index: index.to_string(), plugin: plugin.to_string() });
            }
            changes.extend(meant.map(|listed| {
                let reference = listed.reference().clone();
                (reference.clone(), Change { reference, before: Some(listed.clone()), after: None })
            }));
        }
        Ok(changes.into_values().collect())
    })
    .await
}

fn writable(index: &RegistryRef) -> Result<(), IndexError> {
    match index.digest() {
        Some(_) => Err(IndexError::Pinned { index: index.to_string() }),
        None => Ok(()),
    }
}

fn is_meant(plugin: &RegistryRef, listed: &Listed) -> bool {
    let entry = listed.reference();
    (plugin.registry(), plugin.repository()) == (entry.registry(), entry.repository())
        && plugin.tag().is_none_or(|tag| Some(tag) == entry.tag())
        && plugin.digest().is_none_or(|digest| digest == listed.digest())
}

/// The entries of plugins, several at once; the first that cannot be listed is the error.
async fn list(client: &Client, plugins: &[RegistryRef]) -> Result<Vec<Listed>, IndexError> {
    let mut listed = BTreeMap::new();
    let mut tasks = JoinSet::new();
    for (at, plugin) in plugins.iter().cloned().enumerate() {
        if tasks.len() == MAX_FETCHES {
            listed.extend(tasks.join_next().await.map(joined));
        }
        let client = client.clone();
        tasks.spawn(async move { (at, entry(&client, &plugin).await) });
    }
    while let Some(outcome) = tasks.join_next().await {
        listed.extend([joined(outcome)]);
    }
    // a plugin that is named twice is listed once
    let mut once = Vec::<Listed>::new();
    for entry in listed.into_values() {
        let entry = entry?;
        match once.iter_mut().find(|known| known.reference() == entry.reference()) {
            Some(known) => *known = entry,
            None => once.push(entry),
        }
    }
    Ok(once)
}

/// The outcome of a task that is neither cancelled nor panics by itself.
fn joined<T>(outcome: Result<T, tokio::task::JoinError>) -> T {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn entry(client: &Client, plugin: &RegistryRef) -> Result<Listed, IndexError> {
    let name = || plugin.to_string();
    if plugin.tag().is_none() && plugin.digest().is_some() {
        return Err(IndexError::Untagged { plugin: name() });
    }
    let fetched = client.manifest(plugin).await;
    let (bytes, digest) = fetched.map_err(|source| IndexError::Plugin { plugin: name(), source })?;
    let wrong = |source| IndexError::Entry { plugin: name(), source };
    let manifest =
        ArtifactManifest::read(&bytes).map_err(|source| wrong(EntryError::Annotations { source: Box::new(source) }))?;
    let tagged = plugin.at_tag(plugin.tag().unwrap_or("latest"));
    let tagged = tagged.map_err(|source| wrong(EntryError::Reference { source }))?;
    Listed::of_manifest(&tagged, digest, manifest.annotations).map_err(wrong)
}

/// Makes changes, until they are in the index that everybody reads.
async fn update(
    client: &Client,
    index: &RegistryRef,
    plan: impl Fn(&PluginIndex) -> Result<Vec<Change>, IndexError>,
) -> Result<Updated, IndexError> {
    let push = |source| IndexError::Push { index: index.to_string(), source };
    let mut found = fetch(client, index).await?;
    let changes = plan(found.as_ref().map_or(&PluginIndex::default(), |(current, _)| current))?;
    let mut n_attempts = 0;
    loop {
        let (current, digest) = match found {
            Some((current, digest)) if changes.iter().all(|change| current.holds(change)) => {
                return Ok(Updated { digest, changes });
            }
            Some((current, digest)) => (current, Some(digest)),
            None => (PluginIndex::default(), None),
        };
        if n_attempts == MAX_ATTEMPTS {
            return Err(IndexError::Contended { index: index.to_string(), n_attempts });
        }
        n_attempts += 1;
        let mut next = current.clone();
        for change in changes.iter().filter(|change| !current.holds(change)) {
            next.apply(change);
        }
        let full = |source| IndexError::Full { index: index.to_string(), source };
        let layer = Bytes::from(next.to_bytes().map_err(full)?);
        let manifest = manifest::write(&layer);
        for bytes in [Bytes::from_static(EMPTY_BYTES), layer] {
            client.push_blob(index, bytes, &Silent).await.map_err(push)?;
        }
        let looked_at = Instant::now();
        if client.has_manifest(index).await.map_err(push)? == digest {
            client.push_manifest(index, media::MANIFEST, manifest).await.map_err(push)?;
            let wait = (looked_at.elapsed() * PATIENCE).clamp(SHORTEST_WAIT, LONGEST_WAIT);
            tokio::time::sleep(wait).await;
        } else {
            // so that those who lost do not all come back at once
            tokio::time::sleep(SHORTEST_WAIT.mul_f64(random())).await;
        }
        found = fetch(client, index).await?;
    }
}

/// A number from 0 to 1.
fn random() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}
