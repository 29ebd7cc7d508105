//! What a document gives out beside its intent: values filled in, and places.
#![allow(clippy::unwrap_used)]

use flowctl_intent::{Document, Faults, Intent, parse};
use serde_json::json;

fn document(text: &str) -> Document {
    let env = |name: &str| (name == "PORT").then(|| "9090".to_owned());
    parse("orders.yaml", text, &env).unwrap_or_else(|faults| panic!("{faults}"))
}

const DISCOVER: &str = "\
apiVersion: flowctl/v2
kind: Topology
spec:
  from: stellar.ledger.v1
  to: [stdout, archive]
  config:
    stdout:
      port: ${PORT}
      text: \"${PORT}\"
      joined: :${PORT}
      cost: $$5
      unset: ${UNSET:-true}
";

const EXPLICIT: &str = "\
apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: explicit}
spec:
  sources: [{id: orders, type: stdin, config: {event: a.b.v1}}]
  processors: [{id: '7', plugin: filter, inputs: [orders], config: {minimum: 1}}]
  sinks: [{id: out, type: stdout, inputs: ['7']}]
";

#[test]
fn variables_are_typed_where_no_quotes_stand() {
    let document = document(DISCOVER);
    let Intent::Discover(intent) = &document.intent else { panic!("{document:?}") };
    let config = &intent.config["stdout"];
    let filled = json!({"port": 9090, "text": "9090", "joined": ":9090", "cost": "$5", "unset": true});
    assert_eq!(config.value(), &filled);
    assert_eq!(config.written()["port"], json!("${PORT}"));
}

#[test]
fn variables_never_add_structure() {
    let env = |_: &str| Some("stdout\n  via: [evil]\n# {[&*".to_owned());
    let text = "apiVersion: flowctl/v2\nkind: Topology\nspec:\n  from: a.b.v1\n  to: x\n  where: {k: '${V}'}\n";
    let Intent::Discover(intent) = parse("-", text, &env).unwrap().intent else { panic!() };
    assert!(intent.via.is_empty());
    assert_eq!(intent.where_["k"], env("V").unwrap());
}

#[test]
fn what_variables_add_is_bounded() {
    let env = |_: &str| Some("x".repeat(1 << 16));
    let uses = "${V}".repeat(20);
    let text =
        format!("apiVersion: flowctl/v2\nkind: Topology\nspec: {{from: a.b.v1, to: x, where: {{k: '{uses}'}}}}\n");
    let faults = parse("-", &text, &env).unwrap_err();
    assert!(faults.iter().all(|fault| fault.message == "variables add more than 1048576 bytes to this file"));
}

#[test]
fn files_of_types_are_bounded() {
    let listed = |n_files: usize| (0..n_files).map(|number| format!("{number}.wit")).collect::<Vec<_>>().join(", ");
    let text = |n_files| format!("{EXPLICIT}  types: [{}]\n", listed(n_files));
    assert_eq!(document(&text(100)).intent.types().len(), 100);
    let faults = parse("-", &text(101), &|_| None).unwrap_err();
    assert!(faults.to_string().contains("`types` has 101 items, more than 100"), "{faults}");
}

#[test]
fn a_file_without_a_name_is_named_by_its_stem() {
    assert_eq!(document(DISCOVER).name.as_str(), "orders");
    assert_eq!(document(EXPLICIT).name.as_str(), "explicit");
    let name = |file: &str| parse(file, DISCOVER, &|_| Some("1".into())).unwrap().name.to_string();
    assert_eq!(name("-"), "pipeline");
    assert_eq!(name("a/b/My Pipe.v2.yaml"), "my-pipe-v2");
}

#[test]
fn faults_found_later_stand_where_the_value_was_written() {
    let place = |document: &Document, path: &[&str]| {
        let fault = document.fault_at(path, flowctl_types::Code::WrongValue, "wrong".into(), None);
        (fault.line, fault.column)
    };
    let discover = document(DISCOVER);
    assert_eq!(place(&discover, &["config", "stdout", "port"]), (8, 13));
    assert_eq!(place(&discover, &["config", "stdout", "missing"]), (7, 5));
    assert_eq!(place(&discover, &["to", "1"]), (5, 16));
    assert_eq!(place(&discover, &["from", "0"]), (4, 9));
    assert_eq!(place(&discover, &["kind"]), (2, 7));
    assert_eq!(place(&discover, &["metadata", "name"]), (1, 1));
    assert_eq!(place(&discover, &[]), (3, 1));
    let explicit = document(EXPLICIT);
    assert_eq!(place(&explicit, &["processors", "7", "plugin"]), (6, 34));
    assert_eq!(place(&explicit, &["processors", "0", "plugin"]), (6, 34));
    let types = document(&format!("{EXPLICIT}  types: ./orders.wit\n"));
    assert_eq!(place(&types, &["types", "0"]), (8, 10));
}

#[test]
fn a_nodes_configuration_is_found_in_either_format() {
    let place = |document: &Document, node: &str, path: &[&str]| {
        let fault = document.fault_in_config(node, path, "wrong".into(), None);
        (fault.line, fault.column)
    };
    assert_eq!(place(&document(DISCOVER), "stdout", &["text"]), (9, 13));
    assert_eq!(place(&document(DISCOVER), "archive", &["path"]), (6, 3));
    assert_eq!(place(&document(EXPLICIT), "orders", &["event"]), (5, 55));
    assert_eq!(place(&document(EXPLICIT), "7", &["minimum"]), (6, 78));
    assert_eq!(place(&document(EXPLICIT), "out", &["path"]), (7, 11));
}

#[test]
fn configuration_of_the_dead_letter_sink_is_found_in_either_format() {
    let dead_letter = "  dead_letter: {type: file, config: {path: x}}\n";
    for (text, line) in [(DISCOVER, 13), (EXPLICIT, 8)] {
        let fault =
            document(&format!("{text}{dead_letter}")).fault_in_config("dead-letter", &["path"], "wrong".into(), None);
        assert_eq!((fault.line, fault.column), (line, 44));
    }
}

#[test]
fn faults_of_several_callers_are_printed_in_the_files_order() {
    let document = document(EXPLICIT);
    let later = document.fault_in_config("7", &["minimum"], "too small".into(), Some("write 2".into()));
    let sooner = document.fault_in_config("orders", &["event"], "unknown".into(), None);
    let faults = Faults::collect([later.clone(), sooner, later]).unwrap();
    let want = "\
error[bad-config]: unknown
 --> orders.yaml:5:55
  |
5 |   sources: [{id: orders, type: stdin, config: {event: a.b.v1}}]
  |                                                       ^^^^^^

error[bad-config]: too small
 --> orders.yaml:6:78
  |
6 |   processors: [{id: '7', plugin: filter, inputs: [orders], config: {minimum: 1}}]
  |                                                                              ^
hint: write 2";
    assert_eq!(faults.to_string(), want);
}

#[test]
fn lines_and_columns_hold_whatever_ends_a_line() {
    let text =
        "\u{feff}apiVersion: flowctl/v2\r\nkind: Topology\rspec:\n  form: a.b.v1\t# größer\r\n  to: \"größer\"\r\n";
    let faults = parse("crlf.yaml", text, &|_| None).unwrap_err();
    let want = "\
error[missing-key]: `spec` has no `from`
 --> crlf.yaml:3:1
  |
3 | spec:
  | ^^^^
hint: name the event type to start from, such as `from: stellar.ledger.v1`

error[unknown-key]: unknown key `form` in `spec`
 --> crlf.yaml:4:3
  |
4 |   form: a.b.v1 # größer
  |   ^^^^
hint: did you mean `from`?

error[bad-name]: `größer` is not a name
 --> crlf.yaml:5:7
  |
5 |   to: \"größer\"
  |       ^^^^^^^^
hint: use 1 to 63 of `a-z`, `0-9` and `-`";
    assert_eq!(faults.to_string(), want);
}
