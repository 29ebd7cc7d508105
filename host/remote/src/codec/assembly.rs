//! Collects translated events into a batch.
//!
//! Invariant: an event's id does not depend on what it is collected with.

use flowctl_types::{Columns, Description, Ids};

use super::{Decoded, Shape};

/// Events of one kind from one network.
#[derive(Debug)]
pub(crate) struct Assembly {
    kind: u32,
    network: Option<String>,
    columns: Columns,
    /// Of the component's events.
    descriptions: Vec<Description>,
    shapes: Vec<Shape>,
    /// The component's event that each event comes from.
    places: Vec<u32>,
    /// What each of the component's events came from, where it is known.
    origins: Vec<Option<u32>>,
}

/// A batch in parts.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) columns: Columns,
    pub(crate) ids: Ids,
    pub(crate) network: Option<String>,
    /// For each event what it came from; empty where that is not known of all.
    pub(crate) origins: Vec<u32>,
}

impl Assembly {
    /// Starts with what `first` is of.
    pub(crate) fn of(first: &Decoded) -> Self {
        Self {
            kind: first.kind,
            network: first.network.clone(),
            columns: Columns { kind: first.kind, ..Columns::default() },
            descriptions: Vec::new(),
            shapes: Vec::new(),
            places: Vec::new(),
            origins: Vec::new(),
        }
    }

    /// Whether `decoded` can be in one batch with what is here.
    pub(crate) fn takes(&self, decoded: &Decoded) -> bool {
        self.kind == decoded.kind && self.network == decoded.network
    }

    /// Appends the events of `decoded`, which came from `origin`.
    pub(crate) fn push(&mut self, decoded: Decoded, origin: Option<u32>) {
        let place = u32::try_from(self.descriptions.len()).expect("far fewer than 4 G events");
        let from = decoded.columns;
        for (time, payload) in from.timestamps.iter().zip(from.payloads()) {
            self.columns.push(*time, payload);
            self.places.push(place);
        }
        self.descriptions.push(decoded.description);
        self.shapes.push(decoded.shape);
        self.origins.push(origin);
    }

    pub(crate) fn n_events(&self) -> usize {
        self.columns.len()
    }

    pub(crate) fn n_bytes(&self) -> usize {
        self.columns.n_bytes()
    }

    pub(crate) fn finish(self) -> Assembled {
        let Self { network, columns, descriptions, shapes, places, origins, .. } = self;
        let origins = places.iter().map(|place| origins[*place as usize]).collect::<Option<Vec<_>>>();
        Assembled { ids: ids(descriptions, &shapes, places), columns, network, origins: origins.unwrap_or_default() }
    }
}

fn ids(descriptions: Vec<Description>, shapes: &[Shape], places: Vec<u32>) -> Ids {
    let n_described = descriptions.len();
    let described = Ids::described(descriptions);
    let is_single = |place: u32| shapes[place as usize] == Shape::Single;
    if places.len() == n_described && shapes.iter().all(|shape| *shape == Shape::Single) {
        return described;
    }
    // runs of events that are called alike
    let mut runs: Vec<(usize, usize, bool)> = Vec::new();
    for (row, place) in places.iter().enumerate() {
        match runs.last_mut() {
            Some((_, n_events, is_run_single)) if *is_run_single == is_single(*place) => *n_events += 1,
            _ => runs.push((row, 1, is_single(*place))),
        }
    }
    let firsts: Vec<_> = runs.iter().map(|(row, ..)| places.get(*row).copied().unwrap_or_default()).collect();
    let numbered = Ids::derive(&described, vec![places]).pop().unwrap_or_else(|| described.clone());
    let parts = runs.into_iter().zip(firsts).map(|((row, n_events, is_single), first)| match is_single {
        true => (n_events, described.skip(first as usize)),
        false => (n_events, numbered.skip(row)),
    });
    Ids::joined(parts)
}
