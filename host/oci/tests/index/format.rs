//! What is read as an index, and what is written.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use flowctl_oci::index::{Listed, MAX_BYTES, MAX_ENTRIES, PluginIndex};
use flowctl_oci::{RegistryRef, annotations};
use flowctl_types::Digest;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::shelf::{index, listed, notes};

/// An error and its causes on one line.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", told(source)),
        None => error.to_string(),
    }
}

fn entry(reference: &str, notes: &BTreeMap<String, String>) -> Value {
    json!({"reference": reference, "digest": Digest::of(b"x").to_string(), "annotations": notes})
}

#[test]
fn the_same_entries_give_the_same_bytes_in_whatever_order_they_came() {
    let texts = ["b: raw -> mid 1.0.0", "a: -> raw 1.0.0", "b: raw -> mid 2.0.0"];
    let bytes = index(&texts).to_bytes().unwrap();
    let backwards: Vec<&str> = texts.into_iter().rev().collect();
    assert_eq!(index(&backwards).to_bytes().unwrap(), bytes);
    expect![[r#"{"plugins":[{"reference":"r.example/acme/a:1.0.0","digest":"sha256:376805b30efb9b60973d1c38987c7e68e74aa267a298ecfa9dfdc518c2ac6a90","annotations":{"io.flowctl.abi":"0.1.0","io.flowctl.name":"a","io.flowctl.output":"test.raw.v1","io.flowctl.role":"source","org.opencontainers.image.version":"1.0.0"}}]}"#]]
        .assert_eq(&String::from_utf8(index(&["a: -> raw 1.0.0"]).to_bytes().unwrap()).unwrap());
}

#[test]
fn a_repository_and_tag_has_one_entry() {
    let mut index = index(&["a: -> raw 1.0.0"]);
    let other = Listed::new(&"r.example/acme/a:1.0.0".parse().unwrap(), Digest::of(b"new"), notes("a: -> raw 1.0.0"));
    let before = index.insert(other.unwrap());
    assert_eq!((index.len(), before), (1, Some(listed("a: -> raw 1.0.0"))));
    let reference: RegistryRef = "r.example/acme/a:1.0.0".parse().unwrap();
    assert_eq!(index.get(&reference).unwrap().pinned(), reference.pinned(Digest::of(b"new")));
    assert!(index.get(&"r.example/acme/a:2.0.0".parse().unwrap()).is_none());
    assert!(index.remove(&reference).is_some());
    assert!(index.is_empty());
}

#[test]
fn annotations_that_nobody_knows_are_kept_and_known_ones_are_told() {
    let mut notes = notes("a: -> raw 1.0.0");
    for (key, value) in [
        ("com.example.colour", "blue"),
        (annotations::LICENSES, "Apache-2.0"),
        (annotations::SOURCE, "https://example.org/a"),
        (annotations::DESCRIPTION, "Makes\nraw"),
    ] {
        notes.insert(key.to_owned(), value.to_owned());
    }
    let bytes = json!({"plugins": [entry("r.example/a", &notes)], "later": 1}).to_string();
    let index = PluginIndex::read(bytes.as_bytes()).unwrap();
    let listed = index.get(&"r.example/a:latest".parse().unwrap()).unwrap();
    assert_eq!(listed.annotations(), &notes);
    assert_eq!(listed.licenses(), Some("Apache-2.0"));
    assert_eq!(listed.source(), Some("https://example.org/a"));
    assert_eq!(listed.description(), Some("Makes\nraw"));
    assert_eq!(PluginIndex::read(&index.to_bytes().unwrap()).unwrap(), index);
}

fn check(bytes: &[u8], expect: &Expect) {
    let error = PluginIndex::read(bytes).unwrap_err();
    expect.assert_eq(&told(&error));
}

#[test]
fn what_is_no_index_is_refused() {
    check(b"", &expect!["it is not of the form of an index: EOF while parsing a value at line 1 column 0"]);
    check(b"{}", &expect!["it is not of the form of an index: missing field `plugins` at line 1 column 2"]);
    check(
        br#"{"plugins":{}}"#,
        &expect![
            "it is not of the form of an index: invalid type: map, expected a list of plugins at line 1 column 11"
        ],
    );
    check(&vec![b' '; MAX_BYTES + 1], &expect!["it has 16777217 bytes, the limit is 16777216"]);
    let many = format!(r#"{{"plugins":[{}1]}}"#, "1,".repeat(MAX_ENTRIES));
    check(many.as_bytes(), &expect!["it has more than 50000 entries"]);
}

#[test]
fn an_entry_that_is_wrong_is_named() {
    let good = notes("a: -> raw 1.0.0");
    let check = |broken: Value, expect: Expect| {
        let bytes = json!({"plugins": [entry("r.example/good:1", &good), broken]}).to_string();
        check(bytes.as_bytes(), &expect);
    };
    let with = |key: &str, value: &str| {
        let mut notes = good.clone();
        notes.insert(key.to_owned(), value.to_owned());
        entry("r.example/bad:1", &notes)
    };
    check(
        json!({"reference": "r.example/bad:1"}),
        expect![[
            r#"entry 2 (`{"reference":"r.example/bad:1"}`) is wrong: it is no JSON of an entry: missing field `digest` at line 1 column 31"#
        ]],
    );
    check(
        json!({"reference": "r.example/bad:1", "digest": "md5:1", "annotations": good}),
        expect![
            "entry 2 (`r.example/bad:1`) is wrong: it is no JSON of an entry: `md5:1` is not a digest: expected `sha256:` and 64 hexadecimal digits"
        ],
    );
    check(
        entry("acme/bad:1", &good),
        expect![
            "entry 2 (`acme/bad:1`) is wrong: its reference cannot be read: `acme/bad:1` does not say which registry"
        ],
    );
    check(
        entry(&format!("r.example/bad:1@{}", Digest::of(b"")), &good),
        expect![
            "entry 2 (`r.example/bad:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`) is wrong: its reference has a digest, where a tag is due"
        ],
    );
    check(
        json!({"reference": "r.example/bad:1", "digest": Digest::of(b"").to_string(), "annotations": null}),
        expect!["entry 2 (`r.example/bad:1`) is wrong: its manifest has no annotations of a plugin (`io.flowctl.*`)"],
    );
    check(
        with(annotations::ROLE, "king"),
        expect!["entry 2 (`r.example/bad:1`) is wrong: its annotation `io.flowctl.role` cannot be read: `king`"],
    );
    check(
        with("x", &"y".repeat(8193)),
        expect!["entry 2 (`r.example/bad:1`) is wrong: its annotation `x` has more than 8192 bytes"],
    );
    check(
        with(&"x".repeat(257), ""),
        expect![
            "entry 2 (`r.example/bad:1`) is wrong: its annotation `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` has more than 256 bytes"
        ],
    );
    check(
        with(annotations::DESCRIPTION, "\u{1b}[2Jgone"),
        expect![
            "entry 2 (`r.example/bad:1`) is wrong: its annotation `org.opencontainers.image.description` holds control characters"
        ],
    );
    check(
        with("evil\u{202e}", ""),
        expect!["entry 2 (`r.example/bad:1`) is wrong: its annotation `evil` holds control characters"],
    );
    let mut many = good.clone();
    many.extend((0..128).map(|n| (n.to_string(), String::new())));
    check(
        entry("r.example/bad:1", &many),
        expect!["entry 2 (`r.example/bad:1`) is wrong: it has more than 128 annotations"],
    );
    check(entry("r.example/good:1", &good), expect!["it lists `r.example/good:1` twice"]);
}

fn entries() -> impl Strategy<Value = PluginIndex> {
    let entry = ("[a-c]", "[a-d]", "[a-d]", 0..4_u8, "\\PC{0,20}").prop_map(|(name, from, to, version, text)| {
        let mut notes = notes(&format!("{name}: {from} -> {to} {version}.0.0"));
        let text: String = text.chars().filter(char::is_ascii_graphic).collect();
        notes.insert(annotations::DESCRIPTION.to_owned(), text.clone());
        let reference: RegistryRef = format!("r.example/{name}:{version}").parse().unwrap();
        Listed::new(&reference, Digest::of(text.as_bytes()), notes).unwrap()
    });
    proptest::collection::vec(entry, 0..20).prop_map(|entries| {
        let mut index = PluginIndex::default();
        for entry in entries {
            index.insert(entry);
        }
        index
    })
}

proptest! {
    #[test]
    fn every_index_survives_its_bytes(index in entries()) {
        let bytes = index.to_bytes().unwrap();
        let again = PluginIndex::read(&bytes).unwrap();
        prop_assert_eq!(&again, &index);
        prop_assert_eq!(again.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn broken_bytes_are_an_error_and_no_panic(index in entries(), at: proptest::sample::Index, byte: u8, cut: proptest::sample::Index) {
        let mut bytes = index.to_bytes().unwrap();
        let place = at.index(bytes.len());
        bytes[place] = byte;
        bytes.truncate(cut.index(bytes.len() + 1));
        if let Ok(read) = PluginIndex::read(&bytes) {
            prop_assert_eq!(PluginIndex::read(&read.to_bytes().unwrap()).unwrap(), read);
        }
    }

    #[test]
    fn any_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
        prop_assert!(PluginIndex::read(&bytes).is_err());
    }
}
