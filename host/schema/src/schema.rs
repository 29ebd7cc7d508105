//! The structure of one event type, ready for use.

use std::sync::Arc;

use flowctl_types::{Digest, EventType};

use crate::compat::{Conversion, Mismatch};
use crate::fault::Fault;
use crate::json::JsonReader;
use crate::payload::PayloadReader;
use crate::plan::Plan;
use crate::{Type, WitError};

/// The structure of one event type. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Schema(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    event_type: EventType,
    version: semver::Version,
    root: Type,
    docs: Option<String>,
    digest: Digest,
    plan: Plan,
}

/// Why a payload is not a value of its schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("payload is no valid `{event_type}`: {reason} at byte {offset}{}", if path.is_empty() { String::new() } else { format!(" (`{path}`)") })]
pub struct PayloadError {
    /// The event type that it was read as.
    pub event_type: EventType,
    /// What is wrong.
    pub reason: String,
    /// Where in the payload, in bytes from its start.
    pub offset: usize,
    /// The field, such as `items[2].price-cents`; empty for the whole.
    pub path: String,
}

/// Why a JSON text is not a value of its schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("JSON is no valid `{event_type}`: {reason} at byte {offset}{}", if path.is_empty() { String::new() } else { format!(" (`{path}`)") })]
pub struct JsonError {
    /// The event type that it was read as.
    pub event_type: EventType,
    /// What is wrong.
    pub reason: String,
    /// Where in the text, in bytes from its start.
    pub offset: usize,
    /// The field, such as `items[2].price_cents`; empty for the whole.
    pub path: String,
}

impl Schema {
    /// All event types that WIT text defines: one package, which may hold others
    /// nested in it. Packages without an interface `event` are passed over.
    ///
    /// # Errors
    ///
    /// [`WitError`] when the text is no WIT, or an event type cannot be used.
    pub fn from_wit(text: &str) -> Result<Vec<Self>, WitError> {
        Self::from_wit_files([("event.wit", text)])
    }

    /// All event types of several WIT packages that may use one another, given as
    /// name (for errors) and text. Each text is a package of its own.
    ///
    /// # Errors
    ///
    /// [`WitError`] when a text is no WIT, or an event type cannot be used.
    pub fn from_wit_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Vec<Self>, WitError> {
        crate::wit::schemas(&files.into_iter().collect::<Vec<_>>())
    }

    /// The WIT text of a package that defines this type and uses no other: what it takes from
    /// other packages is written out.
    #[must_use]
    pub fn to_wit(&self) -> String {
        crate::wit::package(self)
    }

    /// The structure of a type of which the name alone is known: bytes.
    #[must_use]
    pub fn opaque(event_type: EventType) -> Self {
        let version = semver::Version::new(event_type.major(), 0, 0);
        Self::new(event_type, version, Type::Bytes, None)
    }

    pub(crate) fn new(event_type: EventType, version: semver::Version, root: Type, docs: Option<String>) -> Self {
        let digest = Digest::of(root.canonical().as_bytes());
        let plan = Plan::of(&root);
        Self(Arc::new(Inner { event_type, version, root, docs, digest, plan }))
    }

    /// The event type's name.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.0.event_type
    }

    /// The version of the WIT package that defines it.
    #[must_use]
    pub fn version(&self) -> &semver::Version {
        &self.0.version
    }

    /// The type of a whole event.
    #[must_use]
    pub fn root(&self) -> &Type {
        &self.0.root
    }

    /// The doc comment of the event's type, where known.
    #[must_use]
    pub fn docs(&self) -> Option<&str> {
        self.0.docs.as_deref()
    }

    /// Whether payloads are bytes without further structure: an alias of `list<u8>`.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        matches!(self.0.root, Type::Bytes)
    }

    /// Whether events have named fields, as a table's rows have columns.
    #[must_use]
    pub fn is_record(&self) -> bool {
        matches!(self.0.root, Type::Record(_))
    }

    /// The digest of the structure: equal for two schemas whose payloads and JSON
    /// are the same, whatever their docs and their minor versions.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Appends the JSON form of `payload` to `out`, on one line.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when the payload is no value of this type, or is not used up;
    /// `out` is as it was then.
    pub fn payload_to_json(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), PayloadError> {
        let start = out.len();
        let mut reader = PayloadReader::new(payload, out);
        let outcome = if self.is_opaque() {
            crate::payload::push_base64(out, payload);
            reader.check_size(out)
        } else {
            reader.write_json(&self.0.plan, out).and_then(|()| reader.finish())
        };
        outcome.map_err(|fault| {
            out.truncate(start);
            self.payload_error(&fault)
        })
    }

    /// Appends the payload that `json` describes to `out`.
    ///
    /// Keys may come in any order, and those of `option` fields may be missing.
    ///
    /// # Errors
    ///
    /// [`JsonError`] when the text is no JSON form of this type; `out` is as it was
    /// then.
    pub fn json_to_payload(&self, json: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
        let start = out.len();
        let outcome = JsonReader::new(json, out).and_then(|mut reader| {
            if self.is_opaque() {
                reader.opaque(out)?;
            } else {
                reader.read(&self.0.plan, out)?;
            }
            reader.finish()
        });
        outcome.map_err(|fault| {
            out.truncate(start);
            JsonError {
                event_type: self.0.event_type.clone(),
                path: fault.path(),
                offset: fault.offset,
                reason: fault.reason,
            }
        })
    }

    /// What events of schema `emitted` must go through to be read as this one.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] with the first difference that no conversion bridges: another
    /// name or major version, or another structure.
    pub fn accepts(&self, emitted: &Self) -> Result<Conversion, Mismatch> {
        crate::compat::accepts(self, emitted)
    }

    /// Checks that `payload` is a value of this type, used up.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] when it is not.
    pub fn check_payload(&self, payload: &[u8]) -> Result<(), PayloadError> {
        if self.is_opaque() {
            return Ok(());
        }
        let mut reader = PayloadReader::new(payload, &[]);
        reader.skip(&self.0.plan).and_then(|()| reader.finish()).map_err(|fault| self.payload_error(&fault))
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.0.plan
    }

    pub(crate) fn payload_error(&self, fault: &Fault) -> PayloadError {
        PayloadError {
            event_type: self.0.event_type.clone(),
            reason: fault.reason.clone(),
            offset: fault.offset,
            path: fault.path(),
        }
    }
}

/// Equal when event type and structure are.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.0.event_type == other.0.event_type && self.0.digest == other.0.digest
    }
}
