//! Names of event types, and the WIT packages that define them.
//!
//! `stellar.token.transfer.v1` is the type of the WIT package
//! `stellar:token-transfer@1.x.y`: namespace, then the segments joined by `-`, and
//! the major version. Segments hold no dash, so the mapping goes both ways.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of an event type, such as `stellar.token.transfer.v1`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType(Arc<str>);

/// Why a text names no event type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventTypeError {
    /// The text does not read `namespace.segment….vN`.
    #[error("`{text}` is not an event type: write `namespace.name.v1`, each segment `[a-z][a-z0-9]*`")]
    Spelling {
        /// What was read.
        text: String,
    },
    /// A WIT package whose name no event type maps to.
    #[error("WIT package `{namespace}:{name}` names no event type: segments are `[a-z][a-z0-9]*`, joined by `-`")]
    Package {
        /// The package's namespace.
        namespace: String,
        /// The package's name.
        name: String,
    },
}

impl EventType {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The event type that a WIT package of this name and major version defines.
    ///
    /// # Errors
    ///
    /// [`EventTypeError::Package`] when a segment is not `[a-z][a-z0-9]*`.
    pub fn from_package(namespace: &str, name: &str, major: u64) -> Result<Self, EventTypeError> {
        let segments_hold = is_segment(namespace) && name.split('-').all(is_segment);
        if !segments_hold {
            return Err(EventTypeError::Package { namespace: namespace.to_owned(), name: name.to_owned() });
        }
        Ok(Self(format!("{namespace}.{}.v{major}", name.replace('-', ".")).into()))
    }

    /// The WIT namespace and package name, `("stellar", "token-transfer")`.
    #[must_use]
    pub fn package(&self) -> (&str, String) {
        let (namespace, rest) = self.0.split_once('.').expect("checked when parsed");
        let (name, _) = rest.rsplit_once('.').expect("checked when parsed");
        (namespace, name.replace('.', "-"))
    }

    /// The major version: 1 for `….v1`.
    #[must_use]
    pub fn major(&self) -> u64 {
        let (_, version) = self.0.rsplit_once(".v").expect("checked when parsed");
        version.parse().expect("checked when parsed")
    }
}

fn is_segment(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase()) && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn is_version(text: &str) -> bool {
    text.strip_prefix('v').is_some_and(|digits| {
        digits.bytes().all(|b| b.is_ascii_digit())
            && digits.parse::<u64>().is_ok()
            && (digits == "0" || !digits.starts_with('0'))
    })
}

impl FromStr for EventType {
    type Err = EventTypeError;

    fn from_str(text: &str) -> Result<Self, EventTypeError> {
        let segments: Vec<&str> = text.split('.').collect();
        match segments.as_slice() {
            [names @ .., version] if names.len() >= 2 && is_version(version) && names.iter().all(|s| is_segment(s)) => {
                Ok(Self(text.into()))
            }
            _ => Err(EventTypeError::Spelling { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl serde::Serialize for EventType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn package_and_name_map_to_each_other() {
        let event_type: EventType = "stellar.token.transfer.v1".parse().unwrap();
        assert_eq!(event_type.package(), ("stellar", "token-transfer".to_owned()));
        assert_eq!(event_type.major(), 1);
        assert_eq!(EventType::from_package("stellar", "token-transfer", 1), Ok(event_type));
    }

    #[test]
    fn names_without_version_or_with_dashes_are_refused() {
        for bad in
            ["", "stellar", "stellar.v1", "stellar.ledger", "stellar.token-transfer.v1", "a..v1", "a.b.v01", "a.b.v"]
        {
            assert!(bad.parse::<EventType>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_package_name_survives(ns in "[a-z][a-z0-9]{0,8}", name in "[a-z][a-z0-9]{0,5}(-[a-z][a-z0-9]{0,5}){0,3}", major: u64) {
            let event_type = EventType::from_package(&ns, &name, major).unwrap();
            let parsed: EventType = event_type.as_str().parse().unwrap();
            prop_assert_eq!(parsed.package(), (ns.as_str(), name));
            prop_assert_eq!(parsed.major(), major);
        }
    }
}
