//! What discovery is told, and what is said of configurations that cannot be used.

use expect_test::{Expect, expect};
use flowctl_connectors::{Generator, GeneratorSettings, catalogue, sink, source};
use flowctl_registry::Origin;
use flowctl_runtime::Bounds;
use flowctl_schema::Role;
use serde_json::json;

use crate::support::{example_order, node, pipeline};

#[test]
fn what_is_available_can_be_made_and_what_is_not_says_so() {
    for entry in catalogue() {
        let Origin::BuiltIn { is_available, summary } = entry.origin else { panic!("connectors are built in") };
        assert!(!summary.is_empty());
        let node = node(&entry.name, entry.role, json!({}), vec![], vec![]);
        let error = match entry.role {
            Role::Source => source(&node, &pipeline()).err(),
            _ => sink(&node, &pipeline()).err(),
        };
        let is_known = error.is_none_or(|error| !error.to_string().contains("cannot be run by this build"));
        assert_eq!(is_known, is_available, "{}", entry.name);
    }
}

#[test]
fn every_field_has_docs_and_is_read() {
    for entry in catalogue() {
        for field in entry.config.iter().flat_map(|config| &config.fields) {
            assert!(field.docs.is_some(), "`{}` of `{}`", field.name, entry.name);
            // a value that no field takes: the error is then about the value, not about the field
            let mut config = serde_json::Map::new();
            config.insert(field.name.clone(), json!([[]]));
            let node = node(&entry.name, entry.role, config.into(), vec![], vec![]);
            let error = match entry.role {
                Role::Source => source(&node, &pipeline()).err(),
                _ => sink(&node, &pipeline()).err(),
            };
            let error = error.expect("lists of lists are no value");
            let cause = std::error::Error::source(&error).expect("a cause").to_string();
            let is_of_value = ["invalid type", "invalid length"].iter().any(|start| cause.contains(start));
            assert!(is_of_value, "`{}` of `{}`: {cause}", field.name, entry.name);
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn check(role: Role, name: &str, config: serde_json::Value, want: Expect) {
    let outputs = if role == Role::Source { vec![example_order()] } else { vec![] };
    let node = node(name, role, config, vec![], outputs);
    let error = match role {
        Role::Source => source(&node, &pipeline()).err(),
        _ => sink(&node, &pipeline()).err(),
    }
    .expect("it cannot be made");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text += &format!("\n  caused by: {error}");
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        text += &format!("\nhint: {hint}");
    }
    want.assert_eq(&text);
}

#[test]
fn errors_name_connector_field_and_remedy() {
    use Role::{Sink, Source};
    check(
        Source,
        "kafka",
        json!({}),
        expect![
            "no source `kafka` is built in; there are `file`, `generate`, `http`, `stellar-ledgers`, `stellar-rpc`, `stdin`"
        ],
    );
    check(
        Sink,
        "postgres",
        json!({}),
        expect![
            "`url` of `postgres` is missing: write `url: postgres://…`, or set the environment variable DATABASE_URL"
        ],
    );
    check(
        Sink,
        "sqlite",
        json!({}),
        expect![[r#"
        the configuration of `sqlite` cannot be read
          caused by: missing field `path`
        hint: `flowctl processors show sqlite` lists the fields and what they mean"#]],
    );
    check(
        Source,
        "stellar-ledgers",
        json!({}),
        expect![
            "`path` of `stellar-ledgers` is missing: name a file, or a glob such as `ledgers/*.zst`, or have ledgers made with `generate: {}`"
        ],
    );
    check(
        Source,
        "stellar-ledgers",
        json!({"path": "a", "generate": {}}),
        expect!["`path` of `stellar-ledgers` stands beside `generate`: ledgers are read or made, so leave out one"],
    );
    check(
        Source,
        "stellar-ledgers",
        json!({"paht": "a"}),
        expect![[r#"
        the configuration of `stellar-ledgers` cannot be read
          caused by: unknown field `paht`, expected one of `path`, `network`, `generate`
        hint: `flowctl processors show stellar-ledgers` lists the fields and what they mean"#]],
    );
    check(
        Source,
        "stellar-ledgers",
        json!({"path": "missing.zst"}),
        expect![[r#"
        `stellar-ledgers` cannot read `missing.zst`
          caused by: No such file or directory (os error 2)
        hint: relative paths start at the directory that flowctl was started in"#]],
    );
    check(
        Source,
        "stellar-ledgers",
        json!({"path": "src"}),
        expect!["`path` of `stellar-ledgers` names a directory: write `src/*` for the files in it"],
    );
    check(
        Source,
        "stellar-ledgers",
        json!({"path": "src/*.zst"}),
        expect![
            "`path` of `stellar-ledgers` matches no file: `src/*.zst`; relative paths start at the directory flowctl was started in"
        ],
    );
    check(
        Source,
        "stellar-ledgers",
        json!({"path": "src/**x"}),
        expect![
            "`path` of `stellar-ledgers` is no glob: `src/**x`: Pattern syntax error near position 6: recursive wildcards must form a single path component"
        ],
    );
    check(
        Source,
        "stellar-ledgers",
        json!({"generate": {"transactions_per_ledger": 5001}}),
        expect!["`generate.transactions_per_ledger` of `stellar-ledgers` is 5001; at most 5000 are made"],
    );
    check(
        Source,
        "stellar-ledgers",
        json!({"generate": {"start": 0}}),
        expect!["`generate.start` of `stellar-ledgers` is 0: sequence numbers go from 1 to 4294967295"],
    );
    check(
        Source,
        "stdin",
        json!({"type": "example.invoice.v1"}),
        expect![
            "`stdin` cannot run node `node`: it is to emit `example.invoice.v1`, and is planned to emit `example.order.v1`"
        ],
    );
    check(
        Source,
        "generate",
        json!({"type": "example.order.v1", "rate": 0}),
        expect!["`rate` of `generate` must be above 0: events a second"],
    );
    let order = |mut config: serde_json::Value| {
        config["type"] = json!("example.order.v1");
        config
    };
    check(
        Source,
        "http",
        order(json!({"listen": "localhost"})),
        expect!["`listen` of `http` is no address: `localhost`; write IP:PORT, such as `127.0.0.1:8081`"],
    );
    check(
        Source,
        "http",
        order(json!({"listen": "0.0.0.0:80"})),
        expect![
            "`listen` of `http` is `0.0.0.0:80`, which others can reach, and there is no `token`: set one, or listen at 127.0.0.1"
        ],
    );
    check(
        Source,
        "http",
        order(json!({"token": "se cret"})),
        expect![
            "`token` of `http` must be letters, digits and signs of ASCII, at least one, with no space or line break"
        ],
    );
    check(
        Source,
        "http",
        order(json!({"path": "/{x}"})),
        expect![
            "`path` of `http` is `/{x}`: it must start with `/` and hold letters, digits, `/`, `-`, `_`, `.` and `~` only, and be another than `/healthz`"
        ],
    );
    check(
        Source,
        "http",
        order(json!({"max_body_bytes": 0})),
        expect!["`max_body_bytes` of `http` is 0: it must be from 1 to 1073741824"],
    );
    check(
        Source,
        "http",
        order(json!({"on_invalid": "drop"})),
        expect![[r#"
        the configuration of `http` cannot be read
          caused by: unknown variant `drop`, expected `refuse` or `dead-letter`
        hint: `flowctl processors show http` lists the fields and what they mean"#]],
    );
    check(
        Sink,
        "file",
        json!({}),
        expect![[r#"
        the configuration of `file` cannot be read
          caused by: missing field `path`
        hint: `flowctl processors show file` lists the fields and what they mean"#]],
    );
    check(
        Sink,
        "file",
        json!({"path": "src"}),
        expect!["`path` of `file` names a directory: write `src/events.jsonl`, for instance"],
    );
    check(
        Sink,
        "file",
        json!({"path": "missing/out.jsonl"}),
        expect![[r#"
        `file` cannot write `missing/out.jsonl`
          caused by: No such file or directory (os error 2)
        hint: create the directory `missing` first"#]],
    );
    check(
        Sink,
        "file",
        json!({"path": "Cargo.toml/out.jsonl"}),
        expect![[r#"
        `file` cannot write `Cargo.toml/out.jsonl`
          caused by: Not a directory (os error 20)"#]],
    );
    check(
        Sink,
        "stdout",
        json!({"pretty": true}),
        expect![[r#"
        the configuration of `stdout` cannot be read
          caused by: unknown field `pretty`, there are no fields
        hint: `flowctl processors show stdout` lists the fields and what they mean"#]],
    );
}

#[tokio::test]
async fn sources_of_one_kind_do_not_share_ids() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let order = r#"{"id":"o","customer":"c","status":"paid","total_cents":1,"currency":"EUR","items":[],"note":null,"placed_at":1}"#;
    let orders = write("orders.jsonl", format!("{order}\nno order\n").as_bytes());
    let settings = GeneratorSettings { passphrase: "test".to_owned(), seed: 1, start: 7, transactions_per_ledger: 1 };
    let ledger = Generator::new(settings).next().unwrap().xdr;
    let mark = (ledger.len() as u32 | 1 << 31).to_be_bytes();
    let ledgers = write("ledgers.xdr", &[&mark[..], &ledger].concat());
    let (orders_at, ledgers_at) = (orders.display(), ledgers.display());
    let cases = [
        ("generate", json!({"type": "example.order.v1", "count": 1}), "0".to_owned()),
        ("file", json!({"type": "example.order.v1", "path": orders}), format!("{orders_at}/1")),
        ("stellar-ledgers", json!({"generate": {"ledgers": 1}}), "1000".to_owned()),
        ("stellar-ledgers", json!({"path": ledgers}), format!("{ledgers_at}/0")),
    ];
    let bounds = Bounds { max_events: 10, max_bytes: 1 << 20, until: None };
    for (name, config, place) in cases {
        for id in ["first", "second"] {
            let mut node = node(name, Role::Source, config.clone(), vec![], vec![example_order()]);
            node.id = id.parse().unwrap();
            let mut source = source(&node, &pipeline()).unwrap();
            source.open(None).await.unwrap();
            let piece = source.next(&bounds).await.unwrap();
            assert_eq!(piece.batch.unwrap().ids.get(0), format!("{id}/{place}"), "{name}");
            if name == "file" {
                assert_eq!(piece.rejected[0].id, format!("{id}/{orders_at}/2"));
            }
        }
    }
}
