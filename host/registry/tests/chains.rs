//! Which chain is found between a source and a sink, and what is said where none is.
#![allow(clippy::unwrap_used)]

mod common;

use common::{ask, explain, registry};
use expect_test::{Expect, expect};

#[expect(clippy::needless_pass_by_value, reason = "as expect-test has it")]
fn check(entries: &str, question: &str, expected: Expect) {
    let found = ask(&registry(entries), question);
    expected.assert_eq(&found.unwrap_or_else(|error| explain(&error, error.hint())));
}

const STELLAR: &str = "
    ledgers: -> ledger!
    ttp-processor: ledger! -> transfer
    filter: transfer -> transfer
    volume: transfer -> volume
    %stdout: * ->
    %postgres: record ->
    volume-sink-v1: volume ->
";

#[test]
fn a_chain_through_two_plugins_that_pass_for_the_same_one_is_an_error_and_another_chain_is_not() {
    let entries = "ledgers: -> ledger!, ttp#a: ledger! -> transfer, ttp#b: ledger! -> transfer, %postgres: record ->
        orders: -> order, %file: * ->";
    check(
        entries,
        "ledger -> postgres",
        expect![[r#"
        error: `plugins/ttpa.wasm` and `plugins/ttpb.wasm` both hold processor `ttp`, but they differ (7506922c28d1 and 93db67bb2469)
        hint: remove one of the files, give one of them another version, or name the file that is meant"#]],
    );
    check(entries, "order -> file", expect!["orders → file"]);
}

#[test]
fn a_record_sink_is_reached_through_the_processor_that_makes_records() {
    check(STELLAR, "ledger -> postgres", expect!["ledgers → ttp-processor → postgres"]);
}

#[test]
fn a_sink_that_takes_anything_needs_no_processor() {
    check(STELLAR, "ledger -> stdout", expect!["ledgers → stdout"]);
}

#[test]
fn a_typed_sink_is_reached_over_several_processors() {
    check(STELLAR, "ledger -> volume", expect!["ledgers → ttp-processor → volume → volume-sink-v1"]);
}

#[test]
fn via_adds_processors_that_the_shortest_chain_leaves_out() {
    check(STELLAR, "ledger -> postgres via filter", expect!["ledgers → ttp-processor → filter → postgres"]);
    check(
        STELLAR,
        "ledger -> postgres via filter volume",
        expect!["ledgers → ttp-processor → filter → volume → postgres"],
    );
    check(STELLAR, "ledger -> stdout via volume", expect!["ledgers → ttp-processor → volume → stdout"]);
}

#[test]
fn via_may_ask_for_a_processor_twice() {
    check(
        STELLAR,
        "ledger -> postgres via filter filter",
        expect!["ledgers → ttp-processor → filter → filter → postgres"],
    );
}

#[test]
fn via_in_an_order_that_no_chain_has_is_told_with_the_chain_there_is() {
    check(
        STELLAR,
        "ledger -> postgres via volume filter",
        expect![[r#"
            error: no chain from `test.ledger.v1` to `postgres` within 8 hops goes through `volume` and `filter`
            hint: without `via:` there is ledgers → ttp-processor → postgres"#]],
    );
}

#[test]
fn a_chain_may_end_at_a_type() {
    check(STELLAR, "ledger -> test.volume.v1", expect!["ledgers → ttp-processor → volume → test.volume.v1"]);
}

#[test]
fn cycle_ends_in_unreachable() {
    check(
        "s: -> raw, a: raw -> mid, b: mid -> raw, t: alert ->",
        "raw -> t",
        expect![[r#"
        error: no chain from `test.raw.v1` to `t` within 8 hops
        hint: `t` takes `test.alert.v1`; `--plugins DIR` makes more processors known"#]],
    );
}

#[test]
fn a_chain_longer_than_the_bound_is_not_found() {
    let steps: Vec<String> = (0..9).map(|n| format!("p{n}: t{n} -> t{}", n + 1)).collect();
    let text = format!("s: -> t0, {}, near: t8 ->, far: t9 ->", steps.join(", "));
    check(&text, "t0 -> near", expect!["s → p0 → p1 → p2 → p3 → p4 → p5 → p6 → p7 → near"]);
    check(
        &text,
        "t0 -> far",
        expect![[r#"
        error: no chain from `test.t0.v1` to `far` within 8 hops
        hint: `far` takes `test.t9.v1`; `--plugins DIR` makes more processors known"#]],
    );
}

#[test]
fn equally_short_chains_are_listed_with_how_to_choose() {
    check(
        "s: -> raw, a: raw -> mid, b: raw -> mid, t: mid ->",
        "raw -> t",
        expect![[r#"
            error: 2 chains from `test.raw.v1` to `t` are equally short:
              s → a → t
              s → b → t
            hint: choose one with `via: [a]`, or with `where:` if their metadata differ"#]],
    );
    check("s: -> raw, a: raw -> mid, b: raw -> mid, t: mid ->", "raw -> t via b", expect!["s → b → t"]);
    check(
        "s: -> raw!, a: raw! -> mid, b: raw! -> other, pg: record ->",
        "raw -> pg",
        expect![[r#"
            error: 2 chains from `test.raw.v1` to `pg` are equally short:
              s → a → pg
              s → b → pg
            hint: choose one with `via: [a]`, or with `where:` if their metadata differ"#]],
    );
}

#[test]
fn no_more_than_ten_chains_are_listed() {
    let many: Vec<String> = (10..30).map(|n| format!("p{n}: raw -> mid")).collect();
    check(
        &format!("s: -> raw, {}, t: mid ->", many.join(", ")),
        "raw -> t",
        expect![[r#"
            error: more than 10 chains from `test.raw.v1` to `t` are equally short:
              s → p10 → t
              s → p11 → t
              s → p12 → t
              s → p13 → t
              s → p14 → t
              s → p15 → t
              s → p16 → t
              s → p17 → t
              s → p18 → t
              s → p19 → t
            hint: choose one with `via: [p10]`, or with `where:` if their metadata differ"#]],
    );
}

#[test]
fn filters_choose_among_chains_and_silent_entries_pass() {
    let text = "s: -> raw, a{network=pubnet}: raw -> mid, b{network=testnet}: raw -> mid, t: mid ->";
    check(text, "raw -> t where network=testnet", expect!["s → b → t"]);
    check(
        text,
        "raw -> t where network=futurenet",
        expect![[r#"
            error: no chain from `test.raw.v1` to `t` within 8 hops where `network: futurenet`
            hint: `where:` excludes `a`; without it there is s → a → t"#]],
    );
    check(
        text,
        "raw -> t via a where network=testnet",
        expect!["error: `a` has `network: pubnet`, but `where:` asks for `testnet`"],
    );
}

#[test]
fn one_processor_of_several_types_is_one_chain() {
    check("s: -> raw!, a: raw! -> x|y, pg: record ->", "raw -> pg", expect!["s → a → pg"]);
    check("s: -> raw!, a: raw! -> x|y, b: x|y -> z, t: z ->", "raw -> t", expect!["s → a → b → t"]);
}

#[test]
fn an_option_appended_by_a_later_minor_connects() {
    check("s: -> raw, a: raw -> mid+, b: mid -> end, t: end ->", "raw -> t", expect!["s → a → b → t"]);
    check("s: -> raw, a: raw -> mid, b: mid+ -> end, t: end ->", "raw -> t", expect!["s → a → b → t"]);
    check("s: -> raw+, t: raw ->", "raw -> t", expect!["s → t"]);
}

#[test]
fn equal_names_with_other_structures_are_told_with_both_components() {
    check(
        "s: -> raw, a: raw -> mid~, b: mid -> end, t: end ->",
        "raw -> t",
        expect![[r#"
        error: `a` and `b` disagree about `test.mid.v1`
          caused by: `value` is expected as `string`, emitted as `u64`
        hint: build `a` and `b` against one version of the type's WIT package"#]],
    );
    check(
        "s: -> raw~, t: raw ->",
        "raw -> t",
        expect![[r#"
        error: `s` and `t` disagree about `test.raw.v1`
          caused by: `value` is expected as `string`, emitted as `u64`
        hint: build `s` and `t` against one version of the type's WIT package"#]],
    );
    check(
        "s: -> raw, a: raw -> mid~, t: mid ->",
        "raw -> t",
        expect![[r#"
        error: `a` and `t` disagree about `test.mid.v1`
          caused by: `value` is expected as `string`, emitted as `u64`
        hint: build `a` and `t` against one version of the type's WIT package"#]],
    );
}

#[test]
fn unknown_types_are_told_with_the_nearest() {
    check(
        STELLAR,
        "legder -> stdout",
        expect![[r#"
        error: unknown event type `test.legder.v1`
        hint: did you mean `test.ledger.v1`?"#]],
    );
    check(
        STELLAR,
        "kafka -> stdout",
        expect![[r#"
        error: unknown event type `test.kafka.v1`
        hint: did you mean `test.known.v1`?"#]],
    );
}

#[test]
fn unknown_sinks_sources_and_processors_are_told_with_the_nearest() {
    check(
        STELLAR,
        "ledger -> postgers",
        expect![[r#"
        error: unknown sink `postgers`
        hint: did you mean `postgres`?"#]],
    );
    check(
        STELLAR,
        "ledger -> kafka",
        expect![[r#"
        error: unknown sink `kafka`
        hint: `--plugins DIR` makes the plugins of a directory known"#]],
    );
    check(
        STELLAR,
        "ledger -> stdout via fliter",
        expect![[r#"
        error: unknown processor `fliter`
        hint: did you mean `filter`?"#]],
    );
    check(
        STELLAR,
        "ledger -> stdout source ledger",
        expect![[r#"
        error: unknown source `ledger`
        hint: did you mean `ledgers`?"#]],
    );
    check(STELLAR, "ledger -> filter", expect!["error: `filter` is a processor, not a sink"]);
    check(STELLAR, "ledger -> stdout via stdout", expect!["error: `stdout` is a sink, not a processor"]);
}

#[test]
fn several_sources_of_a_type_have_to_be_told_apart() {
    let text = "rpc: -> raw, files: -> raw, out: * ->";
    check(
        text,
        "raw -> out",
        expect![[r#"
        error: several sources emit `test.raw.v1`: files, rpc
        hint: choose one: write `from: {type: test.raw.v1, source: files}`"#]],
    );
    check(text, "raw -> out source rpc", expect!["rpc → out"]);
}

#[test]
fn of_several_sources_the_configured_one_is_meant() {
    let text = "rpc: -> raw, files: -> raw, out: * ->";
    check(text, "raw -> out configured rpc out", expect!["rpc → out"]);
    check(text, "raw -> out configured files", expect!["files → out"]);
    check(
        text,
        "raw -> out configured files rpc",
        expect![[r#"
        error: several sources emit `test.raw.v1`: files, rpc
        hint: choose one: write `from: {type: test.raw.v1, source: files}`"#]],
    );
    check("rpc-source: -> raw, files: -> raw, out: * ->", "raw -> out configured rpc", expect!["rpc-source → out"]);
}

#[test]
fn of_several_sources_one_that_must_be_configured_is_not_meant() {
    let text = "rpc[url: string]: -> raw, files[path: option<string>]: -> raw, out: * ->";
    check(text, "raw -> out", expect!["files → out"]);
    check(text, "raw -> out configured rpc", expect!["rpc → out"]);
    check("rpc[url: string]: -> raw, out: * ->", "raw -> out", expect!["rpc → out"]);
}

#[test]
fn a_source_that_emits_other_types_is_refused() {
    check(
        "s: -> raw, q: -> mid|end, t: * ->",
        "raw -> t source q",
        expect!["error: source `q` emits `test.mid.v1` and `test.end.v1`, not `test.raw.v1`"],
    );
}

#[test]
fn a_configured_source_counts_only_when_it_is_named() {
    let text = "%file: -> ?, %stdin: -> ?, a: known -> end, t: end ->";
    check(
        text,
        "known -> t",
        expect![[r#"
        error: no source emits `test.known.v1`
        hint: `file` or `stdin` can be made to: write `from: {type: test.known.v1, source: file}`"#]],
    );
    check(text, "known -> t source stdin", expect!["stdin → a → t"]);
    check(text, "known -> t configured file", expect!["file → a → t"]);
}

#[test]
fn a_processor_cannot_be_named_as_a_source() {
    check(STELLAR, "transfer -> stdout source filter", expect!["error: `filter` is a processor, not a source"]);
    check(
        STELLAR,
        "transfer -> stdout",
        expect![[r#"
        error: no source emits `test.transfer.v1`
        hint: sources emit `test.ledger.v1`"#]],
    );
}
