//! What `topology suggest` answers.
#![allow(clippy::unwrap_used)]

#[path = "../../registry/tests/common/mod.rs"]
mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{explain, registry};
use expect_test::{Expect, expect};
use flowctl_intent::Endpoint;
use flowctl_topology::{Wish, suggest};

const STELLAR: &str = "
    stellar-ledgers: -> ledger!
    ttp-processor: ledger! -> transfer
    volume: transfer -> volume
    %stdout: * ->
    %postgres: record ->
";

#[expect(clippy::needless_pass_by_value, reason = "as expect-test has it")]
fn check(entries: &str, from: &[&str], to: &[&str], via: &[&str], expected: Expect) {
    let registry = registry(entries);
    let from: Vec<Endpoint> = from
        .iter()
        .map(|name| Endpoint { event_type: format!("test.{name}.v1").parse().unwrap(), source: None })
        .collect();
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let wish = Wish {
        from: &from,
        to: &texts(to),
        via: &texts(via),
        filter: &BTreeMap::new(),
        configured: BTreeSet::new(),
        max_hops: Wish::MAX_HOPS,
    };
    expected.assert_eq(&match suggest(&wish, &registry) {
        Ok(chains) => chains.to_string(),
        Err(errors) => errors.iter().map(|error| explain(&error.error, error.hint())).collect::<Vec<_>>().join("\n"),
    });
}

#[test]
fn a_chain_is_one_line() {
    check(STELLAR, &["ledger"], &["postgres"], &[], expect!["Chain found: stellar-ledgers → ttp-processor → postgres"]);
}

#[test]
fn several_ends_are_several_lines() {
    check(
        STELLAR,
        &["ledger"],
        &["postgres", "stdout", "test.volume.v1"],
        &[],
        expect![[r#"
        Chain found: stellar-ledgers → ttp-processor → postgres
        Chain found: stellar-ledgers → stdout
        Chain found: stellar-ledgers → ttp-processor → volume"#]],
    );
}

#[test]
fn every_fault_of_a_wish_is_told() {
    check(
        STELLAR,
        &["legder", "transfer"],
        &["postgers", "test.volum.v1"],
        &["ttp"],
        expect![[r#"
        error: unknown event type `test.legder.v1`
        hint: did you mean `test.ledger.v1`?
        error: no source emits `test.transfer.v1`
        hint: sources emit `test.ledger.v1`
        error: unknown sink `postgers`
        hint: did you mean `postgres`?
        error: unknown event type `test.volum.v1`
        hint: did you mean `test.volume.v1`?"#]],
    );
    check(
        STELLAR,
        &["ledger"],
        &["stdout"],
        &["no such"],
        expect![[r#"
        error: unknown processor `no such`
        hint: `--plugins DIR` makes the plugins of a directory known; `flowctl processors list` shows what is"#]],
    );
}
