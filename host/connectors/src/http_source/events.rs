//! Makes events of a request's body.
//!
//! Invariant: what comes out are payloads of the schema, in the order of the body, and
//! takes no more than the given bytes: a short text can stand for a long payload, and
//! many bad events for many reasons, so both are counted while they are made.

use std::fmt;

use flowctl_schema::Schema;
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::settings::OnInvalid;

/// Bad events that an answer lists; the others are counted.
const MAX_SHOWN: usize = 20;
/// Bytes that are kept of why an event is bad.
const MAX_REASON_BYTES: usize = 512;

/// How a body is divided into events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One event, or an array of events.
    Json,
    /// An event a line.
    Lines,
}

/// The events of one request.
#[derive(Debug, Default)]
pub(super) struct Events {
    bytes: Vec<u8>,
    /// End of each event within `bytes`.
    ends: Vec<usize>,
    /// Why events are none of the type: index and reason, ascending.
    refused: Vec<(usize, String)>,
    reason_bytes: usize,
    /// The first of the bad events.
    pub(super) shown: Vec<Invalid>,
}

/// One event as the spool keeps it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// The payload; where there is a reason, what the client sent.
    pub(super) payload: &'a [u8],
    /// Why it is no event.
    pub(super) reason: Option<&'a str>,
}

/// A bad event, as an answer lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Invalid {
    #[serde(flatten)]
    place: Place,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// In an array, from 0; of a single event 0.
    Index(usize),
    /// In lines, from 1.
    Line(usize),
}

/// Why nothing of a body is taken.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// Where one event ends and the next begins cannot be told.
    NoJson(Invalid),
    /// Some events are none of the type.
    Invalid { n_invalid: usize, shown: Vec<Invalid> },
    /// The events take more than the given bytes.
    TooLarge,
}

impl Events {
    /// What an event takes besides its bytes, about.
    pub(super) const EVENT_BYTES: usize = 32;

    /// Number of events, good and bad.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many of them are bad.
    pub(super) fn n_refused(&self) -> usize {
        self.refused.len()
    }

    /// Bytes that they take, here and in the spool.
    pub(super) fn n_bytes(&self) -> usize {
        self.bytes.len() + self.reason_bytes + self.ends.len() * Self::EVENT_BYTES
    }

    /// The events in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let (mut start, mut refused) = (0, self.refused.iter().peekable());
        self.ends.iter().enumerate().map(move |(index, end)| {
            let payload = &self.bytes[std::mem::replace(&mut start, *end)..*end];
            let reason = refused.next_if(|(other, _)| *other == index).map(|(_, reason)| reason.as_str());
            Row { payload, reason }
        })
    }
}

/// Makes events of `body`, in at most `max_bytes`.
pub(super) fn parse(
    format: Format,
    body: &[u8],
    schema: &Schema,
    on_invalid: OnInvalid,
    max_bytes: usize,
) -> Result<Events, Unreadable> {
    let mut collector =
        Collector { schema, on_invalid, max_bytes, events: Events::default(), n_invalid: 0, is_full: false };
    match format {
        Format::Lines => collector.lines(body),
        Format::Json if body.trim_ascii_start().starts_with(b"[") => collector.array(body)?,
        Format::Json if on_invalid == OnInvalid::Refuse => collector.add(body, Place::Index(0)),
        Format::Json => {
            // a dead letter is what is JSON at least
            if let Err(error) = serde_json::from_slice::<&RawValue>(body) {
                return Err(no_json(0, &error));
            }
            collector.add(body.trim_ascii(), Place::Index(0));
        }
    }
    let Collector { events, n_invalid, is_full, .. } = collector;
    if is_full {
        return Err(Unreadable::TooLarge);
    }
    if n_invalid > 0 && on_invalid == OnInvalid::Refuse {
        return Err(Unreadable::Invalid { n_invalid, shown: events.shown });
    }
    Ok(events)
}

fn no_json(index: usize, error: &serde_json::Error) -> Unreadable {
    Unreadable::NoJson(Invalid { place: Place::Index(index), reason: error.to_string() })
}

struct Collector<'a> {
    schema: &'a Schema,
    on_invalid: OnInvalid,
    max_bytes: usize,
    events: Events,
    n_invalid: usize,
    /// Whether `max_bytes` were passed; what follows is passed over.
    is_full: bool,
}

impl Collector<'_> {
    fn lines(&mut self, body: &[u8]) {
        for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if !line.is_empty() && !self.is_full {
                self.add(line, Place::Line(index + 1));
            }
        }
    }

    fn array(&mut self, body: &[u8]) -> Result<(), Unreadable> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let mut n_read = 0;
        let read = Elements { collector: self, n_read: &mut n_read }.deserialize(&mut deserializer);
        match read.and_then(|()| deserializer.end()) {
            Err(error) if !self.is_full => Err(no_json(n_read, &error)),
            _ => Ok(()),
        }
    }

    fn add(&mut self, json: &[u8], place: Place) {
        let events = &mut self.events;
        match self.schema.json_to_payload(json, &mut events.bytes) {
            Ok(()) => events.ends.push(events.bytes.len()),
            Err(error) => {
                self.n_invalid += 1;
                let mut reason = error.to_string();
                reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
                if events.shown.len() < MAX_SHOWN {
                    events.shown.push(Invalid { place, reason: reason.clone() });
                }
                if self.on_invalid == OnInvalid::DeadLetter {
                    events.bytes.extend_from_slice(json);
                    events.reason_bytes += reason.len();
                    events.refused.push((events.ends.len(), reason));
                    events.ends.push(events.bytes.len());
                }
            }
        }
        self.is_full = events.n_bytes() > self.max_bytes;
    }
}

/// Reads the elements of an array, one after the other.
struct Elements<'c, 's> {
    collector: &'c mut Collector<'s>,
    n_read: &'c mut usize,
}

impl<'de> DeserializeSeed<'de> for Elements<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(json) = elements.next_element::<&RawValue>()? {
            self.collector.add(json.get().as_bytes(), Place::Index(*self.n_read));
            *self.n_read += 1;
            if self.collector.is_full {
                return Err(A::Error::custom("too large"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIT: &str = "package test:wide@1.0.0; interface event { record wide { a: option<u8>, b: option<u8>, c: option<u8>, d: option<u8>, e: option<u8>, f: option<u8>, g: option<u8>, h: option<u8> } }";

    fn parse_wide(format: Format, body: &str, on_invalid: OnInvalid, max_bytes: usize) -> Result<Events, Unreadable> {
        let schema = Schema::from_wit(WIT).unwrap().remove(0);
        parse(format, body.as_bytes(), &schema, on_invalid, max_bytes)
    }

    #[test]
    fn short_texts_that_stand_for_long_events_are_counted_as_these() {
        let body = |n: usize| format!("[{}]", vec!["{}"; n].join(","));
        let n_bytes = 100 * (8 + Events::EVENT_BYTES);
        let events = parse_wide(Format::Json, &body(100), OnInvalid::Refuse, n_bytes).unwrap();
        assert_eq!((events.len(), events.n_bytes()), (100, n_bytes));
        for n_events in [101, 100_000] {
            let parsed = parse_wide(Format::Json, &body(n_events), OnInvalid::Refuse, n_bytes);
            assert!(matches!(parsed, Err(Unreadable::TooLarge)), "{n_events}");
        }
    }

    #[test]
    fn reasons_are_short_and_counted() {
        let long = format!("{{\"{}\": 1}}\n", "é".repeat(2_000));
        let events = parse_wide(Format::Lines, &long.repeat(10), OnInvalid::DeadLetter, 1 << 20).unwrap();
        let reasons: Vec<usize> = events.rows().map(|row| row.reason.unwrap().len()).collect();
        assert!(reasons.iter().all(|n_bytes| *n_bytes <= MAX_REASON_BYTES), "{reasons:?}");
        let n_bytes = 10 * (long.len() - 1 + Events::EVENT_BYTES) + reasons.iter().sum::<usize>();
        assert_eq!(events.n_bytes(), n_bytes);
        let parsed = parse_wide(Format::Lines, &long.repeat(10), OnInvalid::DeadLetter, n_bytes - 1);
        assert!(matches!(parsed, Err(Unreadable::TooLarge)));
    }

    #[test]
    fn rows_have_the_reason_that_is_theirs() {
        let events = parse_wide(Format::Lines, "{}\nx\ny\n{\"a\":1}", OnInvalid::DeadLetter, 1 << 20).unwrap();
        let rows: Vec<_> = events.rows().map(|row| (row.payload, row.reason.is_some())).collect();
        let want: [(&[u8], bool); 4] =
            [(&[0; 8], false), (b"x", true), (b"y", true), (&[1, 1, 0, 0, 0, 0, 0, 0, 0], false)];
        assert_eq!(rows, want);
        assert_eq!((events.len(), events.n_refused()), (4, 2));
    }
}
