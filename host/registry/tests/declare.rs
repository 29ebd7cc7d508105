//! Types that files declare, among those of plugins.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use flowctl_registry::{DeclarationError, Declarations, Registry, SourceQuery};
use flowctl_schema::{WitFile, WitPackage};

const ENTRIES: &str = "
    p: a -> b
    %file: -> ?
";

fn registry(texts: &[&str]) -> Registry {
    let entry = |text: &&str| {
        let files = vec![WitFile { name: "my.wit".to_owned(), text: (*text).to_owned() }];
        ("my.wit".to_owned(), Ok(WitPackage { files, deps: Vec::new() }))
    };
    let declarations = Declarations::read(texts.iter().map(entry), &[]);
    Registry::build_with(common::entries(ENTRIES), [], declarations)
}

#[test]
fn a_declared_type_is_known_to_sources_that_are_configured() {
    let registry = registry(&["package shop:order@1.0.0; interface event { record order { id: string } }"]);
    let query = SourceQuery {
        event_type: &"shop.order.v1".parse().unwrap(),
        source: Some("file"),
        filter: &BTreeMap::new(),
        configured: &BTreeSet::new(),
    };
    let (source, schema) = registry.source(&query).unwrap();
    assert_eq!((source.name.as_str(), schema.version().to_string().as_str()), ("file", "1.0.0"));
    assert!(registry.declaration_faults().is_empty());
}

#[test]
fn of_compatible_structures_the_later_one_is_known() {
    let registry = registry(&[
        "package test:a@1.2.0; interface event { record event { value: string, note: option<string> } }",
        "package test:b@0.9.0; interface event { record event { value: string } }",
    ]);
    assert!(registry.declaration_faults().is_empty());
    let version = |name: &str| registry.event_type(&name.parse().unwrap()).unwrap().version().to_string();
    assert_eq!(version("test.a.v1"), "1.2.0");
    assert_eq!((version("test.b.v0"), version("test.b.v1")), ("0.9.0".to_owned(), "1.0.0".to_owned()));
}

#[test]
fn a_contradicting_type_is_left_out_and_told() {
    let registry = registry(&["package test:a@1.2.0; interface event { record event { value: u64 } }"]);
    let known = registry.event_type(&"test.a.v1".parse().unwrap()).unwrap();
    assert_eq!(*known, common::schema("a"));
    let [fault] = registry.declaration_faults() else { panic!("one fault") };
    assert!(matches!(fault.error, DeclarationError::Contradiction { .. }));
    expect![[r#"
        error: `my.wit` and plugin `p` (`plugins/p.wasm`) disagree about `test.a.v1`: `value` is `u64` in the first and `string` in the second
        hint: make them equal, or declare another version: `package test:a@2.0.0;`"#]]
    .assert_eq(&common::explain(&fault.error, fault.error.hint()));
}
