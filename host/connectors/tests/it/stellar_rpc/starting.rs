//! The first ledger, the last one, and the network.

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::support::drain;

async fn first_id(mut source: Box<dyn Source>) -> String {
    source.open(None).await.unwrap();
    ids(&read(&mut *source, &BOUNDS, 1).await).remove(0)
}

#[tokio::test]
async fn latest_is_the_default() {
    let (server, folder) = (server(10).await, tempfile::tempdir().unwrap());
    server.set_window(1_002..=1_007);
    let source = asking_for(&server, json!({"start": null}), &pipeline_in(folder.path(), "a"));
    assert_eq!(first_id(source).await, "node/1007");
}

#[tokio::test]
async fn oldest_is_what_the_server_still_has() {
    let (server, folder) = (server(10).await, tempfile::tempdir().unwrap());
    server.set_window(1_002..=1_007);
    let source = asking_for(&server, json!({"start": "oldest"}), &pipeline_in(folder.path(), "a"));
    assert_eq!(first_id(source).await, "node/1002");
}

#[tokio::test]
async fn servers_without_health_say_their_range_another_way() {
    let (server, folder) = (server(10).await, tempfile::tempdir().unwrap());
    server.set_window(1_002..=1_007);
    server.be_old();
    for (start, want) in [("latest", "node/1007"), ("oldest", "node/1002")] {
        let config = json!({"start": start, "network": NETWORK});
        let source = asking_for(&server, config, &pipeline_in(folder.path(), start));
        assert_eq!(first_id(source).await, want);
    }
}

#[tokio::test]
async fn a_pipeline_that_starts_again_without_a_checkpoint_starts_at_the_same_ledger() {
    let (server, folder) = (server(10).await, tempfile::tempdir().unwrap());
    for start in ["latest", "oldest"] {
        server.set_window(1_002..=1_006);
        let config = json!({"start": start});
        let first = first_id(asking_for(&server, config.clone(), &pipeline_in(folder.path(), "a"))).await;
        server.set_window(1_001..=1_009);
        let again = first_id(asking_for(&server, config.clone(), &pipeline_in(folder.path(), "a"))).await;
        assert_eq!(again, first);
        let anew = first_id(asking_for(&server, config, &pipeline_in(folder.path(), "b"))).await;
        assert_ne!(anew, first, "another state starts by itself");
    }
}

#[tokio::test]
async fn a_ledger_that_is_gone_is_told_with_the_remedy() {
    let server = server(20).await;
    server.set_window(1_010..=1_015);
    let message = failure(asking(&server, json!({})), None).await;
    let want = format!("`{}` does not have ledger 1000: it has those from 1010 to 1015. ", server.http().url());
    assert!(message.starts_with(&want), "{message}");
    for remedy in ["`url`", "`stellar-ledgers`", "`start: oldest`"] {
        assert!(message.contains(remedy), "{message}");
    }
    assert_eq!(server.calls("getLedgers").len(), 1, "asking again would not help");
}

#[tokio::test]
async fn ledgers_that_go_while_they_are_read_are_told() {
    let server = server(40).await;
    let mut source = asking(&server, json!({"limit": 5}));
    source.open(None).await.unwrap();
    let mut position = read(&mut *source, &BOUNDS, 5).await.pop().unwrap().position;
    server.set_window(1_030..=1_035);
    let fault = loop {
        match source.next(&BOUNDS).await {
            Ok(piece) => position = piece.position,
            Err(fault) => break fault.to_string(),
        }
    };
    let next = serde_json::from_slice::<Value>(&position).unwrap()["next"].clone();
    assert!(fault.contains(&format!("does not have ledger {next}: it has those from 1030 to 1035")), "{fault}");
}

#[tokio::test]
async fn a_ledger_that_has_not_closed_is_waited_for() {
    let server = server(20).await;
    server.set_window(1_000..=1_005);
    let mut source = asking(&server, json!({"start": "1010"}));
    source.open(None).await.unwrap();
    tokio::select! {
        piece = source.next(&BOUNDS) => panic!("there is no such ledger yet: {piece:?}"),
        () = server.http().was_asked(5) => {}
    }
    server.set_window(1_000..=1_010);
    assert_eq!(ids(&[source.next(&BOUNDS).await.unwrap()]), ["node/1010"]);
}

#[tokio::test]
async fn nothing_is_read_behind_the_last_ledger() {
    let (server, folder) = (server(10).await, tempfile::tempdir().unwrap());
    let pieces = drain(&mut *asking(&server, json!({"end": 1_000})), None, &BOUNDS).await.unwrap();
    assert_eq!(ids(&pieces), ["node/1000"]);
    let finished = pieces.last().unwrap().position.clone();
    let again = drain(&mut *asking(&server, json!({"end": 1_000})), Some(&finished), &BOUNDS).await.unwrap();
    assert!(ids(&again).is_empty());
    let config = json!({"start": "latest", "end": 1_003});
    let mut late = asking_for(&server, config, &pipeline_in(folder.path(), "a"));
    assert!(ids(&drain(&mut *late, None, &BOUNDS).await.unwrap()).is_empty());
}

#[tokio::test]
async fn the_network_is_what_is_configured_or_what_the_server_says() {
    let want = ledgers(1, 3);
    let server = server(3).await;
    let config = |network: Option<&str>| json!({"end": 1_002, "network": network});
    let pieces = drain(&mut *asking(&server, config(None)), None, &BOUNDS).await.unwrap();
    assert_ledgers(&pieces, &want, NETWORK);
    let message = failure(asking(&server, config(Some("testnet"))), None).await;
    assert!(message.ends_with(&format!("is of the network `{NETWORK}`, and `network` is `testnet`")), "{message}");

    server.be_old();
    let pieces = drain(&mut *asking(&server, config(Some("testnet"))), None, &BOUNDS).await.unwrap();
    assert_ledgers(&pieces, &want, "testnet");
    let message = failure(asking(&server, config(None)), None).await;
    assert!(message.ends_with("does not say which network it is of (method not found): set `network`"), "{message}");
}

#[tokio::test]
async fn a_position_that_cannot_be_read_is_refused() {
    let server = server(3).await;
    let fault = asking(&server, json!({})).open(Some(b"{}")).await.unwrap_err().to_string();
    assert!(fault.starts_with("`stellar-rpc` cannot read its stored position: missing field"), "{fault}");
}

#[expect(clippy::needless_pass_by_value, reason = "as expect-test has it")]
fn check(more: Value, want: Expect) {
    let mut config = json!({"url": "http://127.0.0.1:1"});
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    want.assert_eq(&source(&source_node("stellar-rpc", config), &pipeline()).err().unwrap().to_string());
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    check(
        json!({"url": "soroban-testnet.stellar.org"}),
        expect!["`url` of `stellar-rpc` is no URL: relative URL without a base; write `https://host/path`"],
    );
    check(
        json!({"start": "newest"}),
        expect!["`start` of `stellar-rpc` is `newest`: write `latest`, `oldest`, or a ledger's number"],
    );
    check(
        json!({"start": "7", "end": 6}),
        expect!["`end` of `stellar-rpc` is before `start`: there would be no ledger"],
    );
    check(json!({"limit": 0}), expect!["`limit` of `stellar-rpc` must be 1 to 200: ledgers in one answer"]);
    check(
        json!({"poll_interval": "5"}),
        expect!["`poll_interval` of `stellar-rpc` is no duration from 1ms to 1h: write `1s`"],
    );
    check(
        json!({"max_answer": "1B"}),
        expect!["`max_answer` of `stellar-rpc` is no size from 1KiB to 1GiB: write `64MiB`"],
    );
    check(
        json!({"network": " "}),
        expect!["`network` of `stellar-rpc` is empty: write `pubnet`, `testnet` or a passphrase, or leave it out"],
    );
    check(
        json!({"ca_file": "ca.pem"}),
        expect!["`ca_file` of `stellar-rpc` stands beside a `url` without TLS: write `https://`, or leave it out"],
    );
    check(
        json!({"url": "https://127.0.0.1:1", "ca_file": "missing.pem"}),
        expect!["`stellar-rpc` cannot read `missing.pem`"],
    );
    check(
        json!({"url": "https://127.0.0.1:1", "ca_file": "Cargo.toml"}),
        expect!["`ca_file` of `stellar-rpc` is `Cargo.toml`, which holds no certificate: it must be of PEM"],
    );
}
