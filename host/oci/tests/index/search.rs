//! What is found by words and types.

use flowctl_oci::annotations;
use flowctl_oci::index::{Listed, PluginIndex, Query};
use flowctl_types::Digest;

use crate::shelf::{index, names, notes};

fn shop() -> PluginIndex {
    let mut index = index(&[
        "order-filter: order -> order 1.9.0",
        "order-filter: order -> order 1.10.0",
        "order-filter: order -> order 2.0.0-rc.1",
        "order: ledger -> order 1.0.0",
        "pre-order: -> order 1.0.0",
        "alerts: order|ledger -> 1.0.0",
    ]);
    let mut notes = notes("scorer: order -> score 0.1.0");
    notes.insert(annotations::DESCRIPTION.to_owned(), "Scores every ORDER by risk".to_owned());
    notes.insert(format!("{}network", annotations::META), "Testnet".to_owned());
    let reference = "r.example/acme/scorer:latest".parse().unwrap();
    index.insert(Listed::new(&reference, Digest::of(b""), notes).unwrap());
    index
}

fn check(text: &str, input: Option<&str>, output: Option<&str>, expected: &[&str]) {
    let event_type = |name: &str| format!("test.{name}.v1").parse().unwrap();
    let query = Query { text: text.to_owned(), input: input.map(event_type), output: output.map(event_type) };
    assert_eq!(names(&shop().search(&query)), expected, "{query:?}");
}

#[test]
fn the_name_that_fits_best_comes_first_and_of_each_the_newest() {
    check(
        " Order ",
        None,
        None,
        &[
            "order:1.0.0",
            "order-filter:2.0.0-rc.1",
            "order-filter:1.10.0",
            "order-filter:1.9.0",
            "pre-order:1.0.0",
            "scorer:latest",
        ],
    );
}

#[test]
fn all_words_must_stand_somewhere() {
    check("risk testnet", None, None, &["scorer:latest"]);
    check("risk pubnet", None, None, &[]);
    check("acme/alerts", None, None, &["alerts:1.0.0"]);
}

#[test]
fn types_are_told_apart_by_side() {
    check("", Some("ledger"), None, &["alerts:1.0.0", "order:1.0.0"]);
    check("", None, Some("score"), &["scorer:latest"]);
    check("", Some("ledger"), Some("order"), &["order:1.0.0"]);
    check("alert", Some("ledger"), Some("order"), &[]);
}

#[test]
fn of_one_version_the_tag_that_names_it_comes_first() {
    let mut index = PluginIndex::default();
    for (tag, version) in
        [("latest", "1.2.0"), ("1.2.0", "1.2.0"), ("nightly", "x"), ("edge", "x"), ("v1.3.0", "1.3.0")]
    {
        let reference = format!("r.example/a:{tag}").parse().unwrap();
        let mut notes = notes("a: -> raw 0.0.0");
        notes.insert(annotations::VERSION.to_owned(), version.to_owned());
        index.insert(Listed::new(&reference, Digest::of(b""), notes).unwrap());
    }
    let all = index.search(&Query::default());
    assert_eq!(names(&all), ["a:v1.3.0", "a:1.2.0", "a:latest", "a:nightly", "a:edge"]);
}
