//! On small random registries the search finds what trying every chain finds.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{entry, schema};
use flowctl_registry::{ChainError, ChainQuery, Entry, Registry, Target};
use flowctl_schema::{Role, Schema};
use proptest::prelude::*;

const MAX_HOPS: usize = 4;
/// Opaque and typed ones, and several structures of one name.
const WORDS: [&str; 6] = ["a!", "b", "b+", "b~", "c", "d"];

fn words() -> impl Strategy<Value = String> {
    prop::collection::btree_set(prop::sample::select(&WORDS[..]), 1..3)
        .prop_map(|words| words.into_iter().collect::<Vec<_>>().join("|"))
}

fn world() -> impl Strategy<Value = (Vec<(String, String)>, &'static str, String, Vec<usize>)> {
    let processors = prop::collection::vec((words(), words()), 1..7);
    let sink = prop_oneof![3 => words(), 1 => Just("record".to_owned()), 1 => Just("*".to_owned())];
    (processors, prop::sample::select(&WORDS[..]), sink, prop::collection::vec(any::<prop::sample::Index>(), 0..3))
        .prop_map(|(processors, from, sink, via)| {
            let via = via.into_iter().map(|index| index.index(processors.len())).collect();
            (processors, from, sink, via)
        })
}

/// Every shortest chain, found by trying all of each length.
fn brute_force(processors: &[Entry], from: &Schema, sink: &Entry, via: &[usize]) -> Vec<Vec<usize>> {
    let fits = |outputs: &[Schema], entry: &Entry| outputs.iter().any(|schema| entry.takes(schema).is_ok());
    let passes = |chain: &[usize]| {
        let mut rest = via.iter();
        let mut wanted = rest.next();
        for index in chain {
            if Some(index) == wanted {
                wanted = rest.next();
            }
        }
        wanted.is_none()
    };
    let mut chains: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..=MAX_HOPS {
        let outputs = |chain: &[usize]| match chain.last() {
            Some(last) => processors[*last].outputs().to_vec(),
            None => vec![from.clone()],
        };
        let whole = chains.iter().filter(|chain| passes(chain) && fits(&outputs(chain), sink));
        let whole: Vec<Vec<usize>> = whole.cloned().collect();
        if !whole.is_empty() {
            return whole;
        }
        let longer = |chain: &Vec<usize>| {
            let outputs = outputs(chain);
            let next = (0..processors.len()).filter(move |index| fits(&outputs, &processors[*index]));
            next.map(|index| [chain.as_slice(), &[index]].concat()).collect::<Vec<_>>()
        };
        chains = chains.iter().flat_map(longer).collect();
    }
    Vec::new()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_search_finds_exactly_the_shortest_correct_chains((processors, from, sink, via) in world()) {
        let processors: Vec<Entry> = processors
            .iter()
            .enumerate()
            .map(|(index, (inputs, outputs))| entry(&format!("p{index}: {inputs} -> {outputs}")))
            .collect();
        let sink = entry(&format!("sink: {sink} ->"));
        let source = entry(&format!("source: -> {from}"));
        let from = schema(from);
        let expected = brute_force(&processors, &from, &sink, &via);

        let all = processors.iter().cloned().chain([sink, source]);
        let registry = Registry::build(all, []);
        let source = registry.find(Role::Source, "source").unwrap();
        let via: Vec<&Entry> =
            via.iter().map(|index| registry.find(Role::Processor, &format!("p{index}")).unwrap()).collect();
        let filter = BTreeMap::new();
        let to = Target::Sink(registry.find(Role::Sink, "sink").unwrap());
        let query = ChainQuery { from: &from, source, to, via: &via, filter: &filter, max_hops: MAX_HOPS };
        let names = |chain: &Vec<usize>| chain.iter().map(|index| format!("p{index}")).collect::<Vec<_>>();
        let mut expected: Vec<Vec<String>> = expected.iter().map(names).collect();
        expected.sort();
        match registry.chain(&query) {
            Ok(chain) => {
                let chain: Vec<String> = chain.iter().map(|entry| entry.name.clone()).collect();
                prop_assert_eq!(vec![chain], expected);
            }
            Err(ChainError::Ambiguous { chains, has_more: false, .. }) => {
                prop_assert!(chains.len() > 1);
                prop_assert_eq!(chains, expected);
            }
            Err(ChainError::Ambiguous { chains, has_more: true, .. }) => {
                prop_assert!(expected.len() > chains.len());
                prop_assert!(chains.iter().all(|chain| expected.contains(chain)));
            }
            Err(_) => prop_assert_eq!(Vec::<Vec<String>>::new(), expected),
        }
    }
}
