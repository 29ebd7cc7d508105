//! Rows are there exactly once, whatever ends in the middle.

use flowctl_runtime::Fault;
use flowctl_test_support::postgres::Server;
use serde_json::json;

use crate::database::{Database, NOTE, notes, postgres, said, write, write_until_lost};
use crate::support::schema;

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_their_epoch_are_committed_together() {
    let database = Database::new("together");
    let mut sink = database.sink(json!({}));
    assert_eq!(sink.open().await, Ok(None));
    write(&mut *sink, &[(1, "one"), (2, "two")]).await;
    write(&mut *sink, &[(3, "three")]).await;
    assert_eq!((database.notes_there().as_str(), database.epochs().as_str()), ("", ""));
    sink.flush(1).await.unwrap();
    assert_eq!(database.notes_there(), "1:one 2:two 3:three");
    assert_eq!(database.epochs(), "test|0|node|1");
    sink.flush(2).await.unwrap();
    assert_eq!(database.epochs(), "test|0|node|2", "an epoch without rows");
    assert_eq!(database.sink(json!({})).open().await, Ok(Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_flushed_is_forgotten() {
    let database = Database::new("forgotten");
    for config in [json!({}), json!({"table": "keyed", "mode": "upsert", "key": ["id"]})] {
        let mut sink = database.notes(config).await;
        write(&mut *sink, &[(1, "one")]).await;
        sink.flush(7).await.unwrap();
        write(&mut *sink, &[(2, "two")]).await;
        assert_eq!(sink.rewind().await, Ok(Some(7)));
        assert_eq!(sink.rewind().await, Ok(Some(7)), "twice is as good as once");
        write(&mut *sink, &[(2, "two")]).await;
        write(&mut *sink, &[(3, "three")]).await;
        sink.flush(8).await.unwrap();
        write(&mut *sink, &[(4, "four")]).await;
    }
    assert_eq!(database.notes_there(), "1:one 2:two 3:three");
    assert_eq!(database.sql("SELECT string_agg(id::text, ' ' ORDER BY id) FROM keyed"), "1 2 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_in_a_transaction_loses_it_and_rows_come_once() {
    let database = Database::new("ended");
    let mut sink = database.notes(json!({})).await;
    write(&mut *sink, &[(1, "one")]).await;
    sink.flush(1).await.unwrap();
    write(&mut *sink, &[(2, "two")]).await;
    database.end_connections();
    let fault = write_until_lost(&mut *sink, &[(3, "three")]).await;
    assert!(said(&fault).starts_with("lost: cannot write to \"public\".\"test_note_v1\": "), "{fault:?}");
    let fault = sink.write(&notes(&[(3, "three")])).await.unwrap_err();
    assert!(matches!(fault, Fault::Lost(_)), "until somebody goes back: {fault:?}");
    let fault = sink.flush(2).await.unwrap_err();
    assert!(matches!(fault, Fault::Lost(_)), "{fault:?}");
    assert_eq!(sink.rewind().await, Ok(Some(1)));
    write(&mut *sink, &[(2, "two"), (3, "three")]).await;
    sink.flush(2).await.unwrap();
    assert_eq!(database.notes_there(), "1:one 2:two 3:three");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_between_epochs_is_replaced() {
    let database = Database::new("replaced");
    let mut sink = database.notes(json!({})).await;
    database.end_connections();
    // the first call may be the one that finds out; nothing was taken by it
    let mut n_calls = 0;
    while let Err(fault) = sink.write(&notes(&[(1, "one")])).await {
        assert!(matches!(fault, Fault::Retry(_)), "{fault:?}");
        n_calls += 1;
        assert!(n_calls < 3, "{fault:?}");
    }
    sink.flush(1).await.unwrap();
    database.end_connections();
    while let Err(fault) = sink.flush(2).await {
        assert!(matches!(fault, Fault::Retry(_)), "{fault:?}");
        n_calls += 1;
        assert!(n_calls < 6, "{fault:?}");
    }
    assert_eq!(database.notes_there(), "1:one");
    assert_eq!(database.epochs(), "test|0|node|2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_comes_back_has_every_row_once() {
    let mut server = Server::start();
    let url = server.url();
    let mut sink = postgres(&url, json!({}), vec![schema(NOTE)]).unwrap();
    sink.open().await.unwrap();
    write(&mut *sink, &[(1, "one")]).await;
    sink.flush(1).await.unwrap();
    write(&mut *sink, &[(2, "two")]).await;
    server.kill();
    write_until_lost(&mut *sink, &[(3, "three")]).await;
    let fault = sink.rewind().await.unwrap_err();
    assert!(said(&fault).starts_with("retry: cannot reach PostgreSQL at `127.0.0.1:"), "{fault:?}");
    server.restart();
    assert_eq!(sink.rewind().await, Ok(Some(1)));
    write(&mut *sink, &[(2, "two"), (3, "three")]).await;
    sink.flush(2).await.unwrap();
    server.kill();
    let fault = sink.flush(3).await.unwrap_err();
    assert!(matches!(fault, Fault::Retry(_)), "nothing was written since: {fault:?}");
    server.restart();
    sink.flush(3).await.unwrap();
    let there = "SELECT string_agg(id::text || text, ' ' ORDER BY id), (SELECT max(epoch) FROM flowctl_epochs) FROM test_note_v1";
    assert_eq!(server.psql(&url, there), "1one 2two 3three|3");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_connection_has_open_is_ended_before_the_epoch_is_read() {
    let database = Database::new("earlier");
    let mut earlier = database.notes(json!({})).await;
    write(&mut *earlier, &[(1, "one")]).await;
    let mut sink = database.sink(json!({}));
    let fault = sink.open().await.unwrap_err();
    assert_eq!(said(&fault), "retry: an earlier connection of this sink has its transaction open still");
    assert_eq!(sink.open().await, Ok(None));
    write(&mut *sink, &[(1, "one")]).await;
    sink.flush(1).await.unwrap();
    let fault = earlier.flush(1).await.unwrap_err();
    assert!(matches!(fault, Fault::Lost(_)), "{fault:?}");
    assert_eq!(earlier.rewind().await, Ok(Some(1)), "it finds the other's epoch, of the same events");
    assert_eq!(database.notes_there(), "1:one");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_that_write_one_table_keep_their_own_epochs() {
    let database = Database::new("shared");
    let mut sinks = Vec::new();
    for state_id in ["a", "b'\\"] {
        let mut pipeline = crate::support::pipeline();
        pipeline.state_id = state_id.to_owned();
        let config = json!({"url": database.url});
        let node = crate::support::node("postgres", flowctl_schema::Role::Sink, config, vec![schema(NOTE)], vec![]);
        let mut sink = flowctl_connectors::sink(&node, &pipeline).unwrap();
        assert_eq!(sink.open().await, Ok(None));
        sinks.push(sink);
    }
    for (number, sink) in (0..).zip(&mut sinks) {
        write(&mut **sink, &[(number, "x")]).await;
    }
    sinks[0].flush(5).await.unwrap();
    assert_eq!(sinks[1].rewind().await, Ok(None));
    write(&mut *sinks[1], &[(2, "y")]).await;
    sinks[1].flush(1).await.unwrap();
    assert_eq!(database.notes_there(), "0:x 2:y");
    assert_eq!(database.sql("SELECT state_id, epoch FROM flowctl_epochs ORDER BY epoch"), "b'\\|1\na|5");
}

// on one thread, so that nothing comes back before the call is given up
#[tokio::test]
async fn a_write_that_was_given_up_is_lost_as_a_whole() {
    let database = Database::new("given_up");
    let mut sink = database.notes(json!({})).await;
    let batch = notes(&[(1, "one")]);
    let mut call = sink.write(&batch);
    let polled = call.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(polled.is_pending());
    drop(call);
    let fault = sink.flush(1).await.unwrap_err();
    assert!(matches!(fault, Fault::Lost(_)), "{fault:?}");
    assert_eq!(sink.rewind().await, Ok(None));
    write(&mut *sink, &[(1, "one"), (2, "two")]).await;
    sink.flush(1).await.unwrap();
    assert_eq!(database.notes_there(), "1:one 2:two");
}
