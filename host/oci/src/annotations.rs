//! What the annotations of a manifest say about the plugin inside.
//!
//! | key | value |
//! |---|---|
//! | `io.flowctl.name` | the plugin's name |
//! | `io.flowctl.role` | `source`, `processor` or `sink` |
//! | `io.flowctl.input` | the event types that it takes, joined by commas; not there for sources |
//! | `io.flowctl.output` | the event types that it gives, joined by commas; not there for sinks |
//! | `io.flowctl.abi` | the version of `flowctl:processor` that it was built on |
//! | `io.flowctl.meta.KEY` | what its manifest section says beside, such as the network |
//! | `org.opencontainers.image.*` | `created`, `authors`, `description`, `licenses`, `revision`, `source`, `url`, `version`, as the image specification has them |
//!
//! Invariant: the component is the truth. [`Facts`] repeat it, so that one can search and
//! plan without the bytes, and are held against it once the bytes are there.

use std::collections::BTreeMap;

use flowctl_schema::{Contract, Listing, Role, Schema};
use flowctl_types::EventType;

use crate::ArtifactError;

/// How the keys of flowctl begin.
pub const PREFIX: &str = "io.flowctl.";
/// The plugin's name.
pub const NAME: &str = "io.flowctl.name";
/// What the plugin does.
pub const ROLE: &str = "io.flowctl.role";
/// The event types that it takes.
pub const INPUT: &str = "io.flowctl.input";
/// The event types that it gives.
pub const OUTPUT: &str = "io.flowctl.output";
/// The version of the contract.
pub const ABI: &str = "io.flowctl.abi";
/// How keys of the plugin's own metadata begin.
pub const META: &str = "io.flowctl.meta.";
/// The name of the file that other clients write a layer to.
pub const TITLE: &str = "org.opencontainers.image.title";
/// When the artifact was made.
pub const CREATED: &str = "org.opencontainers.image.created";
/// The tag of a manifest in an image layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The plugin's version.
pub const VERSION: &str = "org.opencontainers.image.version";
/// What it is for.
pub const DESCRIPTION: &str = "org.opencontainers.image.description";
/// Under which licenses it may be used, as an SPDX expression.
pub const LICENSES: &str = "org.opencontainers.image.licenses";
/// Where its source is.
pub const SOURCE: &str = "org.opencontainers.image.source";
/// Where one reads more of it.
pub const URL: &str = "org.opencontainers.image.url";
/// Which revision of its source it was made of.
pub const REVISION: &str = "org.opencontainers.image.revision";
/// Who made it.
pub const AUTHORS: &str = "org.opencontainers.image.authors";

/// Most characters of a value in a message.
const MAX_QUOTE_CHARS: usize = 80;

/// What annotations say about a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// The event types that it takes, in the order of `kind`.
    pub inputs: Vec<EventType>,
    /// The event types that it gives, in the order of `kind`.
    pub outputs: Vec<EventType>,
    /// The version of `flowctl:processor` that it was built on.
    pub abi: semver::Version,
    /// Its version.
    pub version: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What its manifest section says beside, such as the network.
    pub metadata: BTreeMap<String, String>,
}

impl Facts {
    /// What the bytes say.
    #[must_use]
    pub fn of(contract: &Contract) -> Self {
        Self {
            name: contract.name.clone(),
            role: contract.role,
            inputs: types(&contract.inputs),
            outputs: types(&contract.outputs),
            abi: contract.contract_version.clone(),
            version: contract.version.clone(),
            description: contract.description.clone(),
            metadata: contract.metadata.clone(),
        }
    }

    /// Reads annotations. None where no key of flowctl is among them: such an artifact was
    /// pushed by another client, and only its bytes tell what it is.
    ///
    /// # Errors
    ///
    /// [`ArtifactError`] where some of the keys are there and others are missing, or a
    /// value cannot be read.
    pub fn read(annotations: &BTreeMap<String, String>) -> Result<Option<Self>, ArtifactError> {
        if !annotations.keys().any(|key| key.starts_with(PREFIX)) {
            return Ok(None);
        }
        let value = |key: &'static str| annotations.get(key).ok_or(ArtifactError::Missing { key });
        let role = value(ROLE)?;
        let role = [Role::Source, Role::Processor, Role::Sink].into_iter().find(|known| known.to_string() == *role);
        let role = role.ok_or_else(|| unreadable(ROLE, annotations))?;
        let types = |key: &'static str, is_due: bool| {
            if !is_due && !annotations.contains_key(key) {
                return Ok(Vec::new());
            }
            let types = value(key)?.split(',').map(str::parse).collect::<Result<Vec<EventType>, _>>();
            types.map_err(|_| unreadable(key, annotations))
        };
        let metadata = annotations.iter().filter_map(|(key, value)| Some((key.strip_prefix(META)?, value)));
        Ok(Some(Self {
            name: value(NAME)?.clone(),
            role,
            inputs: types(INPUT, role != Role::Source)?,
            outputs: types(OUTPUT, role != Role::Sink)?,
            abi: value(ABI)?.parse().map_err(|_| unreadable(ABI, annotations))?,
            version: annotations.get(VERSION).cloned(),
            description: annotations.get(DESCRIPTION).cloned(),
            metadata: metadata.map(|(key, value)| (key.to_owned(), value.clone())).collect(),
        }))
    }

    /// Holds them against what the bytes say. The version, the description and the
    /// metadata count only where the bytes have them.
    ///
    /// # Errors
    ///
    /// [`ArtifactError::Contradiction`] that names the first key that says something else.
    pub fn check(&self, contract: &Contract) -> Result<(), ArtifactError> {
        let truth = Self::of(contract);
        let differ = |key: &str, said: &str, found: &str| {
            let cut = |text: &str| text.chars().take(MAX_QUOTE_CHARS).collect();
            let (key, said, found) = (key.to_owned(), cut(said), cut(found));
            Err(ArtifactError::Contradiction { key, said, found })
        };
        let required = [
            (NAME, self.name.clone(), truth.name.clone()),
            (ROLE, self.role.to_string(), truth.role.to_string()),
            (INPUT, joined(&self.inputs), joined(&truth.inputs)),
            (OUTPUT, joined(&self.outputs), joined(&truth.outputs)),
            (ABI, self.abi.to_string(), truth.abi.to_string()),
        ];
        for (key, said, found) in required {
            if said != found {
                return differ(key, &said, &found);
            }
        }
        let optional = [(VERSION, &self.version, &truth.version), (DESCRIPTION, &self.description, &truth.description)];
        for (key, said, found) in optional {
            if let (Some(said), Some(found)) = (said, found)
                && said != found
            {
                return differ(key, said, found);
            }
        }
        for (key, found) in &truth.metadata {
            match self.metadata.get(key) {
                Some(said) if said == found => {}
                said => return differ(&format!("{META}{key}"), said.map_or("", String::as_str), found),
            }
        }
        Ok(())
    }
}

/// The annotations of an artifact's manifest.
pub(crate) fn of_manifest(facts: &Facts, listing: &Listing, created: &str) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    let mut put = |key: &str, value: &str| {
        if !value.is_empty() {
            annotations.insert(key.to_owned(), value.to_owned());
        }
    };
    put(NAME, &facts.name);
    put(ROLE, &facts.role.to_string());
    put(INPUT, &joined(&facts.inputs));
    put(OUTPUT, &joined(&facts.outputs));
    put(ABI, &facts.abi.to_string());
    for (key, value) in &facts.metadata {
        put(&format!("{META}{key}"), value);
    }
    let notes = &listing.notes;
    let either = |first: &Option<String>, second: &Option<String>| first.clone().or_else(|| second.clone());
    for (key, value) in [
        (CREATED, Some(created.to_owned())),
        (VERSION, either(&facts.version, &notes.version)),
        (DESCRIPTION, either(&facts.description, &notes.description)),
        (LICENSES, notes.licenses.clone()),
        (SOURCE, notes.source.clone()),
        (URL, notes.homepage.clone()),
        (REVISION, notes.revision.clone()),
        (AUTHORS, notes.authors.clone()),
    ] {
        put(key, value.as_deref().unwrap_or_default());
    }
    annotations
}

fn types(schemas: &[Schema]) -> Vec<EventType> {
    schemas.iter().map(|schema| schema.event_type().clone()).collect()
}

fn joined(types: &[EventType]) -> String {
    types.iter().map(EventType::to_string).collect::<Vec<_>>().join(",")
}

fn unreadable(key: &'static str, annotations: &BTreeMap<String, String>) -> ArtifactError {
    let value: String = annotations.get(key).map_or("", String::as_str).chars().take(MAX_QUOTE_CHARS).collect();
    ArtifactError::Unreadable { key, value }
}
