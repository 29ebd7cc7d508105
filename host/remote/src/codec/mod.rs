//! Payloads as components in other processes write them, and as they travel here.
//!
//! What an event type and a content type make of a payload:
//!
//! | type | content type | payload there | payload here |
//! |---|---|---|---|
//! | `stellar.ledger.v1` | protobuf | `stellar.v1.RawLedger` | XDR, network as attribute |
//! | `stellar.token.transfer.v1` | protobuf | `TokenTransferEvent` or `TokenTransferBatch` | a record each |
//! | any with a structure | JSON | its JSON form | its payload |
//! | any without | any | bytes | the same bytes |
//!
//! Invariant: no payload makes this panic, and what one costs is bounded by its own size
//! and by [`MAX_MESSAGE_BYTES`].

mod assembly;
mod encode;
mod ledger;
mod protobuf;
mod transfers;

use flowctl_proto::v1;
use flowctl_schema::{MAX_EVENT_BYTES, Schema};
use flowctl_types::{Columns, Description};

pub(crate) use self::assembly::{Assembled, Assembly};
pub(crate) use self::encode::{Encoded, TransferStyle};

/// Largest message that is sent or taken: 64 MiB.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// The event type of ledgers.
pub(crate) const LEDGER: &str = "stellar.ledger.v1";
/// The event type of token transfers.
const TRANSFER: &str = "stellar.token.transfer.v1";

const PROTOBUF: &str = "application/protobuf";
const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Translates events of the types of one side of a node.
#[derive(Debug)]
pub(crate) struct Codec {
    /// By kind.
    types: Vec<(Schema, Form)>,
    style: TransferStyle,
}

/// What payloads of a type look like outside of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Ledger,
    Transfers,
    Json,
    Opaque,
}

/// One event of a component, translated.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) kind: u32,
    /// The network that it is from, where the payload says so.
    pub(crate) network: Option<String>,
    /// Its events: one, or those that it stands for.
    pub(crate) columns: Columns,
    pub(crate) shape: Shape,
    pub(crate) description: Description,
}

/// How many events a component's event stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One, with its id.
    Single,
    /// Any number; their ids are its id and a number.
    Collection,
}

impl Codec {
    /// Translates events of `schemas`, by kind.
    pub(crate) fn new(schemas: &[Schema], style: TransferStyle) -> Self {
        Self { types: schemas.iter().map(|schema| (schema.clone(), Form::of(schema))).collect(), style }
    }

    /// Translates an event, or says why that cannot be done.
    pub(crate) fn decode(&self, event: &v1::Event) -> Result<Decoded, String> {
        let found = self.types.iter().position(|(schema, _)| schema.event_type().as_str() == event.r#type);
        let Some(index) = found else {
            let known: Vec<_> = self.types.iter().map(|(schema, _)| format!("`{}`", schema.event_type())).collect();
            return Err(format!("its type is `{}`, and the node emits {}", shown(&event.r#type), known.join(", ")));
        };
        let (schema, form) = &self.types[index];
        let content_type = essence(&event.content_type);
        let mut decoded = Decoded {
            kind: u32::try_from(index).unwrap_or(u32::MAX),
            network: None,
            columns: Columns::default(),
            shape: Shape::Single,
            description: describe(event),
        };
        decoded.columns.kind = decoded.kind;
        let time = nanos(event.timestamp.as_ref());
        match (form, content_type.as_str()) {
            (Form::Ledger, "" | PROTOBUF | "application/x-protobuf") => ledger::decode(event, time, &mut decoded)?,
            (Form::Transfers, "" | PROTOBUF | "application/x-protobuf") => {
                transfers::decode(&event.payload, schema, time, &mut decoded)?;
            }
            (Form::Transfers | Form::Json, JSON) | (Form::Json, "") => {
                let read = schema.json_to_payload(&event.payload, &mut decoded.columns.data);
                read.map_err(|error| error.to_string())?;
                decoded.columns.finish_event(time);
            }
            (Form::Ledger, BYTES | "application/xdr") | (Form::Opaque, _) => {
                check_size(event.payload.len())?;
                decoded.columns.push(time, &event.payload);
                if !event.content_type.is_empty() {
                    decoded.description.content_type = Some(event.content_type.clone());
                }
            }
            (form, _) => {
                return Err(format!(
                    "its content type is `{}`, and events of `{}` are read as {}",
                    shown(&event.content_type),
                    schema.event_type(),
                    form.readable()
                ));
            }
        }
        Ok(decoded)
    }
}

impl Form {
    fn of(schema: &Schema) -> Self {
        match (schema.event_type().as_str(), schema.is_opaque()) {
            (LEDGER, true) => Self::Ledger,
            (TRANSFER, false) => Self::Transfers,
            (_, true) => Self::Opaque,
            (_, false) => Self::Json,
        }
    }

    /// The content types that are read, for messages.
    fn readable(self) -> &'static str {
        match self {
            Self::Ledger => "`application/protobuf` or `application/octet-stream`",
            Self::Transfers => "`application/protobuf` or `application/json`",
            Self::Json => "`application/json`",
            Self::Opaque => "any",
        }
    }
}

/// The place of an event that a component names: ledger and index within it.
pub(crate) fn cursor(event: &v1::Event) -> Option<(u64, u32)> {
    event.stellar_cursor.as_ref().map(|cursor| (cursor.ledger_sequence, cursor.index_in_ledger))
}

fn describe(event: &v1::Event) -> Description {
    let mut metadata: Vec<_> = event.metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    metadata.sort_unstable();
    Description { id: event.id.clone(), metadata, cursor: cursor(event), content_type: None }
}

/// A content type without its parameters, in lower case.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A time in nanoseconds since the Unix epoch; 0 where there is none, or none that can be.
fn nanos(time: Option<&prost_types::Timestamp>) -> u64 {
    let nanos = |time: &prost_types::Timestamp| {
        let seconds = u64::try_from(time.seconds).ok()?.checked_mul(NANOS_PER_SECOND)?;
        seconds.checked_add(u64::try_from(time.nanos).ok()?)
    };
    time.and_then(nanos).unwrap_or_default()
}

fn check_size(n_bytes: usize) -> Result<(), String> {
    if n_bytes > MAX_EVENT_BYTES {
        return Err(format!("it takes {n_bytes} bytes, the limit is {MAX_EVENT_BYTES}"));
    }
    Ok(())
}

/// The start of a text that a component wrote, for messages.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests;
