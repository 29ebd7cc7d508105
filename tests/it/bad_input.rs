//! Whatever is wrong with what flowctl is given: a clear error, exit 1, no panic, and no
//! half-written output.

use std::io::Write as _;
use std::path::Path;

use libtest_mimic::Trial;

use crate::fact;
use crate::flowctl::{Answer, Flowctl, plugins};

/// `validate` of the file in `tests/pipelines/mixed` says what is beside it.
fn mixed(name: &str) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/pipelines/mixed"));
    let flowctl = Flowctl::new();
    flowctl.write("broken.wasm", "no component");
    flowctl.write("mixed.yaml", std::fs::read(folder.join(format!("{name}.yaml"))).unwrap());
    let said = flowctl.run_with_plugins("validate mixed.yaml").failure(&[]).stderr;
    let expected = folder.join(format!("{name}.expected"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&expected, &said).unwrap();
    }
    assert_eq!(said, std::fs::read_to_string(&expected).unwrap_or_default());
}

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("bad_input::empty_plugin_file_is_named", || bad_plugin(b"", &["`bad.wasm`", "empty"])),
        fact("bad_input::core_module_is_told_from_a_component", || {
            bad_plugin(b"\0asm\x01\0\0\0", &["`bad.wasm`", "core WebAssembly module", "hint:"]);
        }),
        fact("bad_input::text_is_no_plugin", || bad_plugin(b"hello", &["`bad.wasm`"])),
        fact("bad_input::truncated_plugin_is_refused", || {
            let whole = order_filter();
            bad_plugin(&whole[..whole.len() / 2], &["`bad.wasm`"]);
        }),
        fact("bad_input::plugin_of_another_contract_version_is_refused", || {
            let other =
                replace(&order_filter(), b"flowctl:processor/handler@0.1.0", b"flowctl:processor/handler@0.9.0");
            bad_plugin(&other, &["`bad.wasm`", "0.9.0", "0.1.0"]);
        }),
        fact("bad_input::flipped_bytes_never_panic", flipped_bytes_never_panic),
        fact("bad_input::unknown_plugin_is_named_with_its_place", || {
            let flowctl = Flowctl::new();
            flowctl.write("p.yaml", pipeline("order-fliter"));
            let answer = flowctl.run_with_plugins("run p.yaml");
            failed(&flowctl, answer, &["order-fliter", "p.yaml:6:", "order-filter"]);
        }),
        fact("bad_input::missing_plugin_folder_is_named", || {
            let flowctl = Flowctl::new();
            flowctl.write("p.yaml", pipeline("order-filter"));
            let answer = flowctl.run("run p.yaml --plugins nowhere");
            failed(&flowctl, answer, &["`nowhere`", "hint:"]);
        }),
        fact("bad_input::missing_pipeline_is_named", || {
            let flowctl = Flowctl::new();
            let answer = flowctl.run("run nowhere.yaml");
            failed(&flowctl, answer, &["`nowhere.yaml`"]);
        }),
        fact("bad_input::faults_of_every_stage_are_reported_at_once_of_a_v1_file", || mixed("explicit")),
        fact("bad_input::faults_of_every_stage_are_reported_at_once_of_a_v2_file", || mixed("discover")),
        fact("bad_input::what_a_connector_would_refuse_is_a_fault_of_validate", || mixed("connectors")),
        fact("bad_input::values_that_a_run_would_refuse_are_faults_of_validate", || {
            let cases = [
                ("stellar-ledgers", "{generate: {}, path: x}", "`path` stands beside `generate`"),
                ("stellar-ledgers", "{generate: {transactions_per_ledger: 5001}}", "at most 5000"),
                ("stellar-ledgers", "{}", "`path` is missing"),
                ("generate", "{type: example.order.v1, rate: -1}", "`rate` must be above 0"),
                ("file", "{type: example.order.v1, path: ''}", "`path` is empty"),
            ];
            for (source, config, wanted) in cases {
                let flowctl = Flowctl::new();
                let head =
                    "apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n  sinks: [{id: out, type: stdout, inputs: [in]}]\n";
                let sources = format!("  sources: [{{id: in, type: {source}, config: {config}}}]\n");
                flowctl.write("p.yaml", format!("{head}{sources}"));
                flowctl.run("validate p.yaml").failure(&["p.yaml:5:", wanted]);
            }
        }),
        fact("bad_input::pipeline_and_source_cannot_both_be_standard_input", || {
            let flowctl = Flowctl::new();
            let text = "apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n  sources: [{id: in, type: stdin, config: {type: \
                        example.order.v1}}]\n  sinks: [{id: out, type: stdout, inputs: [in]}]\n";
            let file = std::fs::File::open(flowctl.write("p.yaml", text)).unwrap();
            flowctl.run("validate p.yaml").success();
            let answer = Answer::of(flowctl.command("run -").stdin(file).output().unwrap());
            answer.failure(&["-:4:", "`in` reads standard input, which this file came from"]);
        }),
        fact("bad_input::named_plugin_wins_over_another_build_in_a_folder", || {
            let flowctl = Flowctl::new();
            let bytes = std::fs::read(plugins().join("order-filter.wasm")).unwrap();
            // a custom section more: other bytes, the same plugin
            let other = [bytes.as_slice(), &[0, 2, 1, b'x']].concat();
            flowctl.write("older/order-filter.wasm", other);
            flowctl.write("order-filter.wasm", bytes);
            let text = "apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n  sources: [{id: in, type: generate, config: {type: \
                        example.order.v1}}]\n  processors: [{id: f, plugin: ./order-filter.wasm, inputs: [in]}]\n  \
                        sinks: [{id: out, type: stdout, inputs: [f]}]\n";
            flowctl.write("p.yaml", text);
            flowctl.run("validate p.yaml --plugins older").success();
        }),
        fact("bad_input::two_plugins_of_one_name_are_an_error_only_where_it_is_used", || {
            let flowctl = Flowctl::new();
            let bytes = std::fs::read(plugins().join("order-filter.wasm")).unwrap();
            flowctl.write("both/other.wasm", [bytes.as_slice(), &[0, 2, 1, b'x']].concat());
            flowctl.write("both/order-filter.wasm", bytes);
            flowctl.write("used.yaml", pipeline("order-filter"));
            flowctl.write("unused.yaml", pipeline("both/other.wasm"));
            let conflict = ["both/other.wasm", "both/order-filter.wasm", "they differ"];
            flowctl.run("validate used.yaml --plugins both").failure(&conflict);
            flowctl.run("validate unused.yaml --plugins both").success();
            let listed = flowctl.run("processors list --plugins both").success();
            assert!(conflict.iter().all(|word| listed.stderr.contains(word)), "{}", listed.stderr);
        }),
        fact("bad_input::five_faults_are_reported_at_once", || {
            let flowctl = Flowctl::new();
            flowctl.write(
                "p.yaml",
                "apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n  sorces: []\n  sources: [{id: In, type: stdin}]\n  \
                 processors: [{id: f, plugin: order-filter, inputs: [nowhere]}]\n  \
                 sinks: [{id: out, type: stdout, inputs: [f]}, {id: out, type: stdout, inputs: [f], config: {a: '${NOT_SET}'}}]\n",
            );
            let answer = flowctl.run_with_plugins("validate p.yaml");
            let answer = answer.failure(&["sorces", "`In`", "nowhere", "`out`", "NOT_SET"]);
            assert!(answer.stderr.matches("--> p.yaml:").count() >= 5, "{}", answer.stderr);
        }),
        fact("bad_input::wrong_config_is_placed_in_the_file", || {
            let flowctl = Flowctl::new();
            flowctl.write("p.yaml", pipeline("order-filter").replace("{minimum: 1}", "{minimun: 1}"));
            let answer = flowctl.run_with_plugins("validate p.yaml");
            answer.failure(&["minimun", "p.yaml:6:", "minimum"]);
        }),
        fact("bad_input::wrong_usage_exits_with_2", || {
            for arguments in
                ["", "run", "run --nonsense p.yaml", "topology suggest --from nonsense --to stdout", "apply x"]
            {
                let answer = Flowctl::new().run(arguments);
                assert_eq!(answer.code, Some(2), "{arguments}: {}", answer.stderr);
            }
        }),
        fact("bad_input::truncated_zstd_names_file_and_offset", || {
            let flowctl = Flowctl::new();
            let text = ledgers(&flowctl);
            let ledgers = zstd::encode_all(text.as_bytes(), 3).unwrap();
            flowctl.write("ledgers.zst", &ledgers[..ledgers.len() - 7]);
            damaged_ledger(&flowctl, &text, "the zstd data is damaged or cut off");
        }),
        fact("bad_input::flipped_byte_in_zstd_names_file_and_offset", || {
            let flowctl = Flowctl::new();
            let text = ledgers(&flowctl);
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(text.as_bytes()).unwrap();
            let whole = encoder.finish().unwrap();
            for at in [whole.len() / 4, whole.len() / 2, whole.len() - 3] {
                let mut flipped = whole.clone();
                flipped[at] ^= 0x40;
                flowctl.write("ledgers.zst", &flipped);
                damaged_ledger(&flowctl, &text, "");
            }
        }),
        fact("bad_input::flipped_byte_in_a_raw_ledger_names_file_and_offset", || {
            let flowctl = Flowctl::new();
            let text = ledgers(&flowctl);
            let second = text.find('\n').unwrap() + 1;
            // the version of the ledger; a digit that there is not; and one that makes it longer than it is
            for (at, byte, wanted) in [
                (second, b'Q', "at byte SECOND: not a ledger: xdr value invalid"),
                (second + 999, b'*', "at byte SECOND: the line is not base64"),
                (text.len() - 1, b'A', "at byte THIRD: "),
            ] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] = byte;
                flowctl.write("ledgers.zst", &bytes);
                let third = second + text[second..].find('\n').unwrap() + 1;
                let wanted = wanted.replace("SECOND", &second.to_string()).replace("THIRD", &third.to_string());
                damaged_ledger(&flowctl, &text, &wanted);
            }
        }),
        fact("bad_input::empty_ledger_file_and_missing_ones_are_named", || {
            let flowctl = Flowctl::new();
            ledgers(&flowctl);
            flowctl.run("run ledgers.yaml").failure(&["ledgers.zst"]);
            flowctl.write("ledgers.zst", "");
            flowctl.run("run ledgers.yaml").failure(&["ledgers.zst"]);
        }),
    ]
}

fn order_filter() -> Vec<u8> {
    std::fs::read(plugins().join("order-filter.wasm")).unwrap()
}

fn pipeline(plugin: &str) -> String {
    format!(
        "apiVersion: flowctl/v1\nkind: Pipeline\nmetadata: {{name: p}}\nspec:\n  \
         sources: [{{id: orders, type: generate, config: {{type: example.order.v1, count: 10}}}}]\n  \
         processors: [{{id: f, plugin: {plugin}, inputs: [orders], config: {{minimum: 1}}}}]\n  \
         sinks: [{{id: out, type: file, inputs: [f], config: {{path: out.jsonl}}}}]\n"
    )
}

/// Each command that reads a plugin says what is wrong with this one.
fn bad_plugin(bytes: &[u8], wanted: &[&str]) {
    let flowctl = Flowctl::new();
    flowctl.write("bad.wasm", bytes);
    flowctl.run("inspect bad.wasm").failure(wanted);
    flowctl.write("p.yaml", pipeline("./bad.wasm"));
    let answer = flowctl.run_with_plugins("run p.yaml");
    failed(&flowctl, answer, &["bad.wasm"]);
}

#[track_caller]
fn failed(flowctl: &Flowctl, answer: Answer, wanted: &[&str]) {
    answer.failure(wanted);
    assert!(!flowctl.path("out.jsonl").exists(), "half-written output");
}

fn flipped_bytes_never_panic() {
    let flowctl = Flowctl::new();
    let whole = order_filter();
    for at in (0..whole.len()).step_by(whole.len() / 24) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x11;
        flowctl.write("bad.wasm", flipped);
        let answer = flowctl.run("inspect bad.wasm");
        assert!(matches!(answer.code, Some(0 | 1)), "byte {at}: {:?} {}", answer.code, answer.stderr);
        assert!(!answer.stderr.contains("panicked"), "byte {at}: {}", answer.stderr);
    }
}

/// Three generated ledgers as base64 lines, and a pipeline that reads `ledgers.zst`.
fn ledgers(flowctl: &Flowctl) -> String {
    let head = "apiVersion: flowctl/v2\nkind: Topology\nspec:\n  from: stellar.ledger.v1\n  to: stdout\n  config:\n    stellar-ledgers:";
    flowctl.write("generate.yaml", format!("{head} {{generate: {{ledgers: 3}}, network: testnet}}\n"));
    flowctl.write("ledgers.yaml", format!("{head} {{path: ledgers.zst, network: testnet}}\n"));
    flowctl.run("run generate.yaml").success().stdout.replace('"', "")
}

/// Runs over a `ledgers.zst` that was made of `text` and damaged: the error says this,
/// names the file, and a place in it where a ledger starts.
#[track_caller]
fn damaged_ledger(flowctl: &Flowctl, text: &str, wanted: &str) {
    let answer = flowctl.run("run ledgers.yaml");
    let answer = answer.failure(&["`ledgers.zst` at byte ", wanted]);
    let (_, place) = answer.stderr.split_once("`ledgers.zst` at byte ").unwrap();
    let offset: usize = place.split([' ', ':']).next().unwrap().parse().unwrap();
    let starts_there = offset == 0 || text.as_bytes().get(offset - 1) == Some(&b'\n');
    assert!(starts_there, "no ledger starts at byte {offset}: {}", answer.stderr);
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut n_replaced = 0;
    while let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
        bytes[at..at + to.len()].copy_from_slice(to);
        n_replaced += 1;
    }
    assert!(n_replaced > 0, "nothing to replace");
    bytes
}
