//! A connection that breaks while a commit is under way: the epoch tells what came of it.

use flowctl_runtime::{Fault, Sink};
use flowctl_test_support::postgres::Server;
use serde_json::{Value, json};

use crate::database::{NOTE, notes, postgres, said, write};
use crate::proxy::{Proxy, Rule};
use crate::support::schema;

/// A server behind a proxy, and a sink with a row in its transaction.
async fn start(config: Value) -> (Server, Proxy, Box<dyn Sink>) {
    let server = Server::start();
    let proxy = Proxy::to(server.port()).await;
    let url = proxy.url(&server.url(), server.port());
    let mut sink = postgres(&url, config, vec![schema(NOTE)]).unwrap();
    sink.open().await.unwrap();
    write(&mut *sink, &[(1, "one")]).await;
    sink.flush(1).await.unwrap();
    write(&mut *sink, &[(2, "two")]).await;
    (server, proxy, sink)
}

fn there(server: &Server) -> String {
    let sql = "SELECT string_agg(id::text, ' ' ORDER BY id), (SELECT max(epoch) FROM flowctl_epochs) FROM test_note_v1";
    server.psql(&server.url(), sql)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_found() {
    let (server, proxy, mut sink) = start(json!({})).await;
    proxy.set(Rule::CutBehind);
    sink.flush(2).await.unwrap();
    assert_eq!(there(&server), "1 2|2");
    write(&mut *sink, &[(3, "three")]).await;
    sink.flush(3).await.unwrap();
    assert_eq!(there(&server), "1 2 3|3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_still_under_way_is_waited_for() {
    let (server, proxy, mut sink) = start(json!({})).await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON flowctl_epochs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()";
    server.psql(&server.url(), slow);
    proxy.set(Rule::CutWithin);
    sink.flush(2).await.unwrap();
    assert_eq!(there(&server), "1 2|2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_did_not_arrive_is_lost() {
    let (server, proxy, mut sink) = start(json!({})).await;
    proxy.set(Rule::CutBefore);
    let fault = sink.flush(2).await.unwrap_err();
    assert!(said(&fault).starts_with("lost: epoch 2 was not committed to 127.0.0.1:"), "{fault:?}");
    assert_eq!(there(&server), "1|1");
    assert_eq!(sink.rewind().await, Ok(Some(1)));
    write(&mut *sink, &[(2, "two")]).await;
    sink.flush(2).await.unwrap();
    assert_eq!(there(&server), "1 2|2");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_can_be_asked_the_outcome_stays_open() {
    let (server, proxy, mut sink) = start(json!({"mode": "upsert", "key": ["id"]})).await;
    proxy.set(Rule::CutAndRefuse);
    for _ in 0..2 {
        let fault = sink.flush(2).await.unwrap_err();
        assert!(said(&fault).starts_with("retry: cannot reach PostgreSQL at `127.0.0.1:"), "{fault:?}");
    }
    proxy.set(Rule::Pass);
    let fault = sink.flush(2).await.unwrap_err();
    assert!(matches!(fault, Fault::Lost(_)), "{fault:?}");
    assert_eq!(sink.rewind().await, Ok(Some(1)));
    write(&mut *sink, &[(2, "two")]).await;
    sink.flush(2).await.unwrap();
    assert_eq!(there(&server), "1 2|2");
}

// on one thread, so that nothing comes back before the call is given up
#[tokio::test]
async fn a_flush_that_was_given_up_is_looked_for() {
    let (server, _proxy, mut sink) = start(json!({})).await;
    let mut call = sink.flush(2);
    let polled = call.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(polled.is_pending());
    drop(call);
    match sink.flush(2).await {
        Ok(()) => {}
        Err(fault) => {
            assert!(matches!(fault, Fault::Lost(_)), "{fault:?}");
            assert_eq!(sink.rewind().await, Ok(Some(1)));
            assert_eq!(sink.write(&notes(&[(2, "two")])).await, Ok(vec![]));
            sink.flush(2).await.unwrap();
        }
    }
    assert_eq!(there(&server), "1 2|2");
}
