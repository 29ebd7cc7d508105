//! What is kept of an event that was refused.
//!
//! Invariant: a letter alone says what happened: which event, why, where, and by
//! whose bytes. One letter is one JSON object on one line.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowctl_schema::Schema;
use flowctl_types::{Digest, EventType, NodeId};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// One event that was refused, or that its processor broke on.
#[derive(Debug, Clone, Serialize)]
pub struct DeadLetter {
    /// When it was refused; RFC 3339, UTC.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// The node that refused it.
    pub node: NodeId,
    /// The digest of the plugin at that node; none where a connector runs there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Digest>,
    /// The event's id, the same again when the event is replayed.
    pub event_id: String,
    /// Where its source read it: the id of the source's event that this one came from.
    pub position: String,
    /// The event's type; none where no event could be made of what was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<EventType>,
    /// Why it was refused.
    pub reason: String,
    /// Calls that were made with this event among their input.
    pub attempts: u32,
    /// The last lines that the plugin wrote; empty where it did not crash.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log_tail: String,
    /// What the event carried.
    #[serde(flatten)]
    pub payload: LetterPayload,
}

/// A payload in the form that reads best.
#[derive(Debug, Clone, Serialize)]
pub enum LetterPayload {
    /// The JSON form of a payload of its event type.
    #[serde(rename = "payload")]
    Json(Box<RawValue>),
    /// Text that could not be read as an event.
    #[serde(rename = "payload_text")]
    Text(String),
    /// Bytes that are neither, in base64.
    #[serde(rename = "payload_base64")]
    Base64(String),
}

impl LetterPayload {
    /// The JSON form where `payload` decodes as `schema`; else text where it is UTF-8,
    /// else base64.
    #[must_use]
    pub fn new(schema: Option<&Schema>, payload: &[u8]) -> Self {
        let decoded = schema.and_then(|schema| {
            let mut json = Vec::new();
            schema.payload_to_json(payload, &mut json).ok()?;
            RawValue::from_string(String::from_utf8(json).ok()?).ok()
        });
        match (decoded, std::str::from_utf8(payload)) {
            (Some(json), _) => Self::Json(json),
            (None, Ok(text)) => Self::Text(text.to_owned()),
            (None, Err(_)) => Self::Base64(STANDARD.encode(payload)),
        }
    }

    /// Bytes it holds, about.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        match self {
            Self::Json(json) => json.get().len(),
            Self::Text(text) | Self::Base64(text) => text.len(),
        }
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let timestamp = jiff::Timestamp::try_from(*time).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&format_args!("{timestamp:.3}"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_letter_is_one_line_of_json() {
        let letter = DeadLetter {
            time: SystemTime::UNIX_EPOCH,
            node: "filter".parse().unwrap(),
            plugin: None,
            event_id: "orders/7/0".to_owned(),
            position: "orders/7".to_owned(),
            event_type: Some("example.order.v1".parse().unwrap()),
            reason: "amount is\nnegative".into(),
            attempts: 1,
            log_tail: String::new(),
            payload: LetterPayload::new(None, b"no json"),
        };
        expect![[r#"{"time":"1970-01-01T00:00:00.000Z","node":"filter","event_id":"orders/7/0","position":"orders/7","event_type":"example.order.v1","reason":"amount is\nnegative","attempts":1,"payload_text":"no json"}"#]]
        .assert_eq(&serde_json::to_string(&letter).unwrap());
        let bytes = LetterPayload::new(None, &[0xff]);
        assert_eq!(serde_json::to_string(&bytes).unwrap(), r#"{"payload_base64":"/w=="}"#);
    }
}
