//! What is read from the WIT packages of several owners, and what is said of wrong ones.
#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};
use flowctl_schema::{Schema, WitFile, WitPackage, event_types};
use proptest::prelude::*;

const TRANSFER: &str = include_str!("../../../wit/events/stellar-token-transfer/event.wit");

fn file(name: &str, text: &str) -> WitFile {
    WitFile { name: name.to_owned(), text: text.to_owned() }
}

/// A package of one file without dependencies.
fn package(name: &str, text: &str) -> WitPackage {
    WitPackage { files: vec![file(name, text)], deps: Vec::new() }
}

fn read(packages: &[WitPackage]) -> String {
    let library = [file("flowctl:stellar-token-transfer", TRANSFER)];
    let lines = event_types(packages, &library).into_iter().map(|result| match result {
        Ok(schemas) => {
            let names = schemas.iter().map(|schema| format!("{}@{}", schema.event_type(), schema.version()));
            names.collect::<Vec<_>>().join(" ")
        }
        Err(errors) if errors.is_empty() => "no error of its own".to_owned(),
        Err(errors) => {
            let texts = errors.iter().map(|error| {
                let mut text = format!("error: {error}");
                let mut cause = std::error::Error::source(error);
                while let Some(error) = cause {
                    text.push_str(&format!(": {error}"));
                    cause = error.source();
                }
                text.push_str(&error.hint().map(|hint| format!("\nhint: {hint}")).unwrap_or_default());
                text
            });
            texts.collect::<Vec<_>>().join("\n")
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[expect(clippy::needless_pass_by_value, reason = "as expect-test has it")]
fn check(packages: &[WitPackage], expected: Expect) {
    expected.assert_eq(&read(packages));
}

fn check_text(text: &str, expected: Expect) {
    check(&[package("orders.wit", text)], expected);
}

const ORDER: &str = "package shop:order@1.0.0;\n\ninterface event {\n  record order {\n    id: string,\n  }\n}\n";

#[test]
fn one_file_may_hold_several_packages() {
    check_text(
        &format!(
            "{ORDER}package shop:refund@2.1.0 {{ interface event {{ use shop:order/event@1.0.0.{{order}}; record refund {{ of: order }} }} }}"
        ),
        expect!["shop.order.v1@1.0.0 shop.refund.v2@2.1.0"],
    );
}

#[test]
fn a_package_may_be_split_into_files() {
    let files = vec![
        file(
            "wit/event.wit",
            "package shop:order@1.0.0; interface event { use types.{item}; record order { item: item } }",
        ),
        file("wit/types.wit", "interface types { record item { sku: string } }"),
    ];
    check(&[WitPackage { files, deps: Vec::new() }], expect!["shop.order.v1@1.0.0"]);
}

#[test]
fn first_party_packages_may_be_used() {
    check_text(
        "package shop:payment@1.0.0; interface event { use stellar:token-transfer/event@1.0.0.{token-transfer}; record payment { of: token-transfer } }",
        expect!["shop.payment.v1@1.0.0"],
    );
}

#[test]
fn packages_use_one_another_in_any_order_and_their_own_dependencies_first() {
    let refund = "package shop:refund@1.0.0; interface event { use shop:order/event@1.0.0.{order}; record refund { of: order } }";
    let own_order = "package shop:order@1.0.0; interface event { record order { number: u64 } }";
    let with_deps = WitPackage {
        files: vec![file("refund/refund.wit", refund)],
        deps: vec![vec![file("refund/deps/order.wit", own_order)]],
    };
    check(
        &[package("refund.wit", refund), package("order.wit", ORDER)],
        expect![[r#"
            shop.refund.v1@1.0.0
            shop.order.v1@1.0.0"#]],
    );
    let results = event_types(&[with_deps, package("order.wit", ORDER)], &[]);
    let types: Vec<&Schema> = results.iter().flatten().flatten().collect();
    let own = Schema::from_wit_files([("a.wit", refund), ("b.wit", own_order)]).unwrap();
    assert_eq!(*types[0], own[1]);
    // dependencies are there to be used: they define no types of the pipeline
    assert_eq!(types.len(), 2);
}

#[test]
fn syntax_errors_name_line_and_column() {
    check_text(
        "package shop:order@1.0.0;\n\ninterface event {\n  record größe { id string }\n}\n",
        expect!["error: orders.wit:4:10: invalid character in identifier 'ö', at `größe { id string }`"],
    );
    check_text(
        "package shop:order@1.0.0;\ninterface event {\n  /* ä */ record order { id string }\n}\n",
        expect!["error: orders.wit:3:29: expected ':', found keyword `string`, at `string }`"],
    );
    check_text("", expect!["error: orders.wit:1:1: no `package` header was found in any WIT file for this package"]);
    check_text(
        "package shop:order@1.0.0; interface event { record order { item: itme } }",
        expect!["error: orders.wit:1:66: type `itme` does not exist, at `itme } }`"],
    );
}

#[test]
fn what_no_event_can_be_is_named() {
    check_text(
        "package shop:order@1.0.0;\ninterface event {\n  flags options { gift }\n  record order { id: string, options: options }\n}\n",
        expect![[r#"
            error: orders.wit:4:10: type `order` of `shop:order` cannot be used: `options` is of type `flags`, which events and configurations cannot hold
            hint: use one `bool` field a flag, or a `list` of an `enum`"#]],
    );
    check_text(
        "package shop:order@1.0.0; interface event { resource cart; record order { cart: own<cart> } }",
        expect![[r#"
            error: orders.wit:1:67: type `order` of `shop:order` cannot be used: `cart` is of type `resource`, which events and configurations cannot hold
            hint: an event is a value: keep to records, variants, enums, options, results, tuples, lists, strings, numbers, bool and char"#]],
    );
    check_text(
        "package shop:order@1.0.0; interface event { record item { note: option<option<string>> } record order { items: list<item> } }",
        expect![[r#"
            error: orders.wit:1:97: type `order` of `shop:order` cannot be used: `items[].note` is an option of an option, which JSON cannot tell apart
            hint: use a `variant` with a case for each meaning of nothing"#]],
    );
    check_text(
        "package shop:order@1.0.0; interface types { record order { id: string } }",
        expect![[r#"
            error: orders.wit:1:1: package `shop:order@1.0.0` has no interface `event`, so it defines no event type
            hint: write `interface event { record name { … } }`"#]],
    );
    check_text(
        "package shop:order; interface event { record order { id: string } }",
        expect![
            "error: orders.wit:1:31: package `shop:order` defines an event type but has no version: write `package shop:order@1.0.0;`"
        ],
    );
}

#[test]
fn every_package_tells_its_own_errors_and_no_other() {
    let uses = |name: &str, of: &str| {
        format!(
            "package shop:{name}@1.0.0; interface event {{ use shop:{of}/event@1.0.0.{{thing}}; record {name} {{ of: thing }} }}"
        )
    };
    let packages = [
        package("broken.wit", "package shop:broken@1.0.0; interface event {"),
        package("on-broken.wit", &uses("a", "broken")),
        package("unknown.wit", &uses("b", "nowhere")),
        package("on-unknown.wit", &uses("c", "b")),
        package("order.wit", ORDER),
        package(
            "two.wit",
            "package shop:two@1.0.0; package shop:x { interface event { record x { y: u8 } } } package shop:z@1.0.0 { interface event { record a { y: u8 } record b { y: u8 } } }",
        ),
    ];
    check(
        &packages,
        expect![[r#"
            error: broken.wit:1:45: expected `type`, `resource` or `func`, found eof
            no error of its own
            error: unknown.wit:1:45: package `shop:nowhere@1.0.0` is not known
            hint: list the file that defines it in `types` too, or put it into `deps/` of the folder
            no error of its own
            shop.order.v1@1.0.0
            error: two.wit:1:52: package `shop:x` defines an event type but has no version: write `package shop:x@1.0.0;`
            error: two.wit:1:116: interface `event` of `shop:z` has no type `event`, and `a`, `b` that no other type uses
            hint: name the one that is meant: `type event = name;`"#]],
    );
    check(
        &packages[2..4],
        expect![[r#"
        error: unknown.wit:1:45: package `shop:nowhere@1.0.0` is not known
        hint: list the file that defines it in `types` too, or put it into `deps/` of the folder
        no error of its own"#]],
    );
}

#[test]
fn unknown_packages_are_answered_with_the_nearest() {
    let uses = |of: &str| {
        format!("package shop:gift@1.0.0; interface event {{ use {of}.{{thing}}; record gift {{ of: thing }} }}")
    };
    let order = || package("order.wit", ORDER);
    check(
        &[package("gift.wit", &uses("shop:order/event@2.0.0")), order()],
        expect![[r#"
        error: gift.wit:1:48: package `shop:order@2.0.0` is not known
        hint: did you mean `shop:order@1.0.0`?
        shop.order.v1@1.0.0"#]],
    );
    check(
        &[package("gift.wit", &uses("shop:oder/event@1.0.0")), order()],
        expect![[r#"
        error: gift.wit:1:48: package `shop:oder@1.0.0` is not known
        hint: did you mean `shop:order@1.0.0`?
        shop.order.v1@1.0.0"#]],
    );
    check(
        &[package("gift.wit", &uses("stellar:token-transfers/event@1.0.0"))],
        expect![[r#"
        error: gift.wit:1:48: package `stellar:token-transfers@1.0.0` is not known
        hint: did you mean `stellar:token-transfer@1.0.0`?"#]],
    );
    check(
        &[package("gift.wit", &uses("shop:paper/event@1.0.0")), order()],
        expect![[r#"
            error: gift.wit:1:48: package `shop:paper@1.0.0` is not known
            hint: list the file that defines it in `types` too, or put it into `deps/` of the folder
            shop.order.v1@1.0.0"#]],
    );
}

#[test]
fn packages_that_use_each_other_are_refused() {
    let uses = |name: &str, of: &str| {
        format!(
            "package shop:{name}@1.0.0; interface event {{ use shop:{of}/event@1.0.0.{{thing}}; record {name} {{ of: thing }} }}"
        )
    };
    check(
        &[package("a.wit", &uses("a", "b")), package("b.wit", &uses("b", "a"))],
        expect![[r#"
        error: a.wit:1:45: package `shop:b@1.0.0` creates a dependency cycle, at `shop:b/event@1.0.0.{thing}; record a { o…`
        no error of its own"#]],
    );
}

#[test]
fn a_package_that_two_others_bring_along_is_told() {
    let inner = "package shop:x@1.0.0 { interface event { record x { y: u8 } } }";
    let outer =
        |name: &str| format!("package shop:{name}@1.0.0; interface event {{ record {name} {{ y: u8 }} }} {inner}");
    let both = "package shop:both@1.0.0; interface event { use shop:a/event@1.0.0.{a}; use shop:b/event@1.0.0.{b}; record both { a: a, b: b } }";
    check(
        &[package("a.wit", &outer("a")), package("b.wit", &outer("b")), package("both.wit", both)],
        expect![[r#"
        shop.a.v1@1.0.0 shop.x.v1@1.0.0
        shop.b.v1@1.0.0 shop.x.v1@1.0.0
        error: a.wit:1:70: package `shop:x@1.0.0` is defined twice, first at b.wit:1:70"#]],
    );
}

#[test]
fn contradictions_are_told_by_the_first_field() {
    const BASE: &str = "enum kind { a, b }  record item { sku: string, cents: u64 }  record order { id: string, kind: kind, items: list<item> }";
    let schema = |version: &str, types: &str| {
        Schema::from_wit(&format!("package shop:order@{version}; interface event {{ {types} }}")).unwrap().remove(0)
    };
    let check_minor = |version: &str, from: &str, to: &str, expected: Expect| {
        assert!(BASE.contains(from));
        let (here, there) = (schema("1.0.0", BASE), schema(version, &BASE.replace(from, to)));
        let found = here.difference(&there);
        assert_eq!(found.is_none(), here.accepts(&there).is_ok());
        assert_eq!(found.is_none(), there.difference(&here).is_none());
        let text = found
            .map(|found| format!("`{}` is {} in the first and {} in the second", found.path, found.here, found.there));
        expected.assert_eq(&text.unwrap_or_else(|| "none".to_owned()));
    };
    let check = |from: &str, to: &str, expected: Expect| check_minor("1.0.0", from, to, expected);
    check("record item", "record item", expect!["none"]);
    check("cents: u64", "cents: u32", expect!["`items[].cents` is `u64` in the first and `u32` in the second"]);
    check(
        "cents: u64",
        "cents: u64, note: string",
        expect!["`items[].note` is missing in the first and `string` in the second"],
    );
    check(", cents: u64", "", expect!["`items[].cents` is `u64` in the first and missing in the second"]);
    check(
        "sku: string, cents: u64",
        "cents: u64, sku: string",
        expect!["`items[].sku` is field 1 in the first and field 2 in the second"],
    );
    check("id: string", "number: string", expect!["`id` is `string` in the first and missing in the second"]);
    check(
        "a, b }",
        "a, c }",
        expect!["`kind` is an enum whose case 2 is `b` in the first and an enum whose case 2 is `c` in the second"],
    );
    check(
        "a, b }",
        "a, b, c }",
        expect!["`kind` is an enum of 2 cases in the first and an enum whose case 3 is `c` in the second"],
    );
    check(
        "enum kind { a, b }",
        "variant kind { a, b }",
        expect!["`kind` is `enum kind` in the first and `variant kind` in the second"],
    );
    check(
        "record order {",
        "type event = list<u8>; record order {",
        expect!["`event` is `record order` in the first and `list<u8>` in the second"],
    );
    check(
        "id: string",
        "id: option<string>",
        expect!["`id` is `string` in the first and `option<string>` in the second"],
    );
    check(
        "list<item> }",
        "list<item>, note: option<string> }",
        expect!["`note` is missing in the first and `option<string>` in the second"],
    );
    check_minor("1.1.0", "list<item> }", "list<item>, note: option<string> }", expect!["none"]);
    check_minor(
        "1.1.0",
        "list<item> }",
        "list<item>, note: option<string>, by: u8 }",
        expect!["`by` is missing in the first and `u8` in the second"],
    );
    check_minor("1.1.0", "cents: u64 }", "cents: u64, note: option<u8> }", expect!["none"]);
    check_minor(
        "1.1.0",
        "cents: u64 }  record order { id: string",
        "cents: u64, note: option<u8> }  record order { id: u8",
        expect!["`id` is `string` in the first and `u8` in the second"],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_text_is_read_or_refused_with_a_place(text in "(package |shop:|order|@1.0.0|;|interface |event |record |\\{|\\}|use |\\.|,|: |string|list<|>|/\\*|//|\n|[ -~ä\u{0}]){0,60}") {
        let packages = [package("any.wit", &text), package("order.wit", ORDER)];
        let results = event_types(&packages, &[]);
        prop_assert!(results[1].is_ok());
        if let Err(errors) = &results[0] {
            prop_assert!(!errors.is_empty());
            for error in errors {
                prop_assert!(error.to_string().lines().count() == 1);
                prop_assert!(error.place().is_some_and(|place| place.line <= text.matches('\n').count() + 1));
            }
        }
    }
}
