//! What a server does not take: events one by one, or everything.

use flowctl_runtime::{Fault, Rejection};
use flowctl_test_support::http_server::HttpServer;

use super::*;

/// A server that takes requests in which `is_bad` finds nothing, and answers the others
/// with `status`.
async fn picky(status: u16, is_bad: impl Fn(&[u8]) -> bool + Send + 'static) -> HttpServer {
    let handle = move |request: &Request| match is_bad(&numbers(request)) {
        true => Reply::new(status, "no such\r\npoint\x07"),
        false => Reply::new(204, ""),
    };
    HttpServer::start(handle).await
}

/// The points that the server took, in order.
fn taken(server: &HttpServer, is_bad: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    server.requests().iter().map(numbers).filter(|numbers| !is_bad(numbers)).flatten().collect()
}

#[tokio::test]
async fn a_refused_request_is_split_until_the_bad_event_is_found() {
    for status in [400, 413, 418, 422] {
        for bad in [&[0][..], &[7], &[99], &[3, 4], &[10, 60, 61]] {
            let is_bad = move |numbers: &[u8]| numbers.iter().any(|number| bad.contains(number));
            let server = picky(status, is_bad).await;
            let all: Vec<u8> = (0..100).collect();
            let rejected = posting(&server.url(), json!({})).write(&points("a", &all)).await.unwrap();
            let indices: Vec<u8> = rejected.iter().map(|rejection| rejection.index as u8).collect();
            assert_eq!(indices, bad);
            let good: Vec<u8> = all.into_iter().filter(|number| !bad.contains(number)).collect();
            assert_eq!(taken(&server, is_bad), good, "each once and in order");
            assert!(server.requests().len() <= 1 + bad.len() * 14, "{} requests", server.requests().len());
        }
    }
}

#[tokio::test]
async fn the_reason_is_what_the_server_said_fit_for_a_message() {
    let server = picky(422, |_| true).await;
    let rejected = posting(&server.url(), json!({})).write(&points("a", &[1])).await.unwrap();
    let reason = format!("`{}` answered 422 Unprocessable Entity: no such point", server.url());
    assert_eq!(rejected, [Rejection { index: 0, reason }]);

    let server = HttpServer::start(|_| Reply::new(400, "x".repeat(1 << 20))).await;
    let rejected = posting(&server.url(), json!({})).write(&points("a", &[1])).await.unwrap();
    assert!(rejected[0].reason.len() < 500, "{}", rejected[0].reason);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_split_until_it_fits() {
    let is_bad = |numbers: &[u8]| numbers.len() > 3;
    let server = picky(413, is_bad).await;
    let all: Vec<u8> = (0..20).collect();
    assert_eq!(posting(&server.url(), json!({"format": "ndjson"})).write(&points("a", &all)).await, Ok(vec![]));
    assert_eq!(taken(&server, is_bad), all);
}

#[tokio::test]
async fn an_event_that_is_no_value_of_its_type_is_not_sent() {
    let server = server([]).await;
    let mut columns = Columns::default();
    [&[1_u8][..], &[], &[2], &[3, 3], &[4]].iter().for_each(|payload| columns.push(0, payload));
    let batch = Arc::new(Batch::new(columns, Ids::numbered("a", 0)));
    let rejected = posting(&server.url(), json!({})).write(&batch).await.unwrap();
    assert_eq!(rejected.iter().map(|rejection| rejection.index).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(numbers(&server.requests()[0]), [1, 2, 4]);
}

#[tokio::test]
async fn refusals_keep_their_index_where_events_before_them_were_not_sent() {
    let server = picky(422, |numbers| numbers.contains(&4)).await;
    let mut columns = Columns::default();
    [&[1_u8][..], &[], &[2], &[3, 3], &[4]].iter().for_each(|payload| columns.push(0, payload));
    let batch = Arc::new(Batch::new(columns, Ids::numbered("a", 0)));
    let rejected = posting(&server.url(), json!({})).write(&batch).await.unwrap();
    assert_eq!(rejected.iter().map(|rejection| rejection.index).collect::<Vec<_>>(), [1, 3, 4]);
}

#[tokio::test]
async fn a_conflict_may_pass_and_is_a_refusal_if_it_does_not() {
    let passing = server([Reply::new(409, "in progress")]).await;
    assert_eq!(posting(&passing.url(), json!({})).write(&points("a", &[1])).await, Ok(vec![]));
    assert_eq!(keys(&passing)[0], keys(&passing)[1]);

    let lasting = picky(409, |numbers| numbers.contains(&2)).await;
    let rejected =
        posting(&lasting.url(), json!({"give_up_after": "0"})).write(&points("a", &[1, 2, 3])).await.unwrap();
    assert_eq!(rejected.iter().map(|rejection| rejection.index).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn what_no_request_can_change_ends_the_run_at_once_without_secrets() {
    let check = async |status: u16, headers: &[(&'static str, &str)], want: &str| {
        let server = server([answer(status, headers, "no opensesame or s3cret-token for you")]).await;
        let url = format!("http://me:opensesame@{}/events?key=s3cret", server.address());
        let headers = json!([{"name": "X-Api-Key", "value": "s3cret-token"}]);
        let fault = posting(&url, json!({"headers": headers})).write(&points("a", &[1, 2])).await.unwrap_err();
        let want = format!("`http://{}/events` answered {want}", server.address());
        assert_eq!(fault, Fault::Fatal(want));
        assert_eq!(server.requests().len(), 1);
        assert_eq!(server.requests()[0].header("authorization"), Some("Basic bWU6b3BlbnNlc2FtZQ=="));
    };
    check(401, &[], "401 Unauthorized: no … or … for you").await;
    check(403, &[], "403 Forbidden: no … or … for you").await;
    check(404, &[], "404 Not Found: no … or … for you").await;
    check(405, &[], "405 Method Not Allowed: no … or … for you").await;
    check(415, &[], "415 Unsupported Media Type: no … or … for you").await;
    let moved = "308 Permanent Redirect: it is at `https://new.example.org/events` now, write that as `url`";
    check(308, &[("Location", "https://me:s3cret@new.example.org/events?key=s3cret")], moved).await;
}
