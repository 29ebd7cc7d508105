//! What becomes of a spool that is damaged, lost, held, or of another type.

use expect_test::{Expect, expect};
use flowctl_runtime::{Bounds, Fault};
use serde_json::json;

use super::client::{JSON, LINES};
use super::{BOUNDS, Rig};
use crate::support::schema;

#[tokio::test]
async fn a_file_that_is_no_spool_is_named_with_the_remedy() {
    async fn check(make: impl FnOnce(&std::path::Path), want: Expect) {
        let rig = Rig::new(json!({}));
        std::fs::create_dir_all(rig.node_dir()).unwrap();
        make(&rig.spool());
        want.assert_eq(&rig.open_error().await);
    }
    let noise = |path: &std::path::Path| std::fs::write(path, "noise ".repeat(1_000)).unwrap();
    check(noise, expect!["`STATE/nodes/node/spool.sqlite` is damaged: file is not a database; to start with an empty spool, move the file away, with the events that were accepted and not yet taken"]).await;
    let other = |path: &std::path::Path| {
        rusqlite::Connection::open(path).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    };
    check(other, expect!["`STATE/nodes/node/spool.sqlite` is no spool that can be read: it is a database of something else; move it away to start with an empty one"]).await;
    let folder = |path: &std::path::Path| std::fs::create_dir(path).unwrap();
    check(folder, expect!["cannot write `STATE/nodes/node/spool.sqlite`: unable to open database file: STATE/nodes/node/spool.sqlite; the pipeline's state directory must be one that flowctl can write to"]).await;
}

#[tokio::test]
async fn a_spool_of_a_later_version_is_left_alone() {
    let rig = Rig::new(json!({}));
    drop(rig.open(None).await);
    rusqlite::Connection::open(rig.spool()).unwrap().pragma_update(None, "user_version", 2).unwrap();
    expect!["`STATE/nodes/node/spool.sqlite` is no spool that can be read: its tables are of version 2, this build reads 1; move it away to start with an empty one"].assert_eq(&rig.open_error().await);
}

#[tokio::test]
async fn damage_that_is_met_later_ends_the_source_with_the_file_named() {
    let rig = Rig::new(json!({}));
    let running = rig.open(None).await;
    let lines: String =
        (0..20_000).map(|x| format!("{{\"x\": {x}, \"name\": \"some text to fill pages\"}}\n")).collect();
    assert_eq!(running.client().await.post(LINES, lines).await.status, 200);
    drop(running);
    // everything lies in the database then, nothing in its log
    let spool = rusqlite::Connection::open(rig.spool()).unwrap();
    spool.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
    drop(spool);
    let mut bytes = std::fs::read(rig.spool()).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 8192].fill(0xff);
    std::fs::write(rig.spool(), bytes).unwrap();
    let fault = match rig.try_open(None).await {
        Err(fault) => fault,
        Ok(mut running) => loop {
            if let Err(fault) = running.source.next(&BOUNDS).await {
                break fault;
            }
        },
    };
    let Fault::Fatal(text) = fault else { panic!("not fatal: {fault}") };
    assert!(text.contains("nodes/node/spool.sqlite` is damaged: database disk image is malformed"), "{text}");
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_is_named() {
    let rig = Rig::new(json!({}));
    std::fs::write(rig.state.join("nodes"), "in the way").unwrap();
    expect!["cannot create `STATE/nodes/node`: Not a directory (os error 20); the pipeline's state directory must be one that flowctl can write to"].assert_eq(&rig.open_error().await);
}

#[tokio::test]
async fn a_second_source_on_the_same_spool_has_to_wait() {
    let rig = Rig::new(json!({}));
    let first = rig.open(None).await;
    let Err(Fault::Retry(text)) = rig.source().open(None).await else { panic!("two sources on one spool") };
    assert!(text.ends_with("spool.lock` is held by another source: is this pipeline running twice?"), "{text}");
    drop(first);
    rig.open(None).await;
}

#[tokio::test]
async fn a_lost_spool_uses_no_number_again() {
    let rig = Rig::new(json!({}));
    let mut first = rig.open(None).await;
    first.client().await.post(LINES, "{\"x\": 1}\n".repeat(10)).await;
    let (_, position) = first.take(10).await;
    drop(first);
    // the lock goes with the last connection
    drop(rig.open(None).await);
    std::fs::remove_dir_all(rig.node_dir()).unwrap();
    let mut second = rig.open(Some(&position)).await;
    second.client().await.post(JSON, r#"{"x": 2}"#).await;
    assert_eq!(second.take(1).await.0, [r#"node/11 {"x":2,"name":null}"#]);
    drop(second);
    // and that is remembered
    assert_eq!(rig.open(None).await.take(1).await.0, [r#"node/11 {"x":2,"name":null}"#]);
}

#[tokio::test]
async fn a_replay_of_events_that_are_gone_is_refused() {
    async fn check(rig: &Rig, position: &[u8], until: &[u8], want: Expect) {
        let mut running = rig.open(Some(position)).await;
        // what comes by now is not what was there then
        running.client().await.post(LINES, "{\"x\": 1}\n".repeat(5)).await;
        let bounds = Bounds { until: Some(until.to_vec()), ..BOUNDS };
        let Fault::Fatal(text) = running.source.next(&bounds).await.unwrap_err() else { panic!("not fatal") };
        want.assert_eq(&text);
    }
    let rig = Rig::new(json!({}));
    check(&rig, b"0", b"3", expect!["the spool of `node` lacks events 1 to 3, which a checkpoint is to repeat: it was moved away or comes from an older copy; start the pipeline with `--fresh`"]).await;
    let mut running = rig.open(Some(b"0")).await;
    running.source.ack(b"4").await.unwrap();
    running.client().await.post(JSON, "[]").await;
    drop(running);
    check(&rig, b"1", b"3", expect!["the spool of `node` lacks events 2 to 3, which a checkpoint is to repeat: it was moved away or comes from an older copy; start the pipeline with `--fresh`"]).await;
}

#[tokio::test]
async fn events_of_another_structure_are_not_read_as_this_one() {
    let mut rig = Rig::new(json!({}));
    let mut running = rig.open(None).await;
    running.client().await.post(JSON, r#"{"x": 1}"#).await;
    let (_, position) = running.take(1).await;
    drop(running);
    rig.schema = schema(
        "package test:point@1.1.0; interface event { record point { x: u32, name: option<string>, y: option<u8> } }",
    );
    expect!["`STATE/nodes/node/spool.sqlite` holds 1 events that were accepted as `test.point.v1` in another structure than it has by now: run the pipeline as it was until they are taken, or move the file away, with them"].assert_eq(&rig.open_error().await);
    // once they are taken it is no matter any more
    let running = rig.open(Some(&position)).await;
    assert_eq!(running.client().await.post(JSON, r#"{"x": 1, "y": 2}"#).await.status, 200);
}
