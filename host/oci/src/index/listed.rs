//! One entry of an index.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use flowctl_types::Digest;

use crate::index::EntryError;
use crate::{Facts, RegistryRef, annotations};

/// Most annotations of an entry.
const MAX_ANNOTATIONS: usize = 128;
/// Longest key of an annotation.
const MAX_KEY_BYTES: usize = 256;
/// Longest value of an annotation.
const MAX_VALUE_BYTES: usize = 8 << 10;
/// Annotations of a manifest that are listed begin so.
const LISTED_PREFIXES: [&str; 2] = [annotations::PREFIX, "org.opencontainers."];

/// A plugin that an index lists.
///
/// Invariant: the reference has a tag and no digest, the facts are those of the annotations,
/// and every text may be shown.
#[derive(Debug, Clone)]
pub struct Listed {
    reference: RegistryRef,
    digest: Digest,
    annotations: BTreeMap<String, String>,
    facts: Facts,
    version: Option<semver::Version>,
}

impl Listed {
    /// Makes an entry. A reference without tag is taken as one to `latest`.
    ///
    /// # Errors
    ///
    /// [`EntryError`] where the reference has a digest, or the annotations are too many, too
    /// long, hold characters that act on a terminal, or say nothing of a plugin.
    pub fn new(
        reference: &RegistryRef,
        digest: Digest,
        annotations: BTreeMap<String, String>,
    ) -> Result<Self, EntryError> {
        if reference.digest().is_some() {
            return Err(EntryError::Pinned);
        }
        let tag = reference.tag().unwrap_or("latest");
        let reference = reference.at_tag(tag).map_err(|source| EntryError::Reference { source })?;
        check(&annotations)?;
        let facts = Facts::read(&annotations).map_err(|source| EntryError::Annotations { source: Box::new(source) })?;
        let facts = facts.ok_or(EntryError::NoFacts)?;
        let version = facts.version.as_deref().or(reference.tag()).and_then(version);
        Ok(Self { reference, digest, annotations, facts, version })
    }

    /// Makes the entry of a plugin whose manifest was read. Of its annotations, those of
    /// flowctl and of the image specification are listed.
    pub(super) fn of_manifest(
        reference: &RegistryRef,
        digest: Digest,
        mut annotations: BTreeMap<String, String>,
    ) -> Result<Self, EntryError> {
        annotations.retain(|key, _| LISTED_PREFIXES.iter().any(|prefix| key.starts_with(prefix)));
        Self::new(reference, digest, annotations)
    }

    /// Where the plugin is, by tag.
    #[must_use]
    pub fn reference(&self) -> &RegistryRef {
        &self.reference
    }

    /// The digest of its manifest when it was listed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Where the plugin is, by tag and by digest: what to pull.
    #[must_use]
    pub fn pinned(&self) -> RegistryRef {
        self.reference.pinned(self.digest)
    }

    /// What its annotations say about it.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// All its annotations.
    #[must_use]
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// One annotation, such as [`annotations::LICENSES`].
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }

    /// What it is for.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.facts.description.as_deref()
    }

    /// Under which licenses it may be used, as an SPDX expression.
    #[must_use]
    pub fn licenses(&self) -> Option<&str> {
        self.annotation(annotations::LICENSES)
    }

    /// Where its source is.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.annotation(annotations::SOURCE)
    }

    /// Its version: that of the annotation, else that of the tag, where it is a semantic one.
    #[must_use]
    pub fn version(&self) -> Option<&semver::Version> {
        self.version.as_ref()
    }

    /// Newer comes first: what has a version, the highest first; of the same version, the
    /// tag that names it; then by tag, the last first.
    pub(super) fn newest_first(&self, other: &Self) -> Ordering {
        let age = |listed: &Self| (listed.version.clone(), listed.names_version());
        age(other).cmp(&age(self)).then_with(|| other.reference.tag().cmp(&self.reference.tag()))
    }

    /// What is taken when no tag is named comes first: a release before what is only on the
    /// way to one.
    pub(super) fn most_wanted_first(&self, other: &Self) -> Ordering {
        let is_release = |listed: &Self| listed.version.as_ref().is_some_and(|version| version.pre.is_empty());
        is_release(other).cmp(&is_release(self)).then_with(|| self.newest_first(other))
    }

    /// Whether the tag itself is a version, and not a word such as `latest`.
    fn names_version(&self) -> bool {
        self.reference.tag().and_then(version).is_some()
    }
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        // the rest is made of these
        (&self.reference, self.digest, &self.annotations) == (&other.reference, other.digest, &other.annotations)
    }
}

impl Eq for Listed {}

fn version(text: &str) -> Option<semver::Version> {
    text.strip_prefix('v').unwrap_or(text).parse().ok()
}

fn check(annotations: &BTreeMap<String, String>) -> Result<(), EntryError> {
    if annotations.len() > MAX_ANNOTATIONS {
        return Err(EntryError::TooMany { limit: MAX_ANNOTATIONS });
    }
    for (key, value) in annotations {
        let shown = || key.chars().filter(|c| acts_on_nothing(*c)).take(80).collect();
        if key.len() > MAX_KEY_BYTES || value.len() > MAX_VALUE_BYTES {
            let limit_bytes = if key.len() > MAX_KEY_BYTES { MAX_KEY_BYTES } else { MAX_VALUE_BYTES };
            return Err(EntryError::TooLong { key: shown(), limit_bytes });
        }
        let is_text = |c: char| acts_on_nothing(c) || matches!(c, '\n' | '\r' | '\t');
        if !key.chars().all(acts_on_nothing) || !value.chars().all(is_text) {
            return Err(EntryError::Control { key: shown() });
        }
    }
    Ok(())
}

/// Whether a character neither commands a terminal nor turns the direction of a line.
fn acts_on_nothing(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
