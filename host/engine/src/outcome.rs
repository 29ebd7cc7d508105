//! Checks what a plugin answered before anything uses it.
//!
//! Invariant: an [`Outcome`] that comes out of here can be indexed by its own numbers:
//! offsets lie within their columns, origins and rejections within the input, each
//! kind is declared. Payloads are not looked into.

use flowctl_runtime::{Outcome, Output, Rejection, State};
use flowctl_types::{ColumnFault, Columns, Limits};

use crate::OutcomeLimits;
use crate::bindings::{BatchOut, OutcomeOut, RejectionOut};

/// Most attributes of one batch.
const MAX_ATTRIBUTES: usize = 64;
/// Most bytes of names and values of one batch's attributes.
const MAX_ATTRIBUTE_BYTES: usize = 16 << 10;
/// Longest reason of a rejection in bytes; the rest is cut.
const MAX_REASON_BYTES: usize = 4 << 10;
/// The last key group.
const MAX_KEY_GROUP: u32 = 255;

/// What an answer must hold to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// How many output types are declared.
    pub(crate) n_kinds: u32,
    /// How much may be answered.
    pub(crate) limits: OutcomeLimits,
}

/// A lie in an answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lie {
    #[error("output batch {batch}: {source}")]
    Columns { batch: usize, source: ColumnFault },
    #[error("output batch {batch} is of kind {kind} again, one batch a kind is allowed")]
    KindTwice { batch: usize, kind: u32 },
    #[error("the output batches have {found} {what} together, the limit is {limit}")]
    TooMuch { what: &'static str, found: usize, limit: usize },
    #[error("output batch {batch} has {found} attributes, the limit is {MAX_ATTRIBUTES}")]
    Attributes { batch: usize, found: usize },
    #[error("the attributes of output batch {batch} have {found} bytes, the limit is {MAX_ATTRIBUTE_BYTES}")]
    AttributeBytes { batch: usize, found: usize },
    #[error("`rejected[{at}].index` is {index}, but the input had {n_inputs} events")]
    RejectedRange { at: usize, index: u32, n_inputs: usize },
    #[error("`rejected[{at}].index` is {index}, after {previous}: indices must ascend")]
    RejectedOrder { at: usize, index: u32, previous: u32 },
    #[error("output batch {batch}: `origins[{at}]` is {origin}, an event that was rejected")]
    RejectedOrigin { batch: usize, at: usize, origin: u32 },
    #[error("part {at} of the state has key group {group}, the last one is {MAX_KEY_GROUP}")]
    KeyGroup { at: usize, group: u32 },
    #[error("part {at} of the state is of key group {group} again")]
    KeyGroupTwice { at: usize, group: u32 },
}

/// Takes an answer to an input of `n_inputs` events; 0 for an answer to the time.
pub(crate) fn check(answer: OutcomeOut, terms: &Terms, n_inputs: usize) -> Result<Outcome, Lie> {
    check_rejected(&answer.rejected, n_inputs)?;
    let (mut n_events, mut n_bytes) = (0, 0);
    let mut outputs: Vec<Output> = Vec::with_capacity(answer.outputs.len().min(terms.n_kinds as usize));
    for (batch, output) in answer.outputs.into_iter().enumerate() {
        let kind = output.kind;
        let output = check_batch(batch, output, terms, n_inputs)?;
        if outputs.iter().any(|other| other.columns.kind == kind) {
            return Err(Lie::KindTwice { batch, kind });
        }
        check_not_rejected(batch, &output.origins, &answer.rejected)?;
        n_events += output.columns.len();
        n_bytes += output.columns.n_bytes();
        outputs.push(output);
    }
    for (what, found, limit) in
        [("events", n_events, terms.limits.max_events), ("bytes", n_bytes, terms.limits.max_bytes)]
    {
        if found > limit {
            return Err(Lie::TooMuch { what, found, limit });
        }
    }
    let rejected = answer.rejected.into_iter();
    let rejected = rejected.map(|RejectionOut { index, reason }| Rejection { index, reason: cut(reason) }).collect();
    Ok(Outcome { outputs, rejected })
}

/// Checks the key groups of a saved state.
pub(crate) fn check_parts(parts: &State) -> Result<(), Lie> {
    let mut seen = [false; MAX_KEY_GROUP as usize + 1];
    for (at, (group, _)) in parts.iter().enumerate() {
        let group = *group;
        let is_seen = seen.get_mut(group as usize).ok_or(Lie::KeyGroup { at, group })?;
        if std::mem::replace(is_seen, true) {
            return Err(Lie::KeyGroupTwice { at, group });
        }
    }
    Ok(())
}

/// Cuts a text where it is too long, between two characters.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > MAX_REASON_BYTES {
        text.truncate(text.floor_char_boundary(MAX_REASON_BYTES));
        text.push('…');
    }
    text
}

fn check_batch(batch: usize, output: BatchOut, terms: &Terms, n_inputs: usize) -> Result<Output, Lie> {
    let BatchOut { kind, timestamps, ends, data, key_ends, keys, origins, watermark, attributes } = output;
    let columns = Columns { kind, timestamps, ends, data, key_ends, keys };
    let limits =
        Limits { n_kinds: terms.n_kinds, max_events: terms.limits.max_events, max_bytes: terms.limits.max_bytes };
    columns
        .check(&limits)
        .and_then(|()| ColumnFault::check_origins(&origins, columns.len(), n_inputs))
        .map_err(|source| Lie::Columns { batch, source })?;
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(Lie::Attributes { batch, found: attributes.len() });
    }
    let n_bytes = attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    if n_bytes > MAX_ATTRIBUTE_BYTES {
        return Err(Lie::AttributeBytes { batch, found: n_bytes });
    }
    Ok(Output { columns, origins, ids: None, watermark, attributes: attributes.into() })
}

fn check_rejected(rejected: &[RejectionOut], n_inputs: usize) -> Result<(), Lie> {
    let mut previous = None;
    for (at, RejectionOut { index, .. }) in rejected.iter().enumerate() {
        let index = *index;
        if index as usize >= n_inputs {
            return Err(Lie::RejectedRange { at, index, n_inputs });
        }
        if let Some(previous) = previous.filter(|previous| index <= *previous) {
            return Err(Lie::RejectedOrder { at, index, previous });
        }
        previous = Some(index);
    }
    Ok(())
}

fn check_not_rejected(batch: usize, origins: &[u32], rejected: &[RejectionOut]) -> Result<(), Lie> {
    if rejected.is_empty() {
        return Ok(());
    }
    let is_rejected = |origin: &u32| rejected.binary_search_by_key(origin, |rejection| rejection.index).is_ok();
    match origins.iter().position(is_rejected) {
        Some(at) => Err(Lie::RejectedOrigin { batch, at, origin: origins[at] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(kind: u32, n_events: u32) -> BatchOut {
        BatchOut {
            kind,
            timestamps: vec![0; n_events as usize],
            ends: (1..=n_events).collect(),
            data: vec![0; n_events as usize],
            key_ends: vec![],
            keys: vec![],
            origins: (0..n_events).collect(),
            watermark: None,
            attributes: vec![],
        }
    }

    fn rejected(indices: &[u32]) -> Vec<RejectionOut> {
        indices.iter().map(|index| RejectionOut { index: *index, reason: "bad".into() }).collect()
    }

    fn lie(outputs: Vec<BatchOut>, rejected: Vec<RejectionOut>) -> String {
        let limits = OutcomeLimits { max_events: 4, max_bytes: 100 };
        let terms = Terms { n_kinds: 2, limits };
        match check(OutcomeOut { outputs, rejected }, &terms, 3) {
            Ok(_) => "none".to_owned(),
            Err(lie) => lie.to_string(),
        }
    }

    #[test]
    fn honest_answers_pass() {
        assert_eq!(lie(vec![batch(0, 3), batch(1, 1)], vec![]), "none");
        assert_eq!(lie(vec![batch(0, 2)], rejected(&[2])), "none");
        assert_eq!(lie(vec![], rejected(&[0, 1, 2])), "none");
    }

    #[test]
    fn every_lie_is_named() {
        let far = BatchOut { ends: vec![9], ..batch(0, 1) };
        assert_eq!(lie(vec![batch(1, 1), far], vec![]), "output batch 1: `ends` ends at 9, but there are 1 bytes");
        assert_eq!(
            lie(vec![batch(0, 1), batch(0, 1)], vec![]),
            "output batch 1 is of kind 0 again, one batch a kind is allowed"
        );
        assert_eq!(
            lie(vec![batch(0, 3), batch(1, 3)], vec![]),
            "the output batches have 6 events together, the limit is 4"
        );
        assert_eq!(lie(vec![], rejected(&[3])), "`rejected[0].index` is 3, but the input had 3 events");
        assert_eq!(lie(vec![], rejected(&[1, 1])), "`rejected[1].index` is 1, after 1: indices must ascend");
        assert_eq!(
            lie(vec![batch(0, 3)], rejected(&[1])),
            "output batch 0: `origins[1]` is 1, an event that was rejected"
        );
        let attributes = |n: usize, size: usize| vec![(String::new(), "x".repeat(size)); n];
        let many = BatchOut { attributes: attributes(65, 0), ..batch(0, 0) };
        assert_eq!(lie(vec![many], vec![]), "output batch 0 has 65 attributes, the limit is 64");
        let long = BatchOut { attributes: attributes(2, 10_000), ..batch(0, 0) };
        assert_eq!(lie(vec![long], vec![]), "the attributes of output batch 0 have 20000 bytes, the limit is 16384");
    }

    #[test]
    fn each_key_group_is_saved_once() {
        assert_eq!(check_parts(&vec![(0, vec![]), (255, vec![])]), Ok(()));
        assert_eq!(check_parts(&vec![(256, vec![])]), Err(Lie::KeyGroup { at: 0, group: 256 }));
        assert_eq!(check_parts(&vec![(7, vec![]), (7, vec![])]), Err(Lie::KeyGroupTwice { at: 1, group: 7 }));
    }

    #[test]
    fn long_reasons_are_cut_between_characters() {
        let text = cut("ä".repeat(MAX_REASON_BYTES));
        assert!(text.len() <= MAX_REASON_BYTES + 3 && text.ends_with("ä…"));
    }
}
