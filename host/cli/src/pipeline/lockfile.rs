//! The lock file of a pipeline: what each of its references stood for when it was last
//! resolved, so that the next run uses the same bytes.
//!
//! It lies beside the pipeline's file, as NAME.lock, and belongs into version control with
//! it. References are as the pipeline writes them; a plugin that was discovered is under its
//! name. Invariant: the same plugins make the same bytes.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flowctl_oci::Facts;
use flowctl_registry::Entry;
use flowctl_types::{Code, Digest, EventType, Reference};
use serde::{Deserialize, Serialize};

use crate::paths::{self, Existing, read_text};
use crate::report::Hinted;

/// The version of the form.
const VERSION: u32 = 1;
/// Largest file that is read.
const MAX_BYTES: u64 = 4 << 20;
/// What stands above the rest.
const HEAD: &str = "# Written by flowctl: which plugins this pipeline runs. Keep it with the pipeline.\n";

/// What a lock file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LockFile {
    /// Sorted by reference.
    plugins: Vec<Locked>,
}

/// A plugin of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Locked {
    /// As the pipeline has it, or the name of a plugin that was discovered.
    pub(crate) reference: Reference,
    /// The artifact, with the digest of its manifest; none for a file.
    pub(crate) artifact: Option<Reference>,
    /// The digest of the component.
    pub(crate) component: Digest,
    /// Its name.
    name: String,
    /// Its version, where it says one.
    version: Option<String>,
    /// The event types that it takes.
    inputs: Vec<String>,
    /// The event types that it gives.
    outputs: Vec<String>,
}

/// The form of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    plugins: Vec<Plugin>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plugin {
    reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact: Option<String>,
    component: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<String>,
}

/// How two lock files differ in a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// It was not locked.
    Added(Locked),
    /// It is not used any more.
    Removed(Locked),
    /// It was locked as something else.
    Changed {
        /// As it was.
        before: Box<Locked>,
        /// As it is.
        after: Box<Locked>,
    },
}

/// Where the lock of the pipeline in `file` is; none for standard input.
pub(crate) fn path(file: &Path) -> Option<PathBuf> {
    (file != Path::new("-")).then(|| file.with_extension("lock"))
}

impl Locked {
    /// What `reference` stands for: `entry`, which came as `artifact`.
    pub(crate) fn new(reference: Reference, entry: &Entry, artifact: Option<Reference>) -> Option<Self> {
        let facts = Facts::of(entry.contract()?);
        let types = |types: Vec<EventType>| types.iter().map(ToString::to_string).collect();
        Some(Self {
            reference,
            artifact,
            component: entry.digest()?,
            name: facts.name,
            version: facts.version,
            inputs: types(facts.inputs),
            outputs: types(facts.outputs),
        })
    }

    /// What it is pinned to, for people: the digest of the artifact, else of the file.
    pub(crate) fn pin(&self) -> String {
        match &self.artifact {
            Some(Reference::Oci { digest: Some(digest), .. } | Reference::Layout { digest: Some(digest), .. }) => {
                digest.to_string()
            }
            _ => self.component.to_string(),
        }
    }
}

impl LockFile {
    /// Of these plugins; of two with one reference the first counts.
    pub(crate) fn of(plugins: impl IntoIterator<Item = Locked>) -> Self {
        let mut plugins: Vec<Locked> = plugins.into_iter().collect();
        plugins.sort_by_key(|plugin| plugin.reference.to_string());
        plugins.dedup_by(|b, a| a.reference == b.reference);
        Self { plugins }
    }

    /// Reads the file at `path`; none where it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or was not written by this version of flowctl.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let what = || format!("cannot read the lock file `{}`", path.display());
        let text = match read_text(path, MAX_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(anyhow::Error::new(error).context(what())),
        };
        Self::parse(&text).map(Some).map_err(|reason| {
            Hinted::coded(
                Code::LockMismatch,
                format!("{}: {reason}", what()),
                "take it from version control, or remove it and lock anew",
            )
        })
    }

    /// Reads the text of a lock file that was submitted with its pipeline.
    ///
    /// # Errors
    ///
    /// When it was not written by this version of flowctl.
    pub(crate) fn submitted(text: &str) -> Result<Self> {
        Self::parse(text).map_err(|reason| {
            Hinted::coded(
                Code::LockMismatch,
                format!("cannot read the lock file: {reason}"),
                "take it from version control, or remove it and lock anew",
            )
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let written: Written = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        if written.version != VERSION {
            return Err(format!("it is of version {}, and this flowctl writes version {VERSION}", written.version));
        }
        let plugins = written.plugins.into_iter().map(|plugin| {
            let reference = |text: &str| text.parse::<Reference>().map_err(|error| error.to_string());
            Ok(Locked {
                reference: reference(&plugin.reference)?,
                artifact: plugin.artifact.as_deref().map(reference).transpose()?,
                component: plugin.component.parse().map_err(|error| format!("`{}`: {error}", plugin.reference))?,
                name: plugin.name,
                version: plugin.version,
                inputs: plugin.inputs,
                outputs: plugin.outputs,
            })
        });
        Ok(Self::of(plugins.collect::<Result<Vec<_>, String>>()?))
    }

    /// What its file says.
    ///
    /// # Errors
    ///
    /// None that is known: its values are plain text.
    pub(crate) fn text(&self) -> Result<String> {
        let plugin = |plugin: &Locked| Plugin {
            reference: plugin.reference.to_string(),
            artifact: plugin.artifact.as_ref().map(ToString::to_string),
            component: plugin.component.to_string(),
            name: plugin.name.clone(),
            version: plugin.version.clone(),
            inputs: plugin.inputs.clone(),
            outputs: plugin.outputs.clone(),
        };
        let written = Written { version: VERSION, plugins: self.plugins.iter().map(plugin).collect() };
        Ok(format!("{HEAD}{}\n", serde_saphyr::to_string(&written).context("cannot write YAML")?.trim_end()))
    }

    /// Writes it to `path`, whole or not at all.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; then it is as it was.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let written = paths::write_text(path, &self.text()?, Existing::Replaced);
        written.with_context(|| format!("cannot write the lock file `{}`", path.display()))
    }

    /// The plugin that `reference` was locked as.
    pub(crate) fn get(&self, reference: &Reference) -> Option<&Locked> {
        self.plugins.iter().find(|plugin| plugin.reference == *reference)
    }

    /// All plugins, by reference.
    pub(crate) fn plugins(&self) -> &[Locked] {
        &self.plugins
    }

    /// What has to change for this one to become `after`.
    pub(crate) fn differences(&self, after: &Self) -> Vec<Difference> {
        let of_after = after.plugins.iter().filter_map(|plugin| match self.get(&plugin.reference) {
            None => Some(Difference::Added(plugin.clone())),
            Some(before) if before != plugin => {
                Some(Difference::Changed { before: Box::new(before.clone()), after: Box::new(plugin.clone()) })
            }
            Some(_) => None,
        });
        let gone = self.plugins.iter().filter(|plugin| after.get(&plugin.reference).is_none());
        of_after.chain(gone.cloned().map(Difference::Removed)).collect()
    }
}

impl Difference {
    /// How the file changes, as a line of status.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Added(plugin) => format!("  + locked {} as {}", plugin.reference, plugin.pin()),
            Self::Removed(plugin) => format!("  - {} is not locked any more", plugin.reference),
            Self::Changed { before, after } => {
                format!("  ~ locked {} as {}, was {}", after.reference, after.pin(), before.pin())
            }
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Added(plugin) => write!(f, "`{}` is not locked: it is {}", plugin.reference, plugin.pin()),
            Self::Removed(plugin) => write!(f, "`{}` is locked, and not used", plugin.reference),
            Self::Changed { before, after } => {
                write!(f, "`{}` is locked as {}, and is {}", after.reference, before.pin(), after.pin())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(reference: &str, bytes: &[u8]) -> Locked {
        Locked {
            reference: reference.parse().unwrap(),
            artifact: Some(format!("r.example/{reference}:1@{}", Digest::of(b"manifest")).parse().unwrap()),
            component: Digest::of(bytes),
            name: "n".into(),
            version: None,
            inputs: vec!["a.b.v1".into()],
            outputs: vec![],
        }
    }

    #[test]
    fn a_lock_survives_the_file_whatever_the_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.lock");
        let lock = LockFile::of([locked("b", b"1"), locked("a", b"2")]);
        lock.write(&path).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        assert_eq!(LockFile::read(&path).unwrap(), Some(lock));
        LockFile::of([locked("a", b"2"), locked("b", b"1")]).write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_lock_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.lock");
        assert_eq!(LockFile::read(&path).unwrap(), None);
        for (text, want) in [("version: 9\nplugins: []\n", "version 9"), ("plugins: 3\n", "p.lock"), ("", "p.lock")] {
            std::fs::write(&path, text).unwrap();
            let error = LockFile::read(&path).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn differences_name_what_came_went_and_changed() {
        let before = LockFile::of([locked("a", b"1"), locked("b", b"1")]);
        let after = LockFile::of([locked("b", b"2"), locked("c", b"1")]);
        let texts: Vec<String> = before.differences(&after).iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 3);
        assert!(texts[0].starts_with("`b` is locked as") && texts[1].starts_with("`c` is not locked"), "{texts:?}");
        assert_eq!(texts[2], "`a` is locked, and not used");
    }
}
