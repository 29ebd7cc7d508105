//! What is asked of clients, and what they cannot do.

use std::time::Duration;

use flowctl_runtime::Fault;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{Client, JSON, LINES, head};
use super::{PATIENCE, Rig};

/// Method, path, headers and body, and the status that is answered.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16);

#[tokio::test]
async fn what_is_no_request_for_events_is_refused_by_its_own_status() {
    let rig = Rig::new(json!({ "path": "/orders", "max_body_bytes": 100, "token": "secret" }));
    let mut running = rig.open(None).await;
    let auth = ("authorization", "Bearer secret");
    let json = ("content-type", JSON);
    let big = "x".repeat(101);
    let cases: [Case<'_>; 14] = [
        ("POST", "/orders", &[auth, json], r#"{"x": 1}"#, 200),
        ("POST", "/orders", &[("authorization", "bearer  secret"), json], "[]", 200),
        ("POST", "/orders", &[json], "[]", 401),
        ("POST", "/orders", &[("authorization", "Bearer secrets"), json], "[]", 401),
        ("POST", "/orders", &[("authorization", "Basic secret"), json], "[]", 401),
        ("POST", "/orders", &[auth], "[]", 415),
        ("POST", "/orders", &[auth, ("content-type", "text/plain")], "[]", 415),
        ("POST", "/orders", &[auth, json, ("content-encoding", "gzip")], "[]", 415),
        ("POST", "/orders", &[auth, json], &big, 413),
        ("GET", "/orders", &[auth], "", 405),
        ("DELETE", "/orders", &[], "", 405),
        ("POST", "/", &[auth, json], "[]", 404),
        ("GET", "/healthz", &[], "", 200),
        ("POST", "/healthz", &[], "", 405),
    ];
    for (method, path, headers, body, status) in cases {
        let reply = running.client().await.send(method, path, headers, body).await;
        assert_eq!(reply.status, status, "{method} {path} {headers:?}: {}", reply.body);
        assert_eq!(reply.header("content-type"), Some(JSON));
        assert_eq!(reply.body["error"].is_string(), status != 200);
    }
    let reply = running.client().await.send("GET", "/orders", &[], "").await;
    assert_eq!(reply.header("allow"), Some("POST"));
    assert_eq!(running.take(1).await.0.len(), 1);
    assert_eq!(rig.n_spooled(), 1);
}

#[tokio::test]
async fn a_body_of_no_told_length_is_cut_at_the_limit() {
    let rig = Rig::new(json!({ "max_body_bytes": 100 }));
    let mut running = rig.open(None).await;
    for (n_chunks, status) in [(5, 200), (6, 413), (60, 413)] {
        let mut client = running.client().await;
        client.write(head("POST", "/", &[("content-type", LINES), ("transfer-encoding", "chunked")])).await;
        for _ in 0..n_chunks {
            client.write(format!("14\r\n{:<19}\n\r\n", r#"{"x": 1}"#)).await;
        }
        client.write("0\r\n\r\n").await;
        assert_eq!(client.reply().await.unwrap().status, status, "{n_chunks} chunks");
    }
    assert_eq!(running.take(5).await.0.len(), 5);
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_before_it_sends() {
    let rig = Rig::new(json!({ "max_body_bytes": 100 }));
    let running = rig.open(None).await;
    let mut client = running.client().await;
    let headers = [("content-type", JSON), ("content-length", "101"), ("expect", "100-continue")];
    client.write(head("POST", "/", &headers)).await;
    assert_eq!(client.reply().await.unwrap().status, 413);
}

#[tokio::test]
async fn slow_clients_are_cut_off() {
    let rig = Rig::new(json!({ "read_timeout_ms": 100 }));
    let running = rig.open(None).await;
    let mut body = running.client().await;
    body.write(head("POST", "/", &[("content-type", JSON), ("content-length", "10")]) + "{").await;
    let reply = timeout(PATIENCE, body.reply()).await.unwrap().unwrap();
    assert_eq!(reply.status, 408);
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let mut client = running.client().await;
    client.write("POST / HTTP/1.1\r\nhost:").await;
    assert!(timeout(PATIENCE, client.reply()).await.unwrap().is_none_or(|reply| reply.status == 408));
    assert_eq!(timeout(PATIENCE, silent.read(&mut [0; 64])).await.unwrap().unwrap_or(0), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_nothing() {
    let rig = Rig::new(json!({}));
    let mut running = rig.open(None).await;
    let mut client = running.client().await;
    client.write(head("POST", "/", &[("content-type", LINES), ("content-length", "100")]) + "{\"x\": 1}\n").await;
    drop(client);
    assert_eq!(running.client().await.post(JSON, r#"{"x": 2}"#).await.status, 200);
    assert_eq!(running.take(1).await.0, [r#"node/1 {"x":2,"name":null}"#]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_under_way_are_bounded_together() {
    let rig = Rig::new(json!({}));
    let running = rig.open(None).await;
    let mut client = running.client().await;
    let crowd = async {
        loop {
            // four bodies, each of which lacks one byte, leave four bytes
            let mut waiting = JoinSet::new();
            for _ in 0..4 {
                let mut client = running.client().await;
                let length = (16 << 20).to_string();
                waiting.spawn(async move {
                    client.write(head("POST", "/", &[("content-type", JSON), ("content-length", &length)])).await;
                    client.write(vec![b' '; (16 << 20) - 1]).await;
                    client.reply().await
                });
            }
            // one of them may find no room beside this one: once more, then
            while waiting.try_join_next().is_none() {
                let reply = client.post(JSON, "[   ]").await;
                if reply.status == 429 {
                    assert_eq!(reply.header("retry-after"), Some("1"));
                    return;
                }
            }
        }
    };
    timeout(PATIENCE, crowd).await.unwrap();
    let free = async { while client.post(JSON, "[   ]").await.status != 200 {} };
    timeout(PATIENCE, free).await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let rig = Rig::new(json!({ "max_connections": 1 }));
    let running = rig.open(None).await;
    let mut first = running.client().await;
    assert_eq!(first.send("GET", "/healthz", &[], "").await.status, 200);
    let mut second = running.client().await;
    second.write(head("GET", "/healthz", &[])).await;
    assert!(timeout(Duration::from_millis(100), second.reply()).await.is_err());
    drop(first);
    assert_eq!(timeout(PATIENCE, second.reply()).await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn a_source_that_is_dropped_answers_what_is_under_way_and_frees_its_port() {
    let mut rig = Rig::new(json!({}));
    let running = rig.open(None).await;
    let mut accepted = running.client().await;
    assert_eq!(accepted.post(JSON, r#"{"x": 1}"#).await.status, 200);
    let mut client = running.client().await;
    client.write(head("POST", "/", &[("content-type", JSON), ("content-length", "8")]) + "{").await;
    // the server has it when it has answered a later one
    assert_eq!(running.client().await.send("GET", "/healthz", &[], "").await.status, 200);
    rig.config["listen"] = json!(running.address);
    drop(running);
    let reply = timeout(PATIENCE, client.reply()).await.unwrap().unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    // a connection that is kept open is closed
    assert_eq!(timeout(PATIENCE, accepted.reply()).await.unwrap(), None);
    let mut again = rig.open(None).await;
    assert_eq!(again.take(1).await.0, [r#"node/1 {"x":1,"name":null}"#]);
    assert_eq!(Client::connect(again.address).await.post(JSON, "[]").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_busy_port_is_waited_for_and_then_named() {
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap();
    let mut rig = Rig::new(json!({}));
    rig.config["listen"] = json!(address);
    let mut source = rig.source();
    let message = format!(
        "`node` cannot listen at {address}: Address already in use (os error 98); stop what listens there, or set `listen` to another port"
    );
    assert_eq!(source.open(None).await, Err(Fault::Retry(message.clone())));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(source.open(None).await, Err(Fault::Retry(message.clone())));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(source.open(None).await, Err(Fault::Fatal(message)));
}
