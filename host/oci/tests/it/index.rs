//! The index of plugins: its bytes, what is found in it, and the way between two types.

use std::collections::BTreeMap;

use expect_test::expect;
use flowctl_oci::RegistryRef;
use flowctl_oci::index::{Listed, PluginIndex, Query};
use flowctl_types::{Digest, EventType};
use proptest::prelude::*;

/// A processor at `r.example/acme/NAME:TAG`.
fn listed(name: &str, tag: &str, input: &str, output: &str) -> Listed {
    let annotations = [
        ("io.flowctl.name", name.to_owned()),
        ("io.flowctl.role", "processor".to_owned()),
        ("io.flowctl.input", format!("test.{input}.v1")),
        ("io.flowctl.output", format!("test.{output}.v1")),
        ("io.flowctl.abi", "0.1.0".to_owned()),
        ("org.opencontainers.image.description", format!("Makes {output} of {input}")),
    ];
    let annotations: BTreeMap<_, _> = annotations.map(|(key, value)| (key.to_owned(), value)).into();
    let reference: RegistryRef = format!("r.example/acme/{name}:{tag}").parse().unwrap();
    Listed::new(&reference, Digest::of(format!("{name}:{tag}").as_bytes()), annotations).unwrap()
}

fn index(entries: &[(&str, &str, &str, &str)]) -> PluginIndex {
    let mut index = PluginIndex::default();
    for (name, tag, input, output) in entries {
        index.insert(listed(name, tag, input, output));
    }
    index
}

fn names(found: &[&Listed]) -> String {
    found.iter().map(|listed| listed.reference().to_string()).collect::<Vec<_>>().join(" ")
}

fn event_type(name: &str) -> EventType {
    format!("test.{name}.v1").parse().unwrap()
}

const SHELF: [(&str, &str, &str, &str); 6] = [
    ("ttp", "1.2.0", "ledger", "transfer"),
    ("ttp", "1.10.0", "ledger", "transfer"),
    ("ttp", "2.0.0-rc.1", "ledger", "transfer"),
    ("volume", "1.0.0", "transfer", "volume"),
    ("filter", "latest", "transfer", "transfer"),
    ("alarm", "1.0.0", "volume", "alarm"),
];

#[test]
fn the_same_entries_in_any_order_give_the_same_bytes() {
    let mut backwards = SHELF;
    backwards.reverse();
    let bytes = index(&SHELF).to_bytes().unwrap();
    assert_eq!(index(&backwards).to_bytes().unwrap(), bytes);
    let read = PluginIndex::read(&bytes).unwrap();
    assert_eq!(read.len(), SHELF.len());
    assert_eq!(read.to_bytes().unwrap(), bytes);
}

#[test]
fn words_and_types_find_the_newest_first() {
    let index = index(&SHELF);
    let found = |text: &str, input: Option<&str>, output: Option<&str>| {
        let query = Query { text: text.to_owned(), input: input.map(event_type), output: output.map(event_type) };
        names(&index.search(&query))
    };
    expect!["r.example/acme/ttp:2.0.0-rc.1 r.example/acme/ttp:1.10.0 r.example/acme/ttp:1.2.0"]
        .assert_eq(&found("TTP", None, None));
    expect!["r.example/acme/volume:1.0.0"].assert_eq(&found("", Some("transfer"), Some("volume")));
    expect!["r.example/acme/alarm:1.0.0"].assert_eq(&found("alarm of", None, None));
    expect![""].assert_eq(&found("ttp nothing", None, None));
}

#[test]
fn the_way_between_two_types_is_the_shortest_of_the_newest_releases() {
    let index = index(&SHELF);
    let way = |from: &str, to: &str, known: &[(Vec<EventType>, Vec<EventType>)], max_hops: usize| {
        names(&index.between(&[event_type(from)], &|found| *found == event_type(to), known, max_hops))
    };
    expect!["r.example/acme/ttp:1.10.0 r.example/acme/volume:1.0.0"].assert_eq(&way("ledger", "volume", &[], 8));
    expect!["r.example/acme/alarm:1.0.0 r.example/acme/ttp:1.10.0 r.example/acme/volume:1.0.0"].assert_eq(&way(
        "ledger",
        "alarm",
        &[],
        8,
    ));
    expect![""].assert_eq(&way("ledger", "alarm", &[], 2));
    expect![""].assert_eq(&way("alarm", "ledger", &[], 8));
    expect![""].assert_eq(&way("ledger", "ledger", &[], 8));
    // through what is here already
    let known = [(vec![event_type("ledger")], vec![event_type("transfer")])];
    let found = way("ledger", "volume", &known, 8);
    assert!(found.contains("volume"), "{found}");
}

#[test]
fn entries_that_are_wrong_are_named() {
    let read = |text: &str| PluginIndex::read(text.as_bytes()).map(drop).unwrap_err();
    let entry = |reference: &str, digest: &str| {
        format!(r#"{{"plugins":[{{"reference":"{reference}","digest":"{digest}","annotations":{{}}}}]}}"#)
    };
    let digest = Digest::of(b"x").to_string();
    for text in [
        "",
        "[]",
        "{}",
        r#"{"plugins":3}"#,
        &entry("no registry", &digest),
        &entry("r.example/acme/f:1", "md5:1"),
        &entry("r.example/acme/f:1", &digest),
        &entry("r.example/acme/\\u001b[31m:1", &digest),
    ] {
        let error = read(text).to_string();
        assert!(!error.is_empty() && !error.contains('\u{1b}'), "{text}: {error}");
    }
    assert!(read(&entry("r.example/acme/f:1", &digest)).to_string().contains("acme/f:1"));
}

#[test]
fn every_way_of_the_shortest_length_is_found_among_ten_thousand() {
    let mut index = PluginIndex::default();
    // each type has twenty processors, which all lead to one other
    for number in 0..10_000 {
        let (from, to) = (number % 500, (number * 7 + 1) % 500);
        index.insert(listed(&format!("p{number}"), "1.0.0", &format!("t{from}"), &format!("t{to}")));
    }
    let is_end = |found: &EventType| *found == event_type("t400");
    // 0, 1, 8, 57, 400
    assert_eq!(index.between(&[event_type("t0")], &is_end, &[], 8).len(), 4 * 20);
    assert!(index.between(&[event_type("t0")], &is_end, &[], 3).is_empty());
}

proptest! {
    #[test]
    fn bytes_of_anybody_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = PluginIndex::read(&bytes);
    }

    #[test]
    fn an_index_that_was_changed_anywhere_is_read_or_refused(at in 0_usize..2_000, byte in any::<u8>()) {
        let mut bytes = index(&SHELF).to_bytes().unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(read) = PluginIndex::read(&bytes) {
            prop_assert!(read.to_bytes().is_ok());
        }
    }
}
