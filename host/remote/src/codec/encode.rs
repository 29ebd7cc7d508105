//! Batches as events for a component.

use std::collections::HashMap;

use flowctl_proto::stellar::{RawLedger, TokenTransferEvent};
use flowctl_proto::v1;
use flowctl_runtime::Rejection;
use flowctl_schema::Schema;
use flowctl_topology::Node;
use flowctl_types::Batch;
use prost::Message as _;
use prost_types::Timestamp;

use crate::RemoteError;

use super::{BYTES, Codec, Form, JSON, MAX_MESSAGE_BYTES, NANOS_PER_SECOND, PROTOBUF, ledger, transfers};

/// Who events say that they come from: what emitted them first is in their metadata, if
/// anywhere.
const SENDER: &str = "flowctl";
/// The attribute and the key of metadata that name the network.
const NETWORK: &str = "network";

/// How token transfers are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TransferStyle {
    /// An event for each: `TokenTransferEvent`.
    Event,
    /// An event for those of a ledger that are in one batch: `TokenTransferBatch`.
    #[default]
    Ledger,
}

impl TransferStyle {
    /// What the node's configuration says in `token_transfers`, or the default.
    pub(crate) fn of(node: &Node) -> Result<Self, RemoteError> {
        match node.config.get("token_transfers") {
            None | Some(serde_json::Value::Null) => Ok(Self::default()),
            Some(value) => match value.as_str() {
                Some("event") => Ok(Self::Event),
                Some("ledger") => Ok(Self::Ledger),
                _ => Err(RemoteError::Config {
                    node: node.id.clone(),
                    field: "token_transfers",
                    reason: format!("is {value}: write `event` or `ledger`"),
                }),
            },
        }
    }
}

/// A batch as events for a component.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) events: Vec<v1::Event>,
    /// What cannot be sent.
    pub(crate) rejected: Vec<Rejection>,
}

/// Movements of one ledger that wait to be sent together.
struct Waiting {
    ledger: u32,
    first: v1::Event,
    movements: Vec<TokenTransferEvent>,
}

impl Codec {
    /// Translates the events of `batch`, in order.
    pub(crate) fn encode(&self, batch: &Batch) -> Encoded {
        let mut encoded = Encoded::default();
        let Some((schema, form)) = self.types.get(batch.columns.kind as usize) else {
            let reason = format!("its kind is {}, and the component takes {}", batch.columns.kind, self.types.len());
            for index in 0..batch.len() {
                encoded.reject(index, reason.clone());
            }
            return encoded;
        };
        let mut waiting: Option<Waiting> = None;
        for (index, payload) in batch.columns.payloads().enumerate() {
            let mut event = bare(batch, index, schema);
            let result = match form {
                Form::Ledger => encode_ledger(payload, batch, index, &mut event),
                Form::Json => encode_json(payload, schema, &mut event),
                Form::Opaque => {
                    event.payload = payload.to_vec();
                    let said = batch.ids.description(index).and_then(|said| said.content_type.clone());
                    event.content_type = said.unwrap_or_else(|| BYTES.to_owned());
                    Ok(())
                }
                Form::Transfers => match transfers::encode(payload, schema) {
                    Ok(movement) => {
                        event.content_type = PROTOBUF.to_owned();
                        let ledger = movement.meta.as_ref().map_or(0, |meta| meta.ledger_sequence);
                        event
                            .stellar_cursor
                            .get_or_insert(v1::StellarCursor { ledger_sequence: ledger.into(), index_in_ledger: 0 });
                        if self.style == TransferStyle::Ledger {
                            match &mut waiting {
                                Some(waiting) if waiting.ledger == ledger => waiting.movements.push(movement),
                                _ => {
                                    encoded.send(waiting.take());
                                    waiting = Some(Waiting { ledger, first: event, movements: vec![movement] });
                                }
                            }
                            continue;
                        }
                        event.payload = movement.encode_to_vec();
                        Ok(())
                    }
                    Err(reason) => Err(reason),
                },
            };
            match result {
                Ok(()) if event.encoded_len() > MAX_MESSAGE_BYTES => {
                    let reason = format!("it takes {} bytes, the limit is {MAX_MESSAGE_BYTES}", event.encoded_len());
                    encoded.reject(index, reason);
                }
                Ok(()) => encoded.events.push(event),
                Err(reason) => encoded.reject(index, reason),
            }
        }
        encoded.send(waiting);
        encoded
    }
}

impl Encoded {
    fn reject(&mut self, index: usize, reason: String) {
        self.rejected.push(Rejection { index: u32::try_from(index).unwrap_or(u32::MAX), reason });
    }

    fn send(&mut self, waiting: Option<Waiting>) {
        let Some(Waiting { first: mut event, movements, .. }) = waiting else { return };
        event.payload = transfers::batch(movements).encode_to_vec();
        self.events.push(event);
    }
}

/// An event without payload and content type.
fn bare(batch: &Batch, index: usize, schema: &Schema) -> v1::Event {
    let said = batch.ids.description(index);
    let time = batch.columns.timestamps[index];
    let timestamp = Timestamp {
        seconds: i64::try_from(time / NANOS_PER_SECOND).expect("a 64-bit number of nanoseconds is fewer seconds"),
        nanos: i32::try_from(time % NANOS_PER_SECOND).expect("less than a second"),
    };
    v1::Event {
        id: batch.ids.get(index),
        r#type: schema.event_type().to_string(),
        payload: Vec::new(),
        metadata: said.map(|said| said.metadata.iter().cloned().collect::<HashMap<_, _>>()).unwrap_or_default(),
        timestamp: (time > 0).then_some(timestamp),
        source_component_id: SENDER.to_owned(),
        content_type: String::new(),
        stellar_cursor: said
            .and_then(|said| said.cursor)
            .map(|(ledger_sequence, index_in_ledger)| v1::StellarCursor { ledger_sequence, index_in_ledger }),
    }
}

fn encode_json(payload: &[u8], schema: &Schema, event: &mut v1::Event) -> Result<(), String> {
    schema.payload_to_json(payload, &mut event.payload).map_err(|error| error.to_string())?;
    event.content_type = JSON.to_owned();
    Ok(())
}

fn encode_ledger(payload: &[u8], batch: &Batch, index: usize, event: &mut v1::Event) -> Result<(), String> {
    let header = ledger::header(payload);
    let cursor = event.stellar_cursor.as_ref().map(|cursor| cursor.ledger_sequence);
    let sequence = match (&header, cursor.map(u32::try_from)) {
        (Ok(header), _) => header.sequence,
        (Err(_), Some(Ok(sequence))) => sequence,
        (Err(error), _) => return Err(format!("its sequence number cannot be read: {error}")),
    };
    let closed_at = match batch.columns.timestamps[index] / NANOS_PER_SECOND {
        0 => header.map_or(0, |header| header.closed_at),
        seconds => seconds,
    };
    let attribute = batch.attributes.iter().find(|(name, _)| name == NETWORK).map(|(_, value)| value.clone());
    let ledger = RawLedger {
        sequence,
        ledger_close_meta_xdr: payload.to_vec(),
        network: attribute.or_else(|| event.metadata.get(NETWORK).cloned()).unwrap_or_default(),
        closed_at: i64::try_from(closed_at).unwrap_or(i64::MAX),
    };
    event.payload = ledger.encode_to_vec();
    event.content_type = PROTOBUF.to_owned();
    event.stellar_cursor = Some(v1::StellarCursor { ledger_sequence: sequence.into(), index_in_ledger: 0 });
    event.metadata.entry("ledger_sequence".to_owned()).or_insert_with(|| sequence.to_string());
    event.metadata.entry("xdr_size".to_owned()).or_insert_with(|| payload.len().to_string());
    Ok(())
}
