//! With a key, the last event of each key is its row.

use expect_test::expect;
use serde_json::json;

use crate::database::{Database, notes, write};

#[tokio::test(flavor = "multi_thread")]
async fn the_last_event_of_a_key_is_its_row() {
    let database = Database::new("last");
    let mut sink = database.notes(json!({"mode": "upsert", "key": ["id"]})).await;
    write(&mut *sink, &[(1, "a"), (2, "b"), (1, "c")]).await;
    write(&mut *sink, &[(2, "d"), (3, "e"), (2, "f")]).await;
    sink.flush(1).await.unwrap();
    assert_eq!(database.notes_there(), "1:c 2:f 3:e");
    write(&mut *sink, &[(1, "g"), (4, "h")]).await;
    sink.rewind().await.unwrap();
    write(&mut *sink, &[(3, "i"), (3, "j")]).await;
    sink.flush(2).await.unwrap();
    assert_eq!(database.notes_there(), "1:c 2:f 3:j");
    let key = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'test_note_v1'::regclass";
    assert_eq!(database.sql(key), "PRIMARY KEY (id)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_be_every_column() {
    let database = Database::new("whole");
    let wit = "package test:pair@1.0.0; interface event { record pair { a: u8, b: string } }";
    let schema = crate::support::schema(wit);
    let config = json!({"mode": "upsert", "key": ["b", "a"]});
    let mut sink = crate::database::postgres(&database.url, config, vec![schema.clone()]).unwrap();
    sink.open().await.unwrap();
    let pairs = [json!({"a": 1, "b": "x"}), json!({"a": 1, "b": "y"}), json!({"a": 1, "b": "x"})];
    for epoch in 1..3 {
        assert_eq!(sink.write(&crate::database::batch(&schema, &pairs)).await, Ok(vec![]));
        sink.flush(epoch).await.unwrap();
    }
    assert_eq!(database.sql("SELECT a, b FROM test_pair_v1 ORDER BY b"), "1|x\n1|y");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_breaks_another_rule_leaves_the_row_before_it() {
    let database = Database::new("guarded");
    database.sql("CREATE TABLE test_note_v1 (id bigint PRIMARY KEY, text text NOT NULL UNIQUE, more text)");
    let mut sink = database.notes(json!({"mode": "upsert", "key": ["id"]})).await;
    write(&mut *sink, &[(1, "a"), (2, "b"), (1, "c")]).await;
    let rejected = sink.write(&notes(&[(3, "a"), (5, "c"), (4, "d"), (2, "e")])).await.unwrap();
    let lines: Vec<_> = rejected.iter().map(|rejection| format!("{} {}", rejection.index, rejection.reason)).collect();
    expect![[r#"1 duplicate key value violates unique constraint "test_note_v1_text_key": Key (text)=(c) already exists (SQLSTATE 23505)"#]]
        .assert_eq(&lines.join("\n"));
    sink.flush(1).await.unwrap();
    assert_eq!(database.notes_there(), "1:c 2:e 3:a 4:d");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sinks_of_one_table_do_not_wait_for_each_other() {
    let database = Database::new("two_sinks");
    let sink = |id: &str| {
        let config = json!({"url": database.url, "mode": "upsert", "key": ["id"]});
        let schemas = vec![crate::support::schema(crate::database::NOTE)];
        let mut node = crate::support::node("postgres", flowctl_schema::Role::Sink, config, schemas, vec![]);
        node.id = id.parse().unwrap();
        flowctl_connectors::sink(&node, &crate::support::pipeline()).unwrap()
    };
    let (mut one, mut other) = (sink("one"), sink("other"));
    one.open().await.unwrap();
    other.open().await.unwrap();
    write(&mut *one, &[(1, "one"), (2, "one")]).await;
    write(&mut *other, &[(2, "other"), (1, "other")]).await;
    // as the runtime does: both have passed the barrier, and both take it
    let (first, second) = tokio::join!(other.flush(1), one.flush(1));
    first.unwrap();
    second.unwrap();
    assert_eq!(database.sql("SELECT count(DISTINCT text), count(*) FROM test_note_v1"), "1|2");
}
