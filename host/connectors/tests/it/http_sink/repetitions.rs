//! When requests are repeated, and the key by which a server tells.

use std::time::Duration;

use flowctl_runtime::Fault;

use super::*;

#[tokio::test]
async fn what_a_server_could_not_take_is_sent_again_under_the_same_key() {
    let faults = [
        answer(503, &[], "starting"),
        Reply::Close,
        Reply::Silence,
        answer(408, &[], ""),
        answer(425, &[], ""),
        answer(429, &[("retry-after", "0")], ""),
        answer(500, &[], ""),
    ];
    for fault in faults {
        let server = server([fault.clone()]).await;
        // what is answered must not be sent again because the answer is late
        let timeout = if matches!(fault, Reply::Silence) { "2s" } else { "30s" };
        let mut sink = posting(&server.url(), json!({"max_events": 2, "timeout": timeout}));
        assert_eq!(sink.write(&points("a", &[1, 2, 3])).await, Ok(vec![]), "{fault:?}");
        let first = "{\"x\":1}\n{\"x\":2}\n";
        assert_eq!(bodies(&server), [first, first, "{\"x\":3}\n"], "{fault:?}");
        let keys = keys(&server);
        assert!(keys[0] == keys[1] && keys[1] != keys[2], "{fault:?}: {keys:?}");
    }
}

#[tokio::test]
async fn a_busy_server_is_left_alone_as_long_as_it_asks() {
    let server = server([answer(429, &[("Retry-After", "1")], "")]).await;
    posting(&server.url(), json!({})).write(&points("a", &[1])).await.unwrap();
    let requests = server.requests();
    assert!(requests[1].came_at - requests[0].came_at >= Duration::from_secs(1));
}

#[tokio::test]
async fn an_answer_that_breaks_off_behind_its_head_has_said_enough() {
    let server = server([Reply::Half(b"taken".to_vec())]).await;
    assert_eq!(posting(&server.url(), json!({})).write(&points("a", &[1])).await, Ok(vec![]));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_server_that_stays_away_fails_the_call_and_not_the_batch() {
    let down = answer(503, &[], "down");
    let server = server([Reply::new(200, ""), answer(422, &[], "no"), down.clone(), down]).await;
    let mut sink = posting(&server.url(), json!({"max_events": 1, "give_up_after": "0"}));
    let batch = points("a", &[1, 2, 3]);
    for _ in 0..2 {
        let want = format!("a request was sent once, and `{}` answered 503 Service Unavailable: down", server.url());
        assert_eq!(sink.write(&batch).await, Err(Fault::Retry(want)));
    }
    // only what has no answer yet is sent again, and what was refused stays so
    let rejected = sink.write(&batch).await.unwrap();
    assert_eq!(rejected.iter().map(|rejection| rejection.index).collect::<Vec<_>>(), [1]);
    let third = "{\"x\":3}\n";
    assert_eq!(bodies(&server), ["{\"x\":1}\n", "{\"x\":2}\n", third, third, third]);
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address() {
    let address = server([]).await.address();
    let url = format!("http://me:s3cret@{address}/events?key=s3cret");
    let fault = posting(&url, json!({"give_up_after": "0"})).write(&points("a", &[1])).await.unwrap_err();
    let Fault::Retry(reason) = &fault else { panic!("{fault:?}") };
    assert!(reason.starts_with(&format!("a request was sent once, and `http://{address}/events`: cannot connect: ")));
    assert!(!reason.contains("s3cret"), "{reason}");
}

#[tokio::test]
async fn after_a_rewind_everything_is_sent_again() {
    let down = answer(503, &[], "");
    let server = server([Reply::new(200, ""), down]).await;
    let mut sink = posting(&server.url(), json!({"max_events": 1, "give_up_after": "0"}));
    let batch = points("a", &[1, 2]);
    sink.write(&batch).await.unwrap_err();
    assert_eq!(sink.rewind().await, Ok(None));
    sink.write(&batch).await.unwrap();
    let [first, second] = ["{\"x\":1}\n", "{\"x\":2}\n"];
    assert_eq!(bodies(&server), [first, second, first, second]);
}

#[tokio::test]
async fn a_key_says_who_sends_which_events() {
    let server = server([]).await;
    let write = async |batch: &Arc<Batch>, id: &str, state_id: &str| {
        let pipeline = Pipeline { state_id: state_id.to_owned(), ..pipeline() };
        posting_for(&server.url(), json!({}), vec![schema(WIT)], id, &pipeline).write(batch).await.unwrap();
        keys(&server).pop().unwrap()
    };
    let batch = points("a", &[1, 2, 3]);
    let key = write(&batch, "out", "0").await;
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
    assert_eq!(write(&batch, "out", "0").await, key, "the same events of another instance have the same key");
    let others = [
        write(&points("b", &[1, 2, 3]), "out", "0").await,
        write(&points("a", &[1, 2]), "out", "0").await,
        // two nodes before a sink may give their events the same ids
        write(&points("a", &[1, 2, 4]), "out", "0").await,
        write(&batch, "other", "0").await,
        write(&batch, "out", "1").await,
    ];
    for (index, other) in others.iter().enumerate() {
        assert!(*other != key && !others[..index].contains(other), "{index}");
    }
}
