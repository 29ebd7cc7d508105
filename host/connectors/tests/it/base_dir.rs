//! Relative paths of a configuration start where the pipeline says, and ids and positions
//! have them as they are written.

use std::path::Path;

use flowctl_connectors::{Pipeline, dead_letters, sink, source};
use flowctl_runtime::{Bounds, Piece, Source};
use flowctl_schema::Role;
use serde_json::{Value, json};

use crate::support::{drain, example_order, ledger, node, pipeline};

const ORDER: &str = r#"{"id":"o","customer":"c","status":"paid","total_cents":1,"currency":"EUR","items":[],"note":null,"placed_at":1}"#;
const BOUNDS: Bounds = Bounds { max_events: 1, max_bytes: 1 << 20, until: None };

fn below(base: &Path) -> Pipeline {
    Pipeline { base_dir: Some(base.to_owned()), ..pipeline() }
}

fn made(name: &str, config: Value, base: &Path) -> Box<dyn Source> {
    let schema = if name == "file" { example_order() } else { ledger() };
    source(&node(name, Role::Source, config, vec![], vec![schema]), &below(base)).unwrap()
}

fn ids(pieces: &[Piece]) -> Vec<String> {
    pieces.iter().filter_map(|piece| piece.batch.as_ref()).map(|batch| batch.ids.get(0)).collect()
}

#[tokio::test]
async fn sources_read_below_the_base_and_name_files_as_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("orders")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("orders/a.jsonl", format!("{ORDER}\n{ORDER}\n").as_bytes());
    write("orders/b.jsonl", format!("{ORDER}\n").as_bytes());
    let config = json!({"path": "orders/*.jsonl", "type": "example.order.v1"});
    let pieces = drain(&mut *made("file", config.clone(), folder.path()), None, &BOUNDS).await.unwrap();
    assert_eq!(ids(&pieces), ["node/orders/a.jsonl/1", "node/orders/a.jsonl/2", "node/orders/b.jsonl/1"]);
    let position: Value = serde_json::from_slice(&pieces[0].position).unwrap();
    assert_eq!(position["file"], "orders/a.jsonl");
    let rest = drain(&mut *made("file", config, folder.path()), Some(&pieces[0].position), &BOUNDS).await.unwrap();
    assert_eq!(ids(&rest), ["node/orders/a.jsonl/2", "node/orders/b.jsonl/1"]);
    let config = json!({"path": "../elsewhere/./../orders/b.jsonl", "type": "example.order.v1"});
    let pieces = drain(&mut *made("file", config, &folder.path().join("base")), None, &BOUNDS).await.unwrap();
    assert_eq!(ids(&pieces), ["node/../elsewhere/./../orders/b.jsonl/1"]);
}

#[tokio::test]
async fn ledgers_are_read_below_the_base_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let made_up = flowctl_connectors::GeneratorSettings {
        passphrase: "test".to_owned(),
        seed: 1,
        start: 7,
        transactions_per_ledger: 1,
    };
    let mut bytes = Vec::new();
    for ledger in flowctl_connectors::Generator::new(made_up).take(2) {
        bytes.extend_from_slice(&(ledger.xdr.len() as u32 | 1 << 31).to_be_bytes());
        bytes.extend_from_slice(&ledger.xdr);
    }
    std::fs::write(folder.path().join("l.xdr"), bytes).unwrap();
    for path in ["l.xdr", "*.xdr"] {
        let config = json!({ "path": path });
        let mut first = made("stellar-ledgers", config.clone(), folder.path());
        let pieces = drain(&mut *first, None, &BOUNDS).await.unwrap();
        assert_eq!(ids(&pieces)[0], "node/l.xdr/0");
        let mut again = made("stellar-ledgers", config, folder.path());
        let rest = drain(&mut *again, Some(&pieces[0].position), &BOUNDS).await.unwrap();
        assert_eq!(ids(&rest), &ids(&pieces)[1..]);
    }
}

#[tokio::test]
async fn sinks_write_below_the_base() {
    let folder = tempfile::tempdir().unwrap();
    let sinks = [("file", json!({"path": "out.jsonl"})), ("sqlite", json!({"path": "../out.db"}))];
    let base = folder.path().join("base");
    std::fs::create_dir(&base).unwrap();
    for (name, config) in sinks {
        let node = node(name, Role::Sink, config, vec![example_order()], vec![]);
        sink(&node, &below(&base)).unwrap().open().await.unwrap();
    }
    let letters = node("file", Role::Sink, json!({"path": "letters.jsonl", "append": false}), vec![], vec![]);
    dead_letters(&letters, &below(&base)).unwrap().open().await.unwrap();
    let there = |path: &str| folder.path().join(path).is_file();
    assert!(there("base/out.jsonl") && there("out.db") && there("base/letters.jsonl"));
}

#[test]
fn certificates_are_looked_for_below_the_base() {
    let folder = tempfile::tempdir().unwrap();
    let url = "https://localhost:1";
    let database = "postgres://me@localhost/shop?sslmode=verify-full&sslrootcert=in%2Fca.pem";
    let nodes = [
        ("stellar-rpc", Role::Source, json!({"url": url, "ca_file": "in/ca.pem"})),
        ("http", Role::Sink, json!({"url": url, "ca_file": "in/ca.pem"})),
        ("postgres", Role::Sink, json!({"url": "postgres://me@localhost/shop", "ca_file": "in/ca.pem"})),
        ("postgres", Role::Sink, json!({ "url": database })),
    ];
    for (name, role, config) in nodes {
        let node = node(name, role, config, vec![], vec![]);
        let error = match role {
            Role::Source => source(&node, &below(folder.path())).err(),
            _ => sink(&node, &below(folder.path())).err(),
        };
        let want = format!("`{name}` cannot read `{}`", folder.path().join("in/ca.pem").display());
        assert_eq!(error.map(|error| error.to_string()), Some(want));
    }
}
