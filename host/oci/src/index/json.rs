//! The layer of an index: JSON of entries.

use std::collections::BTreeMap;
use std::fmt;

use flowctl_types::Digest;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::descriptor::or_empty;
use crate::index::{EntryError, FormatError, Listed, MAX_BYTES, MAX_ENTRIES};

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    plugins: Entries<'a>,
}

/// Entries as text, so that what is wrong in one can be told with its name.
enum Entries<'a> {
    Few(Vec<&'a RawValue>),
    TooMany,
}

#[derive(Deserialize)]
struct ReadEntry {
    reference: String,
    digest: String,
    #[serde(default, deserialize_with = "or_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Written<'a> {
    plugins: Vec<WrittenEntry<'a>>,
}

#[derive(Serialize)]
struct WrittenEntry<'a> {
    reference: String,
    digest: String,
    annotations: &'a BTreeMap<String, String>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Vec<Listed>, FormatError> {
    if bytes.len() > MAX_BYTES {
        return Err(FormatError::TooLarge { n_bytes: bytes.len() as u64 });
    }
    let Read { plugins } = serde_json::from_slice(bytes).map_err(|source| FormatError::Json { source })?;
    let Entries::Few(entries) = plugins else { return Err(FormatError::TooMany) };
    let read = entries.into_iter().enumerate().map(|(at, text)| {
        let ReadEntry { reference, digest, annotations } =
            serde_json::from_str(text.get()).map_err(|source| wrong(at, text.get(), EntryError::Json { source }))?;
        entry(&reference, &digest, annotations).map_err(|source| wrong(at, &reference, source))
    });
    read.collect()
}

pub(super) fn write(entries: &[Listed]) -> Result<Vec<u8>, FormatError> {
    if entries.len() > MAX_ENTRIES {
        return Err(FormatError::TooMany);
    }
    let plugins = entries.iter().map(|listed| WrittenEntry {
        reference: listed.reference().to_string(),
        digest: listed.digest().to_string(),
        annotations: listed.annotations(),
    });
    let bytes = serde_json::to_vec(&Written { plugins: plugins.collect() }).expect("texts are JSON");
    if bytes.len() > MAX_BYTES {
        return Err(FormatError::TooLarge { n_bytes: bytes.len() as u64 });
    }
    Ok(bytes)
}

fn entry(reference: &str, digest: &str, annotations: BTreeMap<String, String>) -> Result<Listed, EntryError> {
    let reference = reference.parse().map_err(|source| EntryError::Reference { source })?;
    let digest: Digest =
        digest.parse().map_err(|error| EntryError::Json { source: serde_json::Error::custom(error) })?;
    Listed::new(&reference, digest, annotations)
}

fn wrong(at: usize, reference: &str, source: EntryError) -> FormatError {
    let reference = reference.chars().filter(|c| !c.is_control()).take(120).collect();
    FormatError::Entry { number: at + 1, reference, source }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of plugins")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = seq.next_element()? {
                    if entries.len() == MAX_ENTRIES {
                        // the rest is read over, so that what follows is still JSON
                        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                        return Ok(Entries::TooMany);
                    }
                    entries.push(entry);
                }
                Ok(Entries::Few(entries))
            }
        }
        deserializer.deserialize_seq(Bounded)
    }
}
