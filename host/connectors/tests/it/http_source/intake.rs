//! What is taken of requests, and what is answered.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use serde_json::json;

use super::client::{Client, JSON, LINES};
use super::{BOUNDS, Rig, show};

#[tokio::test]
async fn accepted_events_are_handed_over_in_order() {
    let rig = Rig::new(json!({}));
    let mut running = rig.open(None).await;
    let mut client = running.client().await;
    let requests = [
        (JSON, r#"{"x": 1}"#, 1),
        ("Application/JSON; charset=utf-8", r#" [{"x": 2}, {"name": "two", "x": 3}] "#, 2),
        (LINES, "{\"x\": 4}\r\n\n{\"x\": 5, \"name\": \"five\"}", 2),
        (JSON, "[]", 0),
        (LINES, "", 0),
    ];
    for (content_type, body, n_accepted) in requests {
        let reply = client.post(content_type, body).await;
        assert_eq!((reply.status, reply.body), (200, json!({ "accepted": n_accepted })), "{body}");
    }
    let (events, position) = running.take(5).await;
    expect![[r#"
        node/1 {"x":1,"name":null}
        node/2 {"x":2,"name":null}
        node/3 {"x":3,"name":"two"}
        node/4 {"x":4,"name":null}
        node/5 {"x":5,"name":"five"}"#]]
    .assert_eq(&events.join("\n"));
    assert_eq!((position, rig.n_spooled()), (b"5".to_vec(), 5));
}

#[tokio::test]
async fn the_answer_comes_after_the_commit() {
    let rig = Rig::new(json!({}));
    let running = rig.open(None).await;
    let mut client = running.client().await;
    let spool = rusqlite::Connection::open(rig.spool()).unwrap();
    for n_sent in 1..=50 {
        assert_eq!(client.post(JSON, r#"{"x": 1}"#).await.status, 200);
        let n_committed = spool.query_row("SELECT count(*) FROM events", (), |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(n_committed, n_sent);
    }
}

async fn check_refused(content_type: &str, body: &str, want: Expect) {
    let rig = Rig::new(json!({}));
    let mut running = rig.open(None).await;
    let mut client = running.client().await;
    let reply = client.post(content_type, body).await;
    assert_eq!(reply.status, 400);
    want.assert_eq(&serde_json::to_string_pretty(&reply.body).unwrap());
    assert_eq!(client.post(JSON, r#"{"x": 9}"#).await.status, 200);
    // the next event has the first number: nothing of the bad request was taken
    assert_eq!(running.take(1).await.0, [r#"node/1 {"x":9,"name":null}"#]);
}

#[tokio::test]
async fn one_bad_event_refuses_the_whole_array() {
    let body = r#"[{"x": 1}, {"x": -1}, {"x": 2}, {"y": 1}]"#;
    let want = expect![[r#"
        {
          "error": "invalid events: 2; nothing was taken",
          "invalid": [
            {
              "index": 1,
              "reason": "JSON is no valid `test.point.v1`: a `u32` is 0 to 4294967295 at byte 6 (`x`)"
            },
            {
              "index": 3,
              "reason": "JSON is no valid `test.point.v1`: unknown field `y`, there are `x`, `name` at byte 1"
            }
          ],
          "n_invalid": 2
        }"#]];
    check_refused(JSON, body, want).await;
}

#[tokio::test]
async fn a_bad_line_is_named_by_its_number() {
    let want = expect![[r#"
        {
          "error": "invalid events: 1; nothing was taken",
          "invalid": [
            {
              "line": 3,
              "reason": "JSON is no valid `test.point.v1`: expected an object, found `ocean`, which is no JSON at byte 0"
            }
          ],
          "n_invalid": 1
        }"#]];
    check_refused(LINES, "{\"x\": 1}\n\nocean\n{\"x\": 2}\n", want).await;
}

#[tokio::test]
async fn an_array_that_breaks_off_is_refused() {
    let want = expect![[r#"
        {
          "error": "the body is no JSON; nothing was taken",
          "invalid": [
            {
              "index": 1,
              "reason": "EOF while parsing an object at line 1 column 17"
            }
          ]
        }"#]];
    check_refused(JSON, r#"[{"x": 1}, {"x":1"#, want).await;
}

#[tokio::test]
async fn only_the_first_bad_events_are_listed() {
    let rig = Rig::new(json!({}));
    let running = rig.open(None).await;
    let reply = running.client().await.post(LINES, "bad\n".repeat(1_000)).await;
    assert_eq!(reply.body["n_invalid"], 1_000);
    assert_eq!(reply.body["invalid"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn bad_events_become_dead_letters_where_that_is_wished() {
    let rig = Rig::new(json!({ "on_invalid": "dead-letter" }));
    let mut running = rig.open(None).await;
    let mut client = running.client().await;
    let reply = client.post(LINES, "{\"x\": 1}\nocean\n{\"x\": 2}").await;
    expect![[r#"
        {
          "accepted": 2,
          "dead_lettered": 1,
          "invalid": [
            {
              "line": 2,
              "reason": "JSON is no valid `test.point.v1`: expected an object, found `ocean`, which is no JSON at byte 0"
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&reply.body).unwrap());
    assert_eq!(client.post(JSON, r#"{"y": "a"}"#).await.body["dead_lettered"], 1);
    // where one event ends and another begins cannot be told
    assert_eq!(client.post(JSON, r#"[{"x": 3}, "#).await.status, 400);
    assert_eq!(client.post(JSON, "ocean").await.status, 400);
    let piece = running.next(&BOUNDS).await;
    expect![[r#"
        node/1 {"x":1,"name":null}
        node/3 {"x":2,"name":null}
        node/2 refused: ocean (JSON is no valid `test.point.v1`: expected an object, found `ocean`, which is no JSON at byte 0)
        node/4 refused: {"y": "a"} (JSON is no valid `test.point.v1`: unknown field `y`, there are `x`, `name` at byte 1)"#]]
    .assert_eq(&show(&piece).join("\n"));
    assert_eq!(piece.position, b"4");
}

async fn post_with_key(client: &mut Client, key: &str, body: &str) -> (u16, serde_json::Value) {
    let reply = client.send("POST", "/", &[("content-type", JSON), ("Idempotency-Key", key)], body).await;
    (reply.status, reply.body)
}

#[tokio::test]
async fn a_request_with_a_known_key_is_not_taken_again() {
    let rig = Rig::new(json!({}));
    let running = rig.open(None).await;
    let mut client = running.client().await;
    assert_eq!(post_with_key(&mut client, "a", r#"[{"x": 1}]"#).await, (200, json!({ "accepted": 1 })));
    let repeated = (200, json!({ "accepted": 1, "repeated": true }));
    assert_eq!(post_with_key(&mut client, "a", r#"[{"x": 1}]"#).await, repeated);
    assert_eq!(post_with_key(&mut client, "a", r#"[{"x": 2}]"#).await.0, 422);
    assert_eq!(post_with_key(&mut client, "b", r#"[{"x": 2}]"#).await, (200, json!({ "accepted": 1 })));
    // a request that was refused may be mended
    assert_eq!(post_with_key(&mut client, "c", "[{}]").await.0, 400);
    assert_eq!(post_with_key(&mut client, "c", r#"[{"x": 3}]"#).await.0, 200);
    assert_eq!(post_with_key(&mut client, &"k".repeat(256), "[]").await.0, 400);
    drop((client, running));
    let mut running = rig.open(None).await;
    assert_eq!(post_with_key(&mut running.client().await, "a", r#"[{"x": 1}]"#).await, repeated);
    running.take(3).await;
    assert_eq!(rig.n_spooled(), 3);
}

#[tokio::test]
async fn no_more_keys_are_kept_than_allowed() {
    let rig = Rig::new(json!({ "idempotency_keys": 2 }));
    let running = rig.open(None).await;
    let mut client = running.client().await;
    for (key, is_new) in [("a", true), ("b", true), ("a", false), ("c", true), ("b", false), ("a", true)] {
        let (_, body) = post_with_key(&mut client, key, r#"{"x": 1}"#).await;
        assert_eq!(body["repeated"].is_null(), is_new, "{key}");
    }
}

#[tokio::test]
async fn keys_that_are_too_old_are_forgotten() {
    let rig = Rig::new(json!({ "idempotency_seconds": 0 }));
    let running = rig.open(None).await;
    let mut client = running.client().await;
    for _ in 0..3 {
        assert_eq!(post_with_key(&mut client, "a", r#"{"x": 1}"#).await, (200, json!({ "accepted": 1 })));
    }
}

#[tokio::test]
async fn clients_at_once_with_one_key_are_taken_once() {
    let rig = Rig::new(json!({}));
    let mut running = rig.open(None).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut client = running.client().await;
        tasks.spawn(async move { post_with_key(&mut client, "a", r#"{"x": 1}"#).await });
    }
    let replies = tasks.join_all().await;
    assert!(replies.iter().all(|(status, _)| *status == 200));
    assert_eq!(replies.iter().filter(|(_, body)| body["repeated"].is_null()).count(), 1);
    running.take(1).await;
    assert_eq!(rig.n_spooled(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_of_clients_at_once_is_there_once() {
    let rig = Rig::new(json!({}));
    let mut running = rig.open(None).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let mut client = running.client().await;
        tasks.spawn(async move {
            for request in 0..10 {
                let first = number * 100 + request * 10;
                let body: Vec<_> = (first..first + 10).map(|x| json!({ "x": x })).collect();
                assert_eq!(client.post(JSON, json!(body).to_string()).await.status, 200);
            }
        });
    }
    let (events, position) = running.take(5_000).await;
    tasks.join_all().await;
    let ids: Vec<&str> = events.iter().map(|event| event.split_once(' ').unwrap().0).collect();
    let want: Vec<String> = (1..=5_000).map(|number| format!("node/{number}")).collect();
    assert_eq!(ids, want);
    let found: BTreeSet<&str> = events.iter().map(|event| event.split_once(' ').unwrap().1).collect();
    let want: Vec<String> = (0..5_000).map(|x| format!(r#"{{"x":{x},"name":null}}"#)).collect();
    assert_eq!(found, want.iter().map(String::as_str).collect());
    // a request's events lie together, in their order
    for events in events.chunks(10) {
        let x = |event: &str| {
            serde_json::from_str::<serde_json::Value>(event.split_once(' ').unwrap().1).unwrap()["x"].as_u64().unwrap()
        };
        let first = x(&events[0]);
        assert!(first % 10 == 0 && events.iter().enumerate().all(|(index, event)| x(event) == first + index as u64));
    }
    assert_eq!(position, b"5000");
}
