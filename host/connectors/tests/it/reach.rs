//! What each connector says that it touches.

use std::collections::BTreeSet;
use std::path::Path;

use flowctl_connectors::{Reach, catalogue, reach};
use flowctl_schema::Role;
use flowctl_topology::Component;
use serde_json::{Value, json};

use crate::support::node;

/// One connector: its fields that name a place, its other fields, and configurations with
/// what they touch, a line each.
struct Case {
    role: Role,
    name: &'static str,
    places: &'static [&'static str],
    others: &'static [&'static str],
    touches: Vec<(Value, &'static str)>,
}

const SOURCE: Role = Role::Source;
const SINK: Role = Role::Sink;

fn cases() -> Vec<Case> {
    let case = |role, name, places, others, touches| Case { role, name, places, others, touches };
    vec![
        case(
            SOURCE,
            "file",
            &["path"],
            &["type"],
            vec![
                (json!({"path": "in/a.jsonl", "type": "a.b.v1"}), "reads /srv/t/in/a.jsonl"),
                (json!({"path": "in/*.jsonl", "type": "a.b.v1"}), "reads /srv/t/in"),
                (json!({"path": "/etc/../data/x[12]/y", "type": "a.b.v1"}), "reads /data"),
                (json!({"path": "../../etc/passwd", "type": "a.b.v1"}), "reads /etc/passwd"),
                (json!({"path": "in/*/../../../etc/*", "type": "a.b.v1"}), "reads /srv"),
            ],
        ),
        case(
            SOURCE,
            "generate",
            &[],
            &["type", "count", "rate", "seed", "size"],
            vec![(json!({"type": "a.b.v1"}), "")],
        ),
        case(
            SOURCE,
            "http",
            &["listen"],
            &[
                "type",
                "path",
                "token",
                "on_invalid",
                "max_body_bytes",
                "max_spool_bytes",
                "max_spool_events",
                "max_connections",
                "read_timeout_ms",
                "idempotency_keys",
                "idempotency_seconds",
            ],
            vec![
                (json!({"type": "a.b.v1"}), "listens 127.0.0.1:8081"),
                (json!({"type": "a.b.v1", "listen": "[::]:80", "token": "t"}), "listens [::]:80"),
            ],
        ),
        case(
            SOURCE,
            "stellar-ledgers",
            &["path"],
            &["network", "generate"],
            vec![
                (json!({"path": "ledgers/*.zst"}), "reads /srv/t/ledgers"),
                (json!({"path": "**/*.zst"}), "reads /srv/t"),
                (json!({"generate": {"ledgers": 1}}), ""),
            ],
        ),
        case(
            SOURCE,
            "stellar-rpc",
            &["url", "ca_file"],
            &["network", "start", "end", "limit", "poll_interval", "timeout", "max_answer", "give_up_after", "headers"],
            vec![
                (json!({"url": "https://RPC.example.org/key?x=1"}), "dials rpc.example.org:443"),
                (
                    json!({"url": "https://me:secret@[::1]:8000", "ca_file": "../ca.pem"}),
                    "reads /srv/ca.pem, dials [::1]:8000",
                ),
            ],
        ),
        case(SOURCE, "stdin", &[], &["type"], vec![(json!({"type": "a.b.v1"}), "stdio")]),
        case(SINK, "blackhole", &[], &[], vec![(json!({}), "")]),
        case(
            SINK,
            "file",
            &["path"],
            &["append"],
            vec![
                (json!({"path": "./out/*.jsonl"}), "writes /srv/t/out/*.jsonl"),
                (json!({"path": "/dev/../../etc/x"}), "writes /etc/x"),
            ],
        ),
        case(
            SINK,
            "http",
            &["url", "ca_file"],
            &["format", "max_events", "max_bytes", "timeout", "give_up_after", "headers"],
            vec![
                (json!({"url": "http://example.org/events"}), "dials example.org:80"),
                (json!({"url": "https://10.0.0.1", "ca_file": "/etc/ca"}), "reads /etc/ca, dials 10.0.0.1:443"),
            ],
        ),
        case(
            SINK,
            "postgres",
            &["url", "ca_file"],
            &["table", "schema", "mode", "key", "tls"],
            vec![
                (json!({}), ""),
                (json!({"url": "postgres://me:secret@DB.example/shop"}), "dials db.example:5432"),
                (json!({"url": "postgres://me:s@db:6432,[::1]:7/shop"}), "dials db:6432, dials [::1]:7"),
                (json!({"url": "postgres://a,b:7/shop?host=c"}), "dials a:5432, dials b:7, dials c:5432"),
                (json!({"url": "postgres://me@%2Frun%2Fpg:7/shop"}), "dials /run/pg/.s.PGSQL.7"),
                (json!({"url": "postgres://db:9/shop?hostaddr=10.0.0.9"}), "dials db:9, dials 10.0.0.9:9"),
                (
                    json!({"url": "postgres://db/shop?sslmode=verify-full&sslrootcert=..%2Fca.pem"}),
                    "reads /srv/ca.pem, dials db:5432",
                ),
                (json!({"url": "postgres://db/shop", "ca_file": "ca.pem"}), "reads /srv/t/ca.pem, dials db:5432"),
            ],
        ),
        case(
            SINK,
            "sqlite",
            &["path"],
            &["table", "mode", "key"],
            vec![(
                json!({"path": "../x.db"}),
                "writes /srv/x.db, writes /srv/x.db-journal, writes /srv/x.db-wal, writes /srv/x.db-shm",
            )],
        ),
        case(SINK, "stdout", &[], &[], vec![(json!({}), "stdio")]),
    ]
}

fn in_words(reach: &Reach) -> String {
    let Reach { reads, writes, dials, listens, uses_stdio } = reach;
    let mut words: Vec<String> = Vec::new();
    words.extend(reads.iter().map(|path| format!("reads {}", path.display())));
    words.extend(writes.iter().map(|path| format!("writes {}", path.display())));
    words.extend(dials.iter().map(|address| format!("dials {address}")));
    words.extend(listens.iter().map(|address| format!("listens {address}")));
    words.extend(uses_stdio.then(|| "stdio".to_owned()));
    words.join(", ")
}

#[test]
fn every_connector_says_what_it_touches() {
    let cases = cases();
    for entry in catalogue() {
        let case = cases.iter().find(|case| (case.role, case.name) == (entry.role, entry.name.as_str()));
        let case = case.unwrap_or_else(|| panic!("{} `{}` has no case here", entry.role, entry.name));
        let fields: BTreeSet<&str> =
            entry.config.iter().flat_map(|config| &config.fields).map(|field| field.name.as_str()).collect();
        let known: BTreeSet<&str> = case.places.iter().chain(case.others).copied().collect();
        assert_eq!(fields, known, "{} `{}`: does each field name a place, or none?", entry.role, entry.name);
        assert_eq!(case.places.is_empty(), case.touches.iter().all(|(_, words)| ["", "stdio"].contains(words)));
        for (config, want) in &case.touches {
            let node = node(case.name, case.role, config.clone(), vec![], vec![]);
            let found = in_words(&reach(&node, Some(Path::new("/srv/t"))));
            assert_eq!(found, *want, "{} `{}` with {config}", entry.role, entry.name);
        }
    }
    assert_eq!(cases.len(), catalogue().len());
}

#[test]
fn without_a_base_paths_start_where_the_process_is() {
    let node = node("file", SINK, json!({"path": "a/../b"}), vec![], vec![]);
    assert_eq!(reach(&node, None).writes, [std::env::current_dir().unwrap().join("b")]);
}

#[test]
fn what_cannot_be_made_touches_nothing() {
    for (role, name, config) in [
        (SINK, "kafka", json!({"path": "x"})),
        (SINK, "file", json!({"paht": "x"})),
        (SINK, "http", json!({"url": "ftp://example.org"})),
    ] {
        let node = node(name, role, config, vec![], vec![]);
        assert_eq!(reach(&node, None), Reach::default(), "{name}");
        assert!(flowctl_connectors::sink(&node, &crate::support::pipeline()).is_err(), "{name}");
    }
}

#[test]
fn a_plugin_by_a_connectors_name_is_no_connector() {
    let mut node = node("stdout", SINK, json!({}), vec![], vec![]);
    let names: [Component; 3] = [
        Component::Remote { id: "stdout".to_owned(), endpoint: "Node-1:50051".to_owned() },
        Component::Command { argv: vec!["stdout".to_owned()], env: Vec::new(), shown_argv: vec!["stdout".to_owned()] },
        Component::Plugin {
            name: "stdout".to_owned(),
            version: None,
            path: "stdout.wasm".into(),
            digest: flowctl_types::Digest::of(b""),
        },
    ];
    for (component, touches) in names.into_iter().zip(["dials node-1:50051", "", ""]) {
        node.component = component;
        assert_eq!(in_words(&reach(&node, None)), touches);
        assert!(flowctl_connectors::sink(&node, &crate::support::pipeline()).is_err());
    }
}
