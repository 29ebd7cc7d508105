//! Sinks write what they are given, and say what they cannot.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use flowctl_connectors::{dead_letter_file, dead_letters, sink};
use flowctl_runtime::{DeadLetter, Fault, LetterPayload};
use flowctl_schema::{Role, Schema};
use flowctl_types::{Batch, Columns, Ids};
use serde_json::json;

use crate::support::{ledger, node, pipeline, schema};

const WIT: &str = "package test:point@1.0.0; interface event { record point { x: u32 } }";

fn batch(kind: u32, payloads: &[&[u8]]) -> Arc<Batch> {
    let mut columns = Columns { kind, ..Columns::default() };
    payloads.iter().for_each(|payload| columns.push(0, payload));
    Arc::new(Batch::new(columns, Ids::numbered("test", 0)))
}

fn file_sink(path: &Path, append: Option<bool>, inputs: Vec<Schema>) -> Box<dyn flowctl_runtime::Sink> {
    let config = json!({ "path": path, "append": append });
    sink(&node("file", Role::Sink, config, inputs, vec![]), &pipeline()).unwrap()
}

#[tokio::test]
async fn events_of_one_type_are_lines_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    let mut sink = file_sink(&path, None, vec![schema(WIT)]);
    assert!(!path.exists(), "nothing is created before the sink is opened");
    assert_eq!(sink.open().await, Ok(None));
    let rejected = sink.write(&batch(0, &[&[1], &[], &[2], &[3, 3]])).await.unwrap();
    assert_eq!(rejected.iter().map(|rejection| rejection.index).collect::<Vec<_>>(), [1, 3]);
    assert!(rejected[0].reason.contains("test.point.v1"), "{}", rejected[0].reason);
    sink.flush(1).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"x\":1}\n{\"x\":2}\n");

    sink.write(&batch(0, &[&[4]])).await.unwrap();
    sink.rewind().await.unwrap();
    sink.write(&batch(0, &[&[5]])).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"x\":1}\n{\"x\":2}\n{\"x\":5}\n");
    assert!(matches!(sink.write(&batch(7, &[&[5]])).await, Err(Fault::Fatal(_))));
}

#[tokio::test]
async fn events_of_several_types_say_which() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    std::fs::write(&path, "old\n").unwrap();
    let mut sink = file_sink(&path, Some(false), vec![schema(WIT), ledger()]);
    sink.open().await.unwrap();
    sink.write(&batch(0, &[&[1]])).await.unwrap();
    sink.write(&batch(1, &[b"xdr"])).await.unwrap();
    sink.flush(1).await.unwrap();
    let want =
        "{\"type\":\"test.point.v1\",\"event\":{\"x\":1}}\n{\"type\":\"stellar.ledger.v1\",\"event\":\"eGRy\"}\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), want);
}

#[tokio::test]
async fn a_full_disk_may_be_tried_again_and_leaves_no_half_line() {
    let full = Path::new("/dev/full");
    assert!(full.metadata().unwrap().file_type().is_char_device());
    let mut sink = file_sink(full, None, vec![schema(WIT)]);
    sink.open().await.unwrap();
    let fault = sink.write(&batch(0, &[&[1]])).await.unwrap_err();
    assert!(matches!(&fault, Fault::Retry(reason) if reason.contains("`/dev/full`")), "{fault:?}");
}

#[tokio::test]
async fn stdout_and_blackhole_take_events() {
    for name in ["stdout", "blackhole"] {
        let mut sink = sink(&node(name, Role::Sink, json!({}), vec![schema(WIT)], vec![]), &pipeline()).unwrap();
        sink.open().await.unwrap();
        assert!(sink.write(&batch(0, &[&[1]])).await.unwrap().is_empty());
        sink.flush(1).await.unwrap();
    }
}

fn letter(id: &str) -> DeadLetter {
    DeadLetter {
        time: SystemTime::UNIX_EPOCH,
        node: "filter".parse().unwrap(),
        plugin: None,
        event_id: id.to_owned(),
        position: id.to_owned(),
        event_type: None,
        reason: "no\ngood".into(),
        attempts: 1,
        log_tail: String::new(),
        payload: LetterPayload::new(None, b"text"),
    }
}

#[tokio::test]
async fn dead_letters_are_lines_in_a_file_that_is_made_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/dead.jsonl");
    let mut sink = dead_letter_file(path.clone());
    sink.open().await.unwrap();
    sink.flush(1).await.unwrap();
    assert!(!path.exists());
    sink.write(&[letter("a/1"), letter("a/2")]).await.unwrap();
    sink.flush(1).await.unwrap();
    let mut sink =
        dead_letters(&node("file", Role::Sink, json!({ "path": path }), vec![], vec![]), &pipeline()).unwrap();
    sink.open().await.unwrap();
    sink.write(&[letter("a/3")]).await.unwrap();
    sink.flush(1).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let ids: Vec<_> =
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event_id"].clone()).collect();
    assert_eq!(ids, ["a/1", "a/2", "a/3"]);
}

#[tokio::test]
async fn any_sink_keeps_dead_letters_as_events_of_their_type() {
    let letters = schema(include_str!("../../../../wit/events/flowctl-dead-letter/event.wit"));
    let node = node("stdout", Role::Sink, json!({}), vec![letters], vec![]);
    let mut sink = dead_letters(&node, &pipeline()).unwrap();
    sink.open().await.unwrap();
    sink.write(&[letter("a/1")]).await.unwrap();
    sink.flush(1).await.unwrap();
}
