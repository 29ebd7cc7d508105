//! What the source does about servers that fail, and what it says of those that stay so.

use flowctl_test_support::http_server::{HttpServer, Reply};
use flowctl_test_support::rpc_server::{RpcFault, RpcServer};
use serde_json::json;

use super::*;
use crate::support::drain;

fn answer(status: u16, headers: &[(&'static str, &str)]) -> RpcFault {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    RpcFault::Reply(Reply::Answer { status, headers, body: b"busy".to_vec() })
}

fn words(body: &str) -> RpcFault {
    RpcFault::Reply(Reply::new(200, body))
}

#[tokio::test]
async fn every_ledger_comes_once_and_in_order_through_every_fault() {
    let want = ledgers(1, 60);
    let server = server(60).await;
    let faults = [
        RpcFault::Half,
        RpcFault::Gap(0),
        answer(429, &[("Retry-After", "0")]),
        RpcFault::Gap(2),
        RpcFault::Empty,
        RpcFault::Reply(Reply::Silence),
        RpcFault::Renumbered(1),
        RpcFault::CutOff(0),
        RpcFault::CutOff(1),
        answer(500, &[]),
        RpcFault::Reply(Reply::Close),
        words("<html>back soon</html>"),
        answer(503, &[]),
        words("null"),
        words(r#"{"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "database is locked"}}"#),
        words(r#"{"jsonrpc": "2.0", "id": 1, "result": {"ledgers": [{"sequence": "1"}]}}"#),
        RpcFault::Gap(1),
    ];
    server.fail(faults.into_iter().flat_map(|fault| [fault, RpcFault::None]));
    let mut source = asking(&server, json!({"end": 1_059, "limit": 3, "timeout": "300ms"}));
    let pieces = drain(&mut *source, None, &BOUNDS).await.unwrap();
    assert_ledgers(&pieces, &want, NETWORK);
    assert!(server.calls("getLedgers").len() >= 2 * 17);
}

#[tokio::test]
async fn a_ledger_that_stays_missing_is_named() {
    let server = server(10).await;
    server.fail_for_good(RpcFault::Gap(0));
    let message = failure(asking(&server, json!({})), None).await;
    assert!(message.contains("ledger 1000 is missing: ledger 1001 came in its place (asked 6 times)"), "{message}");
    assert!(message.contains("`stellar-ledgers`"), "{message}");
    assert_eq!(server.calls("getLedgers").len(), 6);
}

#[tokio::test]
async fn a_ledger_under_the_number_of_another_is_refused() {
    let server = server(10).await;
    server.fail_for_good(RpcFault::Renumbered(0));
    let message = failure(asking(&server, json!({})), None).await;
    assert!(message.contains("ledger 1001 was given out under its number"), "{message}");
}

#[tokio::test]
async fn a_ledger_that_does_not_follow_the_one_before_is_refused() {
    let [ours, others] = [1, 2].map(|seed| ledgers(seed, 10));
    let mixed = [&ours[..5], &others[5..]].concat();
    let server = RpcServer::start(mixed, NETWORK).await;
    let message = failure(asking(&server, json!({})), None).await;
    assert!(message.contains("ledger 1005 follows a ledger of hash"), "{message}");
    assert!(message.contains("of another network, or the network was reset"), "{message}");
}

#[tokio::test]
async fn a_position_of_another_chain_is_refused() {
    let [first, second] = [1, 2].map(|seed| RpcServer::start(ledgers(seed, 10), NETWORK));
    let (first, second) = (first.await, second.await);
    let mut source = asking(&first, json!({}));
    source.open(None).await.unwrap();
    let pieces = read(&mut *source, &Bounds { max_events: 4, ..BOUNDS }, 4).await;
    let message = failure(asking(&second, json!({})), Some(&pieces[0].position)).await;
    assert!(message.contains("ledger 1004 follows a ledger of hash"), "{message}");
}

#[tokio::test]
async fn a_server_that_stays_down_ends_the_source_after_a_while() {
    let server = server(10).await;
    server.fail_for_good(answer(503, &[]));
    let message = failure(asking(&server, json!({"give_up_after": "400ms"})), None).await;
    assert!(
        message.contains("times in a row") && message.contains("answered 503 Service Unavailable: busy"),
        "{message}"
    );
    assert!(server.calls("getLedgers").len() > 1);
}

#[tokio::test]
async fn nobody_there_is_told() {
    let closed = HttpServer::start(|_| Reply::Close).await.address();
    let config = json!({"url": format!("http://{closed}"), "give_up_after": "0"});
    let message = failure(source(&source_node("stellar-rpc", config), &pipeline()).unwrap(), None).await;
    assert!(message.contains("cannot connect: "), "{message}");
}

#[tokio::test]
async fn a_busy_server_is_left_alone_as_long_as_it_asks() {
    let server = server(3).await;
    server.fail([answer(429, &[("retry-after", "1")])]);
    let mut source = asking(&server, json!({"end": 1_002}));
    drain(&mut *source, None, &BOUNDS).await.unwrap();
    let asked: Vec<_> = server.http().requests().into_iter().map(|request| request.came_at).collect();
    let [.., refused, repeated] = asked[..] else { panic!("asked {} times", asked.len()) };
    assert!(repeated - refused >= std::time::Duration::from_secs(1));
}

#[tokio::test]
async fn what_will_not_change_ends_the_source_at_once_without_secrets() {
    let check = async |status: u16, headers: Vec<(&'static str, String)>, wants: &[&str]| {
        let body = b"no key s3cret-token for /v1/0123456789abcdef\x07".to_vec();
        let http =
            HttpServer::start(move |_| Reply::Answer { status, headers: headers.clone(), body: body.clone() }).await;
        let url = format!("http://me:opensesame@{}/v1/0123456789abcdef?key=s3cret", http.address());
        let headers = json!([{"name": "X-Api-Key", "value": "s3cret-token"}]);
        let node = source_node("stellar-rpc", json!({"url": url, "headers": headers, "network": "testnet"}));
        let message = failure(source(&node, &pipeline()).unwrap(), None).await;
        for want in wants.iter().chain(&[&*format!("`http://{}/v1/…`", http.address())]) {
            assert!(message.contains(want), "{message}");
        }
        for secret in ["s3cret", "opensesame", "0123456789abcdef", "\x07"] {
            assert!(!message.contains(secret), "{message}");
        }
        let request = &http.requests()[0];
        assert_eq!(request.header("x-api-key"), Some("s3cret-token"));
        assert_eq!(request.header("authorization"), Some("Basic bWU6b3BlbnNlc2FtZQ=="));
        assert_eq!(http.requests().len(), 1);
    };
    check(401, vec![], &["answered 401 Unauthorized: no key … for /v1/…"]).await;
    check(404, vec![], &["answered 404 Not Found"]).await;
    let location = |at: &str| vec![("Location", at.to_owned())];
    check(
        301,
        location("https://me:s3cret@new.example.org/rpc?key=s3cret"),
        &["it is at `https://new.example.org/rpc` now"],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_know_ledgers_is_told() {
    let refusal = r#"{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "method not found"}}"#;
    let http = HttpServer::start(move |_| Reply::new(200, refusal)).await;
    let node = source_node("stellar-rpc", json!({"url": http.url(), "network": "testnet", "start": "7"}));
    let message = failure(source(&node, &pipeline()).unwrap(), None).await;
    assert!(message.contains("is no Stellar RPC server of version 22.1 or later: method not found"), "{message}");
}

#[tokio::test]
async fn answers_that_are_too_large_are_asked_for_in_parts() {
    let want = ledgers(1, 20);
    let server = server(20).await;
    let largest = want.iter().map(|ledger| ledger.xdr.len() * 4 / 3).max().unwrap();
    let max_answer = (largest * 3).to_string();
    let mut source = asking(&server, json!({"end": 1_019, "max_answer": max_answer}));
    assert_ledgers(&drain(&mut *source, None, &BOUNDS).await.unwrap(), &want, NETWORK);
    let limits: Vec<_> = server.calls("getLedgers").iter().map(|call| call["pagination"]["limit"].clone()).collect();
    assert_eq!(limits[..3], [10, 5, 2]);

    let message = failure(asking(&server, json!({"max_answer": "1KiB"})), None).await;
    assert!(message.contains("has ledger 1000, which alone is larger than `max_answer`: raise it"), "{message}");
}

#[tokio::test]
async fn a_server_that_gives_fewer_ledgers_at_once_is_asked_for_fewer() {
    let want = ledgers(1, 20);
    let server = server(20).await;
    server.set_max_limit(6);
    let mut source = asking(&server, json!({"end": 1_019}));
    assert_ledgers(&drain(&mut *source, None, &BOUNDS).await.unwrap(), &want, NETWORK);
    assert_eq!(server.calls("getLedgers").len(), 1 + 4);
}

#[tokio::test]
async fn ledgers_that_were_not_asked_for_are_left() {
    let want = ledgers(1, 20);
    let server = server(20).await;
    server.fail_for_good(RpcFault::Generous);
    let mut source = asking(&server, json!({"end": 1_012, "limit": 5}));
    assert_ledgers(&drain(&mut *source, None, &BOUNDS).await.unwrap(), &want[..13], NETWORK);
}

#[tokio::test]
async fn a_call_that_is_given_up_loses_nothing() {
    use std::task::{Context, Waker};
    let want = ledgers(1, 30);
    let server = server(30).await;
    server.fail([RpcFault::Half, RpcFault::Gap(1)]);
    let mut source = asking(&server, json!({"end": 1_029, "limit": 3}));
    source.open(None).await.unwrap();
    let bounds = Bounds { max_events: 2, ..BOUNDS };
    let mut pieces: Vec<Piece> = Vec::new();
    while !pieces.last().is_some_and(|piece| piece.is_finished) {
        let mut call = source.next(&bounds);
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(piece) => pieces.push(piece.unwrap()),
            std::task::Poll::Pending => {
                drop(call);
                tokio::task::yield_now().await;
            }
        }
    }
    assert_ledgers(&pieces, &want, NETWORK);
}
