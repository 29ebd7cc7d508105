//! What a request is: its events, their layout, its headers.

use expect_test::{Expect, expect};

use super::*;
use crate::support::ledger;

#[tokio::test]
async fn events_are_posted_in_order_as_lines() {
    let server = server([]).await;
    let headers = json!([{"name": "X-Tenant", "value": "acme"}]);
    let mut sink = posting(&server.url(), json!({"max_events": 2, "headers": headers}));
    assert_eq!(sink.open().await, Ok(None));
    assert_eq!(sink.write(&points("a", &[1, 2, 3])).await, Ok(vec![]));
    assert_eq!(sink.write(&points("b", &[])).await, Ok(vec![]));
    assert_eq!(sink.write(&points("c", &[4])).await, Ok(vec![]));
    assert_eq!(sink.flush(1).await, Ok(()));
    assert_eq!(bodies(&server), ["{\"x\":1}\n{\"x\":2}\n", "{\"x\":3}\n", "{\"x\":4}\n"]);
    for request in server.requests() {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/"));
        assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
        assert_eq!(request.header("x-tenant"), Some("acme"));
    }
}

#[tokio::test]
async fn events_may_go_in_an_array() {
    let server = server([]).await;
    let mut sink = posting(&server.url(), json!({"format": "json"}));
    sink.write(&points("a", &[1, 2])).await.unwrap();
    sink.write(&points("b", &[3])).await.unwrap();
    assert_eq!(bodies(&server), [r#"[{"x":1},{"x":2}]"#, r#"[{"x":3}]"#]);
    assert_eq!(server.requests()[0].header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn requests_keep_to_their_size_and_a_larger_event_goes_alone() {
    let wit = "package test:text@1.0.0; interface event { record text { t: string } }";
    let server = server([]).await;
    let config = json!({"max_bytes": "1KiB"});
    let mut sink = posting_for(&server.url(), config, vec![schema(wit)], "node", &pipeline());
    let mut columns = Columns::default();
    for length in [480_usize, 400, 100, 2_000, 10] {
        // postcard has a length of two bytes from 128 on
        let mut payload = match length {
            ..128 => vec![length as u8],
            _ => vec![(length & 0x7f) as u8 | 0x80, (length >> 7) as u8],
        };
        payload.extend(vec![b'x'; length]);
        columns.push(0, &payload);
    }
    let batch = Arc::new(Batch::new(columns, Ids::numbered("a", 0)));
    assert_eq!(sink.write(&batch).await, Ok(vec![]));
    let lengths: Vec<usize> = bodies(&server).iter().map(String::len).collect();
    let line = |length: usize| length + "{\"t\":\"\"}\n".len();
    assert_eq!(lengths, [line(480) + line(400) + line(100), line(2_000), line(10)]);
}

#[tokio::test]
async fn events_of_several_types_say_which() {
    let server = server([]).await;
    let mut sink = posting_for(&server.url(), json!({}), vec![schema(WIT), ledger()], "node", &pipeline());
    sink.write(&points("a", &[1])).await.unwrap();
    let mut columns = Columns { kind: 1, ..Columns::default() };
    columns.push(0, b"xdr");
    sink.write(&Arc::new(Batch::new(columns, Ids::numbered("b", 0)))).await.unwrap();
    let want =
        ["{\"type\":\"test.point.v1\",\"event\":{\"x\":1}}\n", "{\"type\":\"stellar.ledger.v1\",\"event\":\"eGRy\"}\n"];
    assert_eq!(bodies(&server), want);
}

#[tokio::test]
async fn a_request_that_is_answered_is_over_when_write_returns() {
    let (answered, count) = (Arc::new(std::sync::atomic::AtomicUsize::new(0)), std::sync::atomic::Ordering::SeqCst);
    let counted = Arc::clone(&answered);
    let server = HttpServer::start(move |_| {
        counted.fetch_add(1, count);
        Reply::new(202, "")
    })
    .await;
    let mut sink = posting(&server.url(), json!({"max_events": 1}));
    for n_batches in 1..=10 {
        sink.write(&points("a", &[1, 2, 3])).await.unwrap();
        assert_eq!(answered.load(count), 3 * n_batches);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as expect-test has it")]
fn check(more: Value, want: Expect) {
    let mut config = json!({"url": "http://me:s3cret@127.0.0.1:1"});
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    let error = sink(&node("http", Role::Sink, config, vec![schema(WIT)], vec![]), &pipeline()).err().unwrap();
    want.assert_eq(&error.to_string());
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    check(
        json!({"url": "/events"}),
        expect!["`url` of `http` is no URL: relative URL without a base; write `https://host/path`"],
    );
    check(json!({"max_events": 0}), expect!["`max_events` of `http` must be 1 to 100000: events in one request"]);
    check(json!({"max_bytes": "1"}), expect!["`max_bytes` of `http` is no size from 1KiB to 256MiB: write `1MiB`"]);
    check(json!({"timeout": "soon"}), expect!["`timeout` of `http` is no duration from 10ms to 10m: write `30s`"]);
    check(
        json!({"headers": [{"name": "authorization", "value": "Bearer s3cret"}]}),
        expect!["`headers` of `http` has `authorization`, and `url` a user: leave one out"],
    );
    check(json!({"format": "xml"}), expect!["the configuration of `http` cannot be read"]);
}
