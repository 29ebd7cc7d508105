//! What has to be pulled to get from one type to another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flowctl_types::EventType;
use proptest::prelude::*;

use crate::shelf::{index, names};

fn event_type(name: &str) -> EventType {
    format!("test.{name}.v1").parse().unwrap()
}

/// What is found from `from` to one of `ends`; `known` are processors that are here.
fn between(entries: &[&str], known: &[(&str, &str)], from: &str, ends: &[&str], max_hops: usize) -> Vec<String> {
    let known: Vec<_> = known.iter().map(|(from, to)| (vec![event_type(from)], vec![event_type(to)])).collect();
    let ends: Vec<EventType> = ends.iter().map(|end| event_type(end)).collect();
    let index = index(entries);
    names(&index.between(&[event_type(from)], &|found| ends.contains(found), &known, max_hops))
}

#[test]
fn every_shortest_chain_is_found_and_no_longer_one() {
    let entries = [
        "a: raw -> mid 1.0.0",
        "b: raw -> other|mid 1.0.0",
        "c: mid -> end 1.0.0",
        "d: other -> end 1.0.0",
        "detour: raw -> far 1.0.0",
        "detour2: far -> mid 1.0.0",
        "dead-end: raw -> nothing 1.0.0",
        "back: mid -> raw 1.0.0",
        "sink: raw -> 1.0.0",
        "source: -> end 1.0.0",
    ];
    assert_eq!(between(&entries, &[], "raw", &["end"], 8), ["a:1.0.0", "b:1.0.0", "c:1.0.0", "d:1.0.0"]);
}

#[test]
fn nothing_is_needed_where_the_start_is_an_end_or_none_is_in_reach() {
    let entries = ["a: raw -> mid 1.0.0", "b: mid -> end 1.0.0", "c: end -> raw 1.0.0"];
    assert!(between(&entries, &[], "raw", &["raw"], 8).is_empty());
    assert!(between(&entries, &[], "raw", &["island"], usize::MAX).is_empty());
    assert!(between(&entries, &[], "raw", &["end"], 1).is_empty());
    assert!(between(&entries, &[], "raw", &["end"], 0).is_empty());
    assert!(between(&entries, &[], "nowhere", &["end"], 8).is_empty());
    assert_eq!(between(&entries, &[], "raw", &["end"], 2).len(), 2);
    assert_eq!(between(&entries, &[], "raw", &["mid", "end"], 8), ["a:1.0.0"]);
}

#[test]
fn chains_go_through_what_is_known() {
    let entries = ["a: raw -> mid 1.0.0", "b: known -> end 1.0.0"];
    assert_eq!(between(&entries, &[("mid", "known")], "raw", &["end"], 3), ["a:1.0.0", "b:1.0.0"]);
    assert!(between(&entries, &[("raw", "end")], "raw", &["end"], 3).is_empty());
}

#[test]
fn of_a_repository_the_newest_release_counts() {
    let entries = [
        "a: raw -> end 1.9.0",
        "a: raw -> end 1.10.0",
        "a: raw -> end 2.0.0-rc.1",
        "b: raw -> end 0.1.0-alpha",
        "b: raw -> end 0.1.0-beta",
        "c: raw -> end 1.0.0",
        "c: raw -> elsewhere 1.1.0",
    ];
    assert_eq!(between(&entries, &[], "raw", &["end"], 8), ["a:1.10.0", "b:0.1.0-beta"]);
}

#[test]
fn a_start_of_several_types_begins_at_each() {
    let index = index(&["a: raw -> end 1.0.0", "b: other -> end 1.0.0"]);
    let (end, from) = (event_type("end"), [event_type("raw"), event_type("other")]);
    assert_eq!(names(&index.between(&from, &|found| *found == end, &[], 8)), ["a:1.0.0", "b:1.0.0"]);
}

/// All processors on shortest chains, by trying every chain in the order of their lengths.
fn by_trying(ways: &[(u8, u8)], from: u8, end: u8) -> BTreeSet<usize> {
    let mut chains = VecDeque::from([(from, Vec::new())]);
    let (mut found, mut shortest) = (BTreeSet::new(), usize::MAX);
    while let Some((at, chain)) = chains.pop_front() {
        if chain.len() > shortest.min(5) {
            break;
        }
        if at == end {
            shortest = chain.len();
            found.extend(chain);
            continue;
        }
        for (number, (_, to)) in ways.iter().enumerate().filter(|(_, (input, _))| *input == at) {
            chains.push_back((*to, [chain.clone(), vec![number]].concat()));
        }
    }
    found
}

proptest! {
    #[test]
    fn the_search_finds_what_trying_finds(ways in proptest::collection::vec((0..6_u8, 0..6_u8), 0..10), end in 0..6_u8) {
        let texts: BTreeMap<usize, String> =
            ways.iter().enumerate().map(|(n, (from, to))| (n, format!("p{n}: t{from} -> t{to} 1.0.0"))).collect();
        let entries: Vec<&str> = texts.values().map(String::as_str).collect();
        let found = between(&entries, &[], "t0", &[&format!("t{end}")], 5);
        let expected: Vec<String> = by_trying(&ways, 0, end).into_iter().map(|n| format!("p{n}:1.0.0")).collect();
        prop_assert_eq!(found, expected);
    }
}
