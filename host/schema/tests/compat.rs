//! Which schemas can be read as which, and what the errors say.
#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};
use flowctl_schema::{Conversion, Schema};

fn schema(version: &str, types: &str) -> Schema {
    Schema::from_wit(&format!("package test:order@{version}; interface event {{ {types} }}")).unwrap().remove(0)
}

const BASE: &str = "enum kind { a, b }  record item { sku: string, price-cents: u64 }  record order { id: string, kind: kind, items: list<item> }";

fn check(expected: (&str, &str), emitted: (&str, &str), expect: &Expect) {
    let (expected, emitted) = (schema(expected.0, expected.1), schema(emitted.0, emitted.1));
    let text = match expected.accepts(&emitted) {
        Ok(Conversion::Same) => "same".to_owned(),
        Ok(Conversion::Reencode(_)) => "re-encoded".to_owned(),
        Err(mismatch) => format!("{}: {mismatch}", mismatch.path),
    };
    expect.assert_eq(&text);
}

fn changed(from: &str, to: &str) -> String {
    assert!(BASE.contains(from));
    BASE.replace(from, to)
}

#[test]
fn equal_structures_connect_whatever_their_names_docs_and_minors() {
    check(("1.0.0", BASE), ("1.3.0", &BASE.replace("item ", "line ").replace("<item>", "<line>")), &expect!["same"]);
}

#[test]
fn other_structures_are_told_by_field_and_types() {
    check(
        ("1.0.0", BASE),
        ("1.0.0", &changed("price-cents: u64", "price-cents: u32")),
        &expect!["items[].price-cents: `items[].price-cents` is expected as `u64`, emitted as `u32`"],
    );
    check(
        ("1.0.0", BASE),
        ("1.0.0", &changed("id: string,", "id: string, note: option<string>,")),
        &expect!["kind: `kind` (`kind`) is expected where `note` (`option<string>`) is emitted"],
    );
    check(
        ("1.0.0", BASE),
        ("1.0.0", &changed("a, b", "a, c")),
        &expect!["kind: case `b` of `kind` is expected where `c` is emitted"],
    );
    check(
        ("1.0.0", BASE),
        ("1.1.0", &changed("a, b", "a, b, c")),
        &expect!["kind: case `c` of `kind` is emitted and not expected"],
    );
    check(
        ("1.0.0", &changed("a, b", "a, b, c")),
        ("1.0.0", BASE),
        &expect!["kind: case `c` of `kind` is expected and not emitted"],
    );
    check(
        ("1.0.0", BASE),
        ("1.0.0", &changed("id: string", "id: kind")),
        &expect!["id: `id` is expected as `string`, emitted as `enum kind`"],
    );
    check(
        ("1.0.0", "type order = list<u8>;"),
        ("1.0.0", BASE),
        &expect![": `event` is expected as `list<u8>`, emitted as `record order`"],
    );
    check(("1.0.0", BASE), ("2.0.0", BASE), &expect![": expected `test.order.v1`, emitted `test.order.v2`"]);
    check(
        ("1.0.0", "variant v { a(u32), b }"),
        ("1.0.0", "variant v { a, b }"),
        &expect!["a: `a` is expected to carry `u32`, emitted with nothing"],
    );
    check(
        ("1.0.0", "type t = result<u32, string>;"),
        ("1.0.0", "type t = result<u32, u32>;"),
        &expect!["err: `err` is expected as `string`, emitted as `u32`"],
    );
}

#[test]
fn only_options_appended_by_a_later_version_connect() {
    let longer = changed("price-cents: u64", "price-cents: u64, note: option<string>, at: option<u64>");
    check(("1.0.0", BASE), ("1.1.0", &longer), &expect!["re-encoded"]);
    check(("1.1.0", &longer), ("1.0.0", BASE), &expect!["re-encoded"]);
    check(
        ("1.0.0", BASE),
        ("1.0.0", &longer),
        &expect![
            "items[].note: `items[].note` is `option<string>` in the emitted 1.0.0 and missing in the expected 1.0.0: only a later version may append a field"
        ],
    );
    check(
        ("1.1.0", BASE),
        ("1.0.0", &longer),
        &expect![
            "items[].note: `items[].note` is `option<string>` in the emitted 1.0.0 and missing in the expected 1.1.0: only a later version may append a field"
        ],
    );
    check(
        ("1.0.0", BASE),
        ("1.1.0", &changed("list<item>", "list<item>, note: string")),
        &expect![
            "note: `note` is `string` in the emitted 1.1.0 and missing in the expected 1.0.0: a later minor may append `option` fields only"
        ],
    );
}

#[test]
fn appended_options_are_dropped_or_filled_with_none() {
    let longer = changed("price-cents: u64", "price-cents: u64, note: option<string>, at: option<u64>");
    let (old, new) = (schema("1.0.0", BASE), schema("1.1.0", &longer));
    let short = r#"{"id":"x","kind":"b","items":[{"sku":"a","price_cents":1},{"sku":"b","price_cents":2}]}"#;
    let long = r#"{"id":"x","kind":"b","items":[{"sku":"a","price_cents":1,"note":"n","at":null},{"sku":"b","price_cents":2,"note":null,"at":7}]}"#;
    let filled = long.replace("\"n\"", "null").replace('7', "null");
    for (from, to, json, want) in [(&new, &old, long, short), (&old, &new, short, filled.as_str())] {
        let Conversion::Reencode(reencoder) = to.accepts(from).unwrap() else { panic!("re-encoded") };
        let (mut payload, mut converted, mut back) = (Vec::new(), b"before".to_vec(), Vec::new());
        from.json_to_payload(json.as_bytes(), &mut payload).unwrap();
        reencoder.convert(&payload, &mut converted).unwrap();
        to.payload_to_json(&converted[6..], &mut back).unwrap();
        assert_eq!(String::from_utf8(back).unwrap(), want);
        payload.pop();
        assert!(reencoder.convert(&payload, &mut converted).is_err());
    }
}

#[test]
fn wit_faults_are_told() {
    let check = |text: &str, expect: &Expect| {
        let error = Schema::from_wit(text).unwrap_err();
        let cause = std::error::Error::source(&error).map(|cause| format!("\ncaused by: {cause}")).unwrap_or_default();
        expect.assert_eq(&format!("{error}{cause}"));
    };
    check(
        "package a:b@1.0.0; interface event { record x { a: strin } }",
        &expect!["event.wit:1:52: type `strin` does not exist, at `strin } }`"],
    );
    check(
        "package a:b; interface event { record x { a: u32 } }",
        &expect!["event.wit:1:24: package `a:b` defines an event type but has no version: write `package a:b@1.0.0;`"],
    );
    check(
        "package a:b-2c@1.0.0; interface event { record x { a: u32 } }",
        &expect![[r#"
            event.wit:1:33: package `a:b-2c` cannot define an event type
            caused by: WIT package `a:b-2c` names no event type: segments are `[a-z][a-z0-9]*`, joined by `-`"#]],
    );
    check(
        "package a:b@1.0.0; interface event { record x { a: u32 } record y { a: u32 } }",
        &expect![
            "event.wit:1:30: interface `event` of `a:b` has no type `event`, and `x`, `y` that no other type uses"
        ],
    );
    check(
        "package a:b@1.0.0; interface event { flags x { a } }",
        &expect![[r#"
            event.wit:1:44: type `x` of `a:b` cannot be used
            caused by: `event` is of type `flags`, which events and configurations cannot hold"#]],
    );
    let deep = format!(
        "package a:b@1.0.0; interface event {{ type x = {}u32{}; }}",
        "list<".repeat(100_000),
        ">".repeat(100_000)
    );
    check(&deep, &expect!["WIT text `event.wit` is longer than 1048576 bytes or nests deeper than 64"]);
}

#[test]
fn packages_may_use_one_another() {
    let files = [
        ("a.wit", "package t:a@1.0.0; interface event { use t:b/event@2.0.0.{y}; record x { inner: y } }"),
        ("b.wit", "package t:b@2.0.0; interface event { record y { a: u32 } }"),
    ];
    let names = |files| -> Vec<String> {
        Schema::from_wit_files(files).unwrap().iter().map(|schema| schema.event_type().to_string()).collect()
    };
    assert_eq!(names(files), ["t.a.v1", "t.b.v2"]);
    assert_eq!(names([files[1], files[0]]), ["t.a.v1", "t.b.v2"]);
}
