//! What the sink received, as the lines of its file say.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowctl_proto::stellar::TokenTransferBatch;
use flowctl_proto::v1::Event as WireEvent;
use prost::Message as _;
use serde::{Deserialize, Serialize};

use crate::{Event, base64, proto};

/// One event as it came to the sink: a line of JSON of its file `OUTPUT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The event's id.
    pub id: String,
    /// The event type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// How the payload is to be read.
    pub content_type: String,
    /// The payload in base64.
    pub payload: String,
    /// What is said of this event alone.
    pub metadata: BTreeMap<String, String>,
    /// Nanoseconds since the Unix epoch.
    pub timestamp: Option<i128>,
    /// Who emitted it.
    pub source_component_id: String,
    /// The ledger that it stands in, and its place there.
    pub stellar_cursor: Option<(u64, u32)>,
}

impl Received {
    /// Reads the file of a sink, in the order of arrival; none where the file is not there.
    ///
    /// # Panics
    ///
    /// When a line is none that a sink writes.
    pub fn read(path: &Path) -> Vec<Self> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        // behind the last end of a line something may be being written
        Self::parse(text.rsplit_once('\n').map_or("", |(lines, _)| lines))
    }

    /// Understands what a sink wrote, an event a line.
    ///
    /// # Panics
    ///
    /// When a line is none that a sink writes.
    pub fn parse(lines: &str) -> Vec<Self> {
        lines.lines().map(|line| serde_json::from_str(line).expect("a sink writes whole events")).collect()
    }

    /// The payload's bytes.
    ///
    /// # Panics
    ///
    /// When they are not in base64.
    pub fn payload(&self) -> Vec<u8> {
        STANDARD.decode(&self.payload).expect("a sink writes payloads in base64")
    }

    /// The transfers in a protobuf payload, be it one `TokenTransferEvent` or a
    /// `TokenTransferBatch` of many. None where it is neither.
    pub fn transfers(&self) -> Option<Vec<Event>> {
        let payload = self.payload();
        if let Some(event) = proto::event(&payload) {
            return Some(vec![event]);
        }
        let batch = TokenTransferBatch::decode(payload.as_slice()).ok()?;
        batch.events.iter().map(|event| proto::event(&event.encode_to_vec())).collect()
    }

    pub(super) fn new(event: WireEvent) -> Self {
        let nanos = |time: prost_types::Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
        Self {
            id: event.id,
            event_type: event.r#type,
            content_type: event.content_type,
            payload: base64(&event.payload),
            metadata: event.metadata.into_iter().collect(),
            timestamp: event.timestamp.map(nanos),
            source_component_id: event.source_component_id,
            stellar_cursor: event.stellar_cursor.map(|cursor| (cursor.ledger_sequence, cursor.index_in_ledger)),
        }
    }
}
