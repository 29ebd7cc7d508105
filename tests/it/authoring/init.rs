//! New crates: they build and pass their tests, whatever their types; what cannot be made is
//! refused, and nothing is overwritten.

use libtest_mimic::Trial;

use super::Author;
use crate::fact;
use crate::flowctl::Flowctl;

/// A type of the author's own, with every kind of part, and names that Rust or WIT keep.
const ALERT: &str = "package acme:alert@1.2.0;

interface event {
  /// How bad it is.
  enum level { low, %enum }
  variant place { nowhere, at(tuple<u8, string>) }
  record part { %type: string, level: level }

  /// An order that somebody should look at.
  record alert {
    /// The order's id.
    id: string,
    total-cents: u64,
    placed-at: s64,
    level: level,
    place: place,
    parts: list<part>,
    first: part,
    note: option<string>,
    outcome: result<string, u8>,
    done: result,
    ratio: f64,
    raw: list<u8>,
  }
}
";

const ORDERS: &str = "--input example.order.v1 --output example.order.v1";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("authoring::a_new_crate_builds_and_passes_both_kinds_of_tests", passes),
        fact("authoring::types_of_files_and_of_plugins_become_part_of_the_crate", own_types),
        fact("authoring::two_majors_of_one_type_are_told_apart", two_majors),
        fact("authoring::bytes_become_records", bytes),
        fact("authoring::a_type_that_nobody_knows_is_an_error_that_names_near_ones", unknown_type),
        fact("authoring::nothing_is_overwritten", no_overwriting),
        fact("authoring::names_that_rust_or_nodes_cannot_have_are_refused", names),
        fact("authoring::a_folder_without_the_sdk_is_named", no_sdk),
        fact("authoring::faults_of_wit_have_their_place", faulty_wit),
    ]
}

/// The two kinds of tests of the crate `name`, and that nothing warns.
fn check(author: &Author, name: &str) {
    let tested = author.run(&format!("processors test {name}")).success();
    assert!(tested.stdout.starts_with("ok       first: 1 out, 0 rejected\n"), "{}", tested.stdout);
    assert!(!tested.stderr.contains("warning"), "{}", tested.stderr);
    let native = author.cargo(name, &["test"]).success();
    assert!(native.stdout.contains("1 passed") && !native.stderr.contains("warning"), "{}", native.stderr);
    let formatted = author.cargo(name, &["fmt", "--check"]);
    assert_eq!(formatted.code, Some(0), "{}", formatted.stdout);
}

fn passes() {
    let author = Author::new();
    let made = author.init("new-orders", ORDERS).success();
    for file in ["Cargo.toml", "src/lib.rs", "cases/first/input.jsonl", "cases/first/expected.jsonl", "pipeline.yaml"] {
        assert!(made.stdout.contains(&format!("new-orders/{file}\n")), "{}", made.stdout);
    }
    assert!(!author.flowctl.path("new-orders/wit").exists(), "the SDK has the type");
    check(&author, "new-orders");
    let built = author.run("processors build new-orders -o json").success();
    let built: serde_json::Value = serde_json::from_str(&built.stdout).unwrap();
    assert_eq!((&built["name"], &built["version"]), (&"new-orders".into(), &"0.1.0".into()), "{built}");
    assert_eq!(built["output_types"], serde_json::json!(["example.order.v1"]), "{built}");
    assert!(built["size_bytes"].as_u64().unwrap() > 1_000, "{built}");
}

fn own_types() {
    let author = Author::new();
    author.flowctl.write("alert.wit", ALERT);
    let types = "--input example.order.v1 --output acme.alert.v1 --types alert.wit";
    author.init("alert", types).success();
    check(&author, "alert");
    let expected = author.flowctl.read("alert/cases/first/expected.jsonl");
    assert!(expected.starts_with("{\"id\":\"id\",\"total_cents\":1,\"placed_at\":0,"), "{expected}");

    // the type is known of the plugin alone, and has the docs that its author wrote
    author.flowctl.write("plugins/README.md", "");
    std::fs::copy(
        author.flowctl.path("alert/target/wasm32-wasip2/release/alert.wasm"),
        author.flowctl.path("plugins/alert.wasm"),
    )
    .unwrap();
    std::fs::remove_file(author.flowctl.path("alert.wit")).unwrap();
    author.init("calm-alerts", "--input acme.alert.v1 --output acme.alert.v1 --plugins plugins").success();
    let wit = author.flowctl.read("calm-alerts/wit/acme-alert-v1/event.wit");
    for wanted in ["package acme:alert@1.2.0;", "    /// The order's id.\n    id: string,", "%type: string"] {
        assert!(wit.contains(wanted), "no `{wanted}` in {wit}");
    }
    check(&author, "calm-alerts");
    author
        .run("topology suggest --from example.order.v1 --source generate --to acme.alert.v1 --plugins plugins")
        .success();
}

/// Both have types of the same names.
fn two_majors() {
    let author = Author::new();
    let next = "package example:order@2.0.0; interface event { enum status { open, closed }
        record order { id: string, status: status, total-cents: u64 } }";
    author.flowctl.write("next.wit", next);
    author.init("next-orders", "--input example.order.v1 --output example.order.v2 --types next.wit").success();
    let text = author.flowctl.read("next-orders/src/lib.rs");
    assert!(text.contains("total_cents: order.total_cents"), "{text}");
    check(&author, "next-orders");
}

fn bytes() {
    let author = Author::new();
    author.init("ledger", "--input stellar.ledger.v1 --output stellar.volume.v1").success();
    check(&author, "ledger");
    author.init("raw-ledgers", "--input stellar.ledger.v1 --output stellar.ledger.v1").success();
    check(&author, "raw-ledgers");
}

fn unknown_type() {
    let author = Author::new();
    let answer = author.init("orders", "--input exmple.order.v1 --output example.order.v1");
    answer.failure(&["`exmple.order.v1`", "did you mean `example.order.v1`?", "--types FILE"]);
    assert!(!author.flowctl.path("orders").exists());
}

fn no_overwriting() {
    let author = Author::new();
    author.flowctl.write("orders/notes.md", "mine");
    author.init("orders", ORDERS).failure(&["`orders` is not empty: nothing was written", "--path DIR"]);
    author.flowctl.write("file", "mine");
    author.init("orders", &format!("{ORDERS} --path file")).failure(&["`file` is there, and no folder"]);
    assert_eq!(author.flowctl.read("orders/notes.md"), "mine");
    std::fs::create_dir(author.flowctl.path("empty")).unwrap();
    author.run(&format!("processors init orders {ORDERS} --path empty")).success();
    let manifest = author.flowctl.read("empty/Cargo.toml");
    assert!(manifest.contains(&format!("flowctl-sdk = \"{}\"", env!("CARGO_PKG_VERSION"))), "{manifest}");
}

fn names() {
    let author = Author::new();
    for name in ["Orders", "1st", "a_b", "a--b", "a-", &"a".repeat(64)] {
        author.init(name, ORDERS).failure(&["cannot name a processor", "big-orders"]);
    }
    for name in ["match", "true", "core", "flowctl-sdk", "tests", "null", "events", "out"] {
        author.init(name, ORDERS).failure(&["it is something else in Rust", &format!("`{name}-processor`")]);
    }
}

fn no_sdk() {
    let flowctl = Flowctl::new();
    let answer = flowctl.run(&format!("processors init orders {ORDERS} --sdk ."));
    answer.failure(&["there is no flowctl-sdk in `.`", "sdk/flowctl-sdk"]);
    assert!(!flowctl.path("orders").exists());
}

fn faulty_wit() {
    let author = Author::new();
    author.flowctl.write("alert.wit", "package acme:alert@1.0.0;\ninterface event { record alert { id: text } }");
    let types = "--input example.order.v1 --output acme.alert.v1 --types alert.wit";
    author.init("alert", types).failure(&["alert.wit:2:"]);
}
