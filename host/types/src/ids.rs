//! Event ids, as a column that is written out only where somebody reads it.
//!
//! An event's id comes from its source's position and from the way it took: an
//! output's id is its origin's id and `/k`, its number among the outputs of that
//! origin. So ids are the same when events are replayed, and dead letters, upserts
//! and brokers tell a repetition by them. A hop keeps a reference to the ids before
//! it and the origins that the processor returned: no text is made on the way.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// The ids of a batch's events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ids(Arc<Column>);

#[derive(Debug)]
enum Column {
    Numbered { prefix: Arc<str>, first: u64 },
    Named(Vec<String>),
    Derived { parent: Ids, origins: Vec<u32>, ordinals: OnceLock<Vec<u32>> },
    Offset { parent: Ids, start: usize },
    Joined { parts: Vec<(usize, Ids)> },
}

impl Ids {
    /// Ids `prefix/first`, `prefix/first+1` and so on, as far as one asks.
    #[must_use]
    pub fn numbered(prefix: impl Into<Arc<str>>, first: u64) -> Self {
        Self(Arc::new(Column::Numbered { prefix: prefix.into(), first }))
    }

    /// Ids that the source has names for.
    #[must_use]
    pub fn named(names: Vec<String>) -> Self {
        Self(Arc::new(Column::Named(names)))
    }

    /// Ids of the outputs of one call, one column for each output batch. `origins`
    /// are the indices of the input events that the outputs came from; an empty list
    /// says "the batch as a whole", and its events are numbered after the batch.
    #[must_use]
    pub fn derive(parent: &Self, outputs: Vec<Vec<u32>>) -> Vec<Self> {
        let mut counts = (outputs.len() > 1).then(HashMap::new);
        let mut whole = 0;
        outputs
            .into_iter()
            .map(|origins| {
                if origins.is_empty() {
                    whole += 1;
                    return Self::numbered(format!("{}+{whole}", parent.get(0)), 0);
                }
                let ordinals = OnceLock::new();
                if let Some(counts) = &mut counts {
                    let _ = ordinals.set(origins.iter().map(|origin| count_up(counts, *origin)).collect());
                }
                Self(Arc::new(Column::Derived { parent: parent.clone(), origins, ordinals }))
            })
            .collect()
    }

    /// The ids from event `start` on.
    #[must_use]
    pub fn skip(&self, start: usize) -> Self {
        Self(Arc::new(Column::Offset { parent: self.clone(), start }))
    }

    /// The ids of several batches in a row, each with its number of events.
    #[must_use]
    pub fn joined(parts: impl IntoIterator<Item = (usize, Self)>) -> Self {
        Self(Arc::new(Column::Joined { parts: parts.into_iter().collect() }))
    }

    /// The id of event `index`. An index past the last event gives an id that no
    /// event has.
    #[must_use]
    pub fn get(&self, index: usize) -> String {
        match &*self.0 {
            Column::Numbered { prefix, first } => format!("{prefix}/{}", first + index as u64),
            Column::Named(names) => names.get(index).cloned().unwrap_or_else(|| format!("?/{index}")),
            Column::Derived { parent, origins, ordinals } => match origins.get(index) {
                Some(origin) => {
                    let ordinal = ordinals.get_or_init(|| number_by_origin(origins))[index];
                    format!("{}/{ordinal}", parent.get(*origin as usize))
                }
                None => format!("{}/?{index}", parent.get(0)),
            },
            Column::Offset { parent, start } => parent.get(start + index),
            Column::Joined { parts } => {
                let mut index = index;
                for (n_events, ids) in parts {
                    if index < *n_events {
                        return ids.get(index);
                    }
                    index -= n_events;
                }
                format!("?/{index}")
            }
        }
    }

    /// The id of the event that event `index` came from in the first place: a source's,
    /// whose name says where it was read, or one that a processor emitted by itself. An
    /// index past the last event gives an id that no event has.
    #[must_use]
    pub fn root(&self, index: usize) -> String {
        match &*self.0 {
            Column::Numbered { .. } | Column::Named(_) => self.get(index),
            Column::Derived { parent, origins, .. } => match origins.get(index) {
                Some(origin) => parent.root(*origin as usize),
                None => self.get(index),
            },
            Column::Offset { parent, start } => parent.root(start + index),
            Column::Joined { parts } => {
                let mut index = index;
                for (n_events, ids) in parts {
                    if index < *n_events {
                        return ids.root(index);
                    }
                    index -= n_events;
                }
                format!("?/{index}")
            }
        }
    }
}

fn number_by_origin(origins: &[u32]) -> Vec<u32> {
    let mut counts = HashMap::new();
    origins.iter().map(|origin| count_up(&mut counts, *origin)).collect()
}

fn count_up(counts: &mut HashMap<u32, u32>, origin: u32) -> u32 {
    let count = counts.entry(origin).or_insert(0);
    *count += 1;
    *count - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ids: &Ids, n: usize) -> Vec<String> {
        (0..n).map(|index| ids.get(index)).collect()
    }

    #[test]
    fn outputs_are_numbered_by_their_origin() {
        let parent = Ids::numbered("ledgers/a.zst", 100);
        let [first] = Ids::derive(&parent, vec![vec![0, 0, 2, 0]]).try_into().unwrap();
        let want = ["ledgers/a.zst/100/0", "ledgers/a.zst/100/1", "ledgers/a.zst/102/0", "ledgers/a.zst/100/2"];
        assert_eq!(all(&first, 4), want);
    }

    #[test]
    fn the_root_of_an_event_is_its_sources() {
        let source = Ids::joined([(2, Ids::numbered("a.jsonl", 7)), (1, Ids::named(vec!["b/1".into()]))]);
        let [first] = Ids::derive(&source, vec![vec![1, 2, 2]]).try_into().unwrap();
        let [second] = Ids::derive(&first.skip(1), vec![vec![0, 1]]).try_into().unwrap();
        assert_eq!(second.get(1), "b/1/1/0");
        assert_eq!((first.root(0), second.root(1)), ("a.jsonl/8".to_owned(), "b/1".to_owned()));
    }

    #[test]
    fn numbers_run_on_over_the_outputs_of_one_call() {
        let parent = Ids::named(vec!["x".into(), "y".into()]);
        let outputs = Ids::derive(&parent, vec![vec![0], vec![0, 1], vec![]]);
        assert_eq!(outputs[0].get(0), "x/0");
        assert_eq!(all(&outputs[1], 2), ["x/1", "y/0"]);
        assert_eq!(outputs[2].get(1), "x+1/1");
    }

    #[test]
    fn parts_and_rests_keep_their_ids() {
        let ids = Ids::numbered("s", 5);
        let joined = Ids::joined([(2, ids.skip(1)), (1, ids.clone())]);
        assert_eq!(all(&joined, 3), ["s/6", "s/7", "s/5"]);
    }
}
