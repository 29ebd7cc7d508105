//! Several instances of a stateful processor, each with its share of the keys.
//!
//! Invariant: events of one key go to one instance, in order. A key's group is the hash
//! that the SDK uses when it saves state by group, so restored parts meet their events.

use std::borrow::Cow;
use std::sync::Arc;

use flowctl_schema::Schema;
use flowctl_types::{Batch, Columns, Ids};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tracing::Instrument as _;

use super::crew::Guarded;
use crate::worker::{Call, Trouble, Worker};
use crate::{Outcome, State};

/// Number of key groups.
const N_GROUPS: usize = 256;

/// The instances of one node, and what divides events among them.
pub(crate) struct Partitions {
    workers: Vec<Option<Worker>>,
    /// The field's name in JSON form; none for the keys that events bring.
    field: Option<String>,
    /// What each instance last said of the time.
    watermarks: Vec<Option<u64>>,
    json: Vec<u8>,
}

/// The group of a key: FNV-1a (64 bits), folded to 8 bits by xor of its bytes.
pub(crate) fn key_group(key: &[u8]) -> u8 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325, step);
    hash.to_le_bytes().into_iter().fold(0, |folded, byte| folded ^ byte)
}

impl Partitions {
    pub(crate) fn new(workers: Vec<Worker>, field: Option<&str>) -> Self {
        Self {
            watermarks: vec![None; workers.len()],
            workers: workers.into_iter().map(Some).collect(),
            field: field.map(|field| field.replace('-', "_")),
            json: Vec::new(),
        }
    }

    /// Processes a batch on all instances that have a share in it.
    pub(crate) async fn process(&mut self, batch: &Batch, schema: Option<&Schema>) -> Result<Outcome, Trouble> {
        let shares = self.divide(batch, schema);
        let mut running = Vec::new();
        for (index, share) in shares.into_iter().enumerate() {
            // a watermark is for all of them
            if share.is_empty() && batch.watermark.is_none() {
                continue;
            }
            let Some(mut worker) = self.workers[index].take() else { continue };
            let input = pick(batch, &share);
            let call = async move {
                let result = worker.call(Call::Process(&input)).await;
                (worker, result)
            };
            let task = Guarded::new(tokio::spawn(call.in_current_span()));
            running.push((index, share, task));
        }
        let mut merged = Outcome::default();
        let mut trouble = None;
        for (index, share, mut task) in running {
            let (worker, result) = task.join().await.map_err(Trouble::Node)?;
            self.workers[index] = Some(worker);
            match result {
                Ok(outcome) => self.merge(&mut merged, outcome, index, &share),
                Err(error) => trouble = Some(error),
            }
        }
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
        if let Some(last) = merged.outputs.last_mut() {
            last.watermark = self.watermarks.iter().copied().min().flatten();
        }
        merged.rejected.sort_by_key(|rejection| rejection.index);
        Ok(merged)
    }

    /// All instances.
    pub(crate) fn workers(&mut self) -> impl Iterator<Item = &mut Worker> {
        self.workers.iter_mut().flatten()
    }

    /// The parts of `state` that belong to each instance.
    pub(crate) fn shares(&self, state: &State) -> Vec<State> {
        let n_workers = self.workers.len();
        let mut shares = vec![State::new(); n_workers];
        for (group, bytes) in state {
            shares[owner(*group as usize % N_GROUPS, n_workers)].push((*group, bytes.clone()));
        }
        shares
    }

    /// The indices of each instance's events.
    fn divide(&mut self, batch: &Batch, schema: Option<&Schema>) -> Vec<Vec<u32>> {
        let n_workers = self.workers.len();
        let mut shares = vec![Vec::with_capacity(batch.len() / n_workers + 1); n_workers];
        for index in 0..batch.len() {
            let group = match (&self.field, schema) {
                (Some(field), Some(schema)) => {
                    self.json.clear();
                    match schema.payload_to_json(batch.columns.payload(index), &mut self.json) {
                        Ok(()) => field_group(&self.json, field),
                        // no event of its type: the instance that gets it will refuse it
                        Err(_) => key_group(b""),
                    }
                }
                _ => key_group(batch.columns.key(index).unwrap_or_default()),
            };
            let index = u32::try_from(index).expect("a batch is far below 4 G events");
            shares[owner(usize::from(group), n_workers)].push(index);
        }
        shares
    }

    /// Adds one instance's outcome, with the whole batch's indices in place of its own.
    fn merge(&mut self, merged: &mut Outcome, outcome: Outcome, worker: usize, share: &[u32]) {
        for mut output in outcome.outputs {
            for origin in &mut output.origins {
                *origin = share[*origin as usize];
            }
            let watermark = output.watermark.take();
            self.watermarks[worker] = self.watermarks[worker].max(watermark);
            merged.outputs.push(output);
        }
        for mut rejection in outcome.rejected {
            rejection.index = share[rejection.index as usize];
            merged.rejected.push(rejection);
        }
    }
}

fn owner(group: usize, n_workers: usize) -> usize {
    group * n_workers / N_GROUPS
}

/// The events at `indices` as a batch. Its ids are those of its place in `batch`; what
/// comes out is identified by the whole batch's.
fn pick(batch: &Batch, indices: &[u32]) -> Batch {
    let from = &batch.columns;
    let mut columns = Columns { kind: from.kind, ..Columns::default() };
    columns.ends.reserve(indices.len());
    columns.timestamps.reserve(indices.len());
    for index in indices {
        let index = *index as usize;
        columns.push(from.timestamps[index], from.payload(index));
        if let Some(key) = from.key(index) {
            columns.keys.extend_from_slice(key);
            columns.key_ends.push(u32::try_from(columns.keys.len()).expect("no longer than the keys it is of"));
        }
    }
    let ids = Ids::derive(&batch.ids, vec![indices.to_vec()]).pop().unwrap_or_else(|| batch.ids.clone());
    Batch { columns, ids, watermark: batch.watermark, attributes: Arc::clone(&batch.attributes) }
}

/// The group of a field of a JSON object: that of its text where it is a string, that of
/// the empty key where it is none, else that of its JSON form.
fn field_group(json: &[u8], field: &str) -> u8 {
    let raw = serde_json::Deserializer::from_slice(json).deserialize_map(FieldOf(field)).ok().flatten();
    let Some(raw) = raw else { return key_group(b"") };
    match serde_json::from_str::<Option<Text<'_>>>(raw.get()) {
        Ok(text) => key_group(text.as_ref().map_or("", |text| text.0.as_ref()).as_bytes()),
        Err(_) => key_group(raw.get().as_bytes()),
    }
}

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Finds one field of an object and skips the others.
struct FieldOf<'a>(&'a str);

impl<'de> Visitor<'de> for FieldOf<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Text<'de>>()? {
            if name.0 == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_of_the_sdk() {
        assert_eq!(key_group(b""), 0xe1);
    }

    #[test]
    fn every_group_has_an_owner_and_every_owner_a_group() {
        for n_workers in 1..=8 {
            let owners: std::collections::BTreeSet<_> = (0..N_GROUPS).map(|group| owner(group, n_workers)).collect();
            assert_eq!(owners, (0..n_workers).collect());
        }
    }

    #[test]
    fn a_field_is_grouped_by_its_text() {
        let json = br#"{"a": {"asset": "no"}, "asset": "na\u0074ive", "n": 7, "no": null, "text": "null"}"#;
        assert_eq!(field_group(json, "asset"), key_group(b"native"));
        assert_eq!(field_group(json, "n"), key_group(b"7"));
        assert_eq!(field_group(json, "missing"), key_group(b""));
        assert_eq!(field_group(json, "no"), key_group(b""));
        assert_eq!(field_group(json, "text"), key_group(b"null"));
    }

    #[test]
    fn picked_events_keep_payload_key_and_time() {
        let mut columns = Columns::default();
        for (index, payload) in [b"a", b"b", b"c"].into_iter().enumerate() {
            columns.push(index as u64, payload);
            columns.keys.extend_from_slice(payload);
            columns.key_ends.push(u32::try_from(index).unwrap() + 1);
        }
        let picked = pick(&Batch::new(columns, Ids::numbered("s", 0)), &[0, 2]);
        assert_eq!(picked.columns.payloads().collect::<Vec<_>>(), [b"a", b"c"]);
        assert_eq!(picked.columns.timestamps, [0, 2]);
        assert_eq!(picked.columns.key(1), Some(&b"c"[..]));
    }
}
