//! What was read comes again until it is acknowledged, and stays away then.

use std::task::{Context, Poll, Waker};

use flowctl_runtime::Bounds;
use serde_json::json;

use super::client::{JSON, LINES};
use super::{BOUNDS, Rig, show};

/// Lines of `n` events.
fn lines(n: u32) -> String {
    (0..n).map(|x| format!("{{\"x\": {x}}}\n")).collect()
}

#[tokio::test]
async fn events_that_no_sink_took_come_again_with_their_ids_and_times() {
    let rig = Rig::new(json!({}));
    let mut first = rig.open(None).await;
    first.client().await.post(LINES, lines(100)).await;
    let piece = first.next(&Bounds { max_events: 40, ..BOUNDS }).await;
    let position = piece.position;
    let rest = first.next(&BOUNDS).await;
    let timestamps = rest.batch.as_ref().unwrap().columns.timestamps.clone();
    drop(first);
    let mut second = rig.open(Some(&position)).await;
    let again = second.next(&BOUNDS).await;
    assert_eq!(show(&again).len(), 60);
    assert_eq!(show(&again), show(&rest));
    assert_eq!(again.batch.unwrap().columns.timestamps, timestamps);
    drop(second);
    assert_eq!(rig.open(None).await.take(100).await.0.len(), 100);
}

#[tokio::test]
async fn a_full_queue_is_answered_429_until_events_were_taken() {
    let rig = Rig::new(json!({ "max_spool_events": 3 }));
    let mut running = rig.open(None).await;
    let mut client = running.client().await;
    assert_eq!(client.post(LINES, lines(4)).await.status, 413);
    assert_eq!(client.post(LINES, lines(2)).await.status, 200);
    let reply = client.post(LINES, lines(2)).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")));
    assert_eq!(reply.body, json!({ "error": "the queue is full: 2 events wait; try again" }));
    assert_eq!(client.post(JSON, r#"{"x": 9}"#).await.status, 200);
    let (_, position) = running.take(3).await;
    // reading is not taking
    assert_eq!(client.post(JSON, r#"{"x": 9}"#).await.status, 429);
    running.source.ack(&position).await.unwrap();
    assert_eq!(client.post(LINES, lines(3)).await.status, 200);
    assert_eq!(rig.n_spooled(), 3);
    assert_eq!(running.take(3).await.0[0], r#"node/4 {"x":0,"name":null}"#);
}

#[tokio::test]
async fn bytes_bound_the_queue_too() {
    let rig = Rig::new(json!({ "max_spool_bytes": 1_000 }));
    let mut running = rig.open(None).await;
    let mut client = running.client().await;
    let body = json!({ "x": 1, "name": "n".repeat(600) }).to_string();
    let mut statuses = Vec::new();
    for _ in 0..2 {
        statuses.push(client.post(JSON, &body).await.status);
    }
    let (_, position) = running.take(1).await;
    running.source.ack(&position).await.unwrap();
    statuses.push(client.post(JSON, &body).await.status);
    assert_eq!(statuses, [200, 429, 200]);
}

#[tokio::test]
async fn what_was_taken_without_word_of_it_leaves_room() {
    let rig = Rig::new(json!({ "max_spool_events": 3 }));
    let mut first = rig.open(None).await;
    first.client().await.post(LINES, lines(3)).await;
    let (_, position) = first.take(3).await;
    drop(first);
    // the sinks took all, and the process ended before the source was told
    let mut second = rig.open(Some(&position)).await;
    assert_eq!(second.client().await.post(LINES, lines(3)).await.status, 200);
    let (events, position) = second.take(3).await;
    assert_eq!(events[0], r#"node/4 {"x":0,"name":null}"#);
    second.source.ack(&position).await.unwrap();
    assert_eq!(second.client().await.post(LINES, lines(3)).await.status, 200);
    assert_eq!(rig.n_spooled(), 3);
}

#[tokio::test]
async fn many_events_are_forgotten_with_one_word() {
    let rig = Rig::new(json!({ "max_spool_events": 25_000 }));
    let mut running = rig.open(None).await;
    let mut client = running.client().await;
    assert_eq!(client.post(LINES, lines(25_000)).await.status, 200);
    let (_, position) = running.take(25_000).await;
    running.source.ack(&position).await.unwrap();
    // in parts, all of which come before it is said that there is no room
    assert_eq!(client.post(LINES, lines(25_000)).await.status, 200);
    assert_eq!(rig.n_spooled(), 25_000);
}

#[tokio::test]
async fn a_replay_ends_exactly_at_its_position() {
    let rig = Rig::new(json!({ "on_invalid": "dead-letter" }));
    let mut first = rig.open(None).await;
    first.client().await.post(LINES, format!("{}bad\n{}", lines(20), lines(20))).await;
    let mut pieces = Vec::new();
    for max_events in [7, 14, 9, 100] {
        pieces.push(first.next(&Bounds { max_events, ..BOUNDS }).await);
    }
    drop(first);
    for (from, piece) in pieces.iter().enumerate() {
        for (to, until) in pieces.iter().enumerate().skip(from) {
            let mut again = rig.open(Some(&piece.position)).await;
            let bounds = Bounds { max_events: 5, max_bytes: 1 << 20, until: Some(until.position.clone()) };
            let mut events = Vec::new();
            loop {
                let piece = again.next(&bounds).await;
                events.extend(show(&piece));
                if piece.position == until.position {
                    break;
                }
            }
            let mut want: Vec<String> = pieces[from + 1..=to].iter().flat_map(show).collect();
            // refused ones stand behind the events of their piece
            events.sort();
            want.sort();
            assert_eq!(events, want);
            // and then it goes on
            assert_eq!(again.next(&bounds).await.position, until.position);
            let n_left = pieces[to + 1..].iter().flat_map(show).count();
            assert_eq!(again.take(n_left).await.0.len(), n_left);
        }
    }
}

#[tokio::test]
async fn bounds_are_kept_and_a_large_event_comes_alone() {
    let rig = Rig::new(json!({}));
    let mut running = rig.open(None).await;
    let event = |length| json!({ "x": 1, "name": "n".repeat(length) }).to_string();
    let body = [10, 10, 500, 10].map(event).join("\n");
    running.client().await.post(LINES, body).await;
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 4 {
        sizes.push(running.next(&Bounds { max_bytes: 100, ..BOUNDS }).await.batch.unwrap().len());
    }
    assert_eq!(sizes, [2, 1, 1]);
}

#[tokio::test]
async fn calls_that_are_given_up_lose_nothing() {
    let rig = Rig::new(json!({}));
    let mut running = rig.open(None).await;
    let mut client = running.client().await;
    let mut events = Vec::new();
    while events.len() < 200 {
        let mut call = running.source.next(&BOUNDS);
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(call);
        if let Poll::Ready(piece) = polled {
            events.extend(show(&piece.unwrap()));
        }
        client.post(LINES, lines(2)).await;
        events.extend(show(&running.next(&Bounds { max_events: 1, ..BOUNDS }).await));
    }
    for (index, event) in events.iter().enumerate() {
        assert!(event.starts_with(&format!("node/{} ", index + 1)), "{event} at {index}");
    }
}
