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

/// What is said of one event beside its payload: its name and where it comes from, in the
/// words of whoever made it. Events that are made of it inherit this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// The event's id.
    pub id: String,
    /// What its maker says of it, by key.
    pub metadata: Vec<(String, String)>,
    /// Its place in a ledger chain: sequence number of the ledger, and index within it.
    pub cursor: Option<(u64, u32)>,
    /// How its payload is encoded outside of this process, such as `application/json`.
    pub content_type: Option<String>,
}

impl Description {
    /// Whether it says no more than the event's id.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.metadata.is_empty() && self.cursor.is_none() && self.content_type.is_none()
    }
}

#[derive(Debug)]
enum Column {
    Numbered {
        prefix: Arc<str>,
        first: u64,
    },
    Named(Vec<String>),
    Described(Vec<Description>),
    /// What a component calls its outputs, over what they would be called without.
    Renamed {
        names: Ids,
        derived: Ids,
    },
    Derived {
        parent: Ids,
        origins: Vec<u32>,
        ordinals: OnceLock<Vec<u32>>,
    },
    Offset {
        parent: Ids,
        start: usize,
    },
    Joined {
        parts: Vec<(usize, Ids)>,
    },
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

    /// Ids of events that are described one by one.
    #[must_use]
    pub fn described(descriptions: Vec<Description>) -> Self {
        Self(Arc::new(Column::Described(descriptions)))
    }

    /// These ids, in place of `derived` ones: the events keep the descent that `derived`
    /// knows. An event that is called by an empty name here has its derived id.
    #[must_use]
    pub fn over(self, derived: Self) -> Self {
        Self(Arc::new(Column::Renamed { names: self, derived }))
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
            Column::Described(descriptions) => match descriptions.get(index) {
                Some(description) => description.id.clone(),
                None => format!("?/{index}"),
            },
            Column::Renamed { names, derived } => match names.get(index) {
                name if name.is_empty() => derived.get(index),
                name => name,
            },
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
            Column::Numbered { .. } | Column::Named(_) | Column::Described(_) => self.get(index),
            Column::Renamed { derived, .. } => derived.root(index),
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

    /// What is said of event `index`, or of the nearest event that it was made of and of
    /// which more than its id is said. None where there is no such event.
    #[must_use]
    pub fn description(&self, index: usize) -> Option<&Description> {
        match &*self.0 {
            Column::Numbered { .. } | Column::Named(_) => None,
            Column::Described(descriptions) => descriptions.get(index),
            Column::Renamed { names, derived } => {
                let own = names.description(index);
                match own.filter(|own| !own.is_bare()) {
                    Some(own) => Some(own),
                    None => derived.description(index).or(own),
                }
            }
            Column::Derived { parent, origins, .. } => parent.description(*origins.get(index)? as usize),
            Column::Offset { parent, start } => parent.description(start + index),
            Column::Joined { parts } => {
                let mut index = index;
                for (n_events, ids) in parts {
                    if index < *n_events {
                        return ids.description(index);
                    }
                    index -= n_events;
                }
                None
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

    fn described(id: &str, key: &str) -> Description {
        let metadata = if key.is_empty() { Vec::new() } else { vec![(key.to_owned(), "1".to_owned())] };
        Description { id: id.to_owned(), metadata, ..Description::default() }
    }

    #[test]
    fn outputs_inherit_what_is_said_of_their_origin() {
        let source = Ids::described(vec![described("a", "of a"), described("b", "of b")]);
        let [first] = Ids::derive(&source.skip(1), vec![vec![0, 0]]).try_into().unwrap();
        let joined = Ids::joined([(2, first), (1, source.clone())]);
        assert_eq!(joined.get(1), "b/1");
        assert_eq!(joined.description(1).unwrap().metadata[0].0, "of b");
        assert_eq!(joined.description(2).unwrap().id, "a");
        assert_eq!(joined.description(3), None, "there is no such event");
        assert_eq!(Ids::numbered("s", 0).description(0), None);
    }

    #[test]
    fn a_component_names_its_outputs_and_they_keep_their_descent() {
        let source = Ids::described(vec![described("a", "of a")]);
        let [derived] = Ids::derive(&source, vec![vec![0, 0, 0]]).try_into().unwrap();
        let own = vec![described("own", "own"), described("bare", ""), described("", "")];
        let renamed = Ids::described(own).over(derived);
        assert_eq!(all(&renamed, 3), ["own", "bare", "a/2"]);
        assert_eq!((0..3).map(|index| renamed.root(index)).collect::<Vec<_>>(), ["a"; 3]);
        let said: Vec<_> = (0..3).map(|index| renamed.description(index).unwrap().metadata[0].0.as_str()).collect();
        assert_eq!(said, ["own", "of a", "of a"]);
    }
}
