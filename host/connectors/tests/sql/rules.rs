//! Tables with rules of their own: the events that break one are found, the others go on.

use expect_test::expect;
use serde_json::json;

use crate::database::{Database, notes, said, write};

const TABLE: &str = "CREATE TABLE test_note_v1 (id bigint NOT NULL, text text NOT NULL, more text)";

fn reasons(rejected: &[flowctl_runtime::Rejection]) -> String {
    let lines: Vec<_> = rejected.iter().map(|rejection| format!("{} {}", rejection.index, rejection.reason)).collect();
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_break_a_constraint_are_found_and_the_others_are_rows() {
    let database = Database::new("constraints");
    database.sql(&format!("{TABLE}; ALTER TABLE test_note_v1 ADD CONSTRAINT once UNIQUE (id) DEFERRABLE INITIALLY DEFERRED, ADD CONSTRAINT short CHECK (length(text) < 9)"));
    let mut sink = database.notes(json!({})).await;
    write(&mut *sink, &[(1, "one"), (2, "two")]).await;
    let rejected = sink
        .write(&notes(&[(3, "three"), (2, "again"), (4, "far too long"), (5, "five"), (5, "five too"), (6, "six")]))
        .await
        .unwrap();
    expect![[r#"
        1 duplicate key value violates unique constraint "once": Key (id)=(2) already exists (SQLSTATE 23505)
        2 new row for relation "test_note_v1" violates check constraint "short": Failing row contains (4, far too long, null) (SQLSTATE 23514)
        4 duplicate key value violates unique constraint "once": Key (id)=(5) already exists (SQLSTATE 23505)"#]]
    .assert_eq(&reasons(&rejected));
    sink.flush(1).await.unwrap();
    assert_eq!(database.notes_there(), "1:one 2:two 3:three 5:five 6:six");
    let all_there = sink.write(&notes(&[(1, "x"), (2, "x"), (3, "x")])).await.unwrap();
    assert_eq!(all_there.len(), 3);
    sink.flush(2).await.unwrap();
    assert_eq!(database.notes_there(), "1:one 2:two 3:three 5:five 6:six");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_event_of_a_thousand_is_found() {
    let database = Database::new("thousand");
    database.sql(&format!("{TABLE}; ALTER TABLE test_note_v1 ADD CHECK (id <> 617)"));
    let mut sink = database.notes(json!({})).await;
    let many: Vec<(u32, &str)> = (0..1_000).map(|id| (id, "x")).collect();
    let rejected = sink.write(&notes(&many)).await.unwrap();
    assert_eq!(rejected.iter().map(|rejection| rejection.index).collect::<Vec<_>>(), [617]);
    sink.flush(1).await.unwrap();
    assert_eq!(database.sql("SELECT count(*), sum(id) FROM test_note_v1"), format!("999|{}", 999 * 1_000 / 2 - 617));
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_and_indexes_may_refuse_an_event_too() {
    let database = Database::new("triggers");
    database.sql(&format!(
        "{TABLE}; CREATE INDEX ON test_note_v1 (text);
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 2 THEN RAISE EXCEPTION 'two is not liked'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON test_note_v1 FOR EACH ROW EXECUTE FUNCTION refuse()"
    ));
    let mut sink = database.notes(json!({})).await;
    // what cannot be compressed is too large for a page of the index
    let mut random = 1_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + (random >> 33) as u8 % 90)
    };
    let long: String = (0..10_000).map(|_| next()).collect();
    let rejected = sink.write(&notes(&[(1, "one"), (2, "two"), (3, &long), (4, "four")])).await.unwrap();
    let text = reasons(&rejected);
    assert!(text.starts_with("1 two is not liked (SQLSTATE P0001)\n2 index row "), "{text}");
    sink.flush(1).await.unwrap();
    assert_eq!(database.notes_there(), "1:one 4:four");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_comes_while_events_flow_is_found_when_they_come_again() {
    let database = Database::new("surprise");
    let mut sink = database.notes(json!({})).await;
    write(&mut *sink, &[(1, "one")]).await;
    sink.flush(1).await.unwrap();
    database.sql("ALTER TABLE test_note_v1 ADD CONSTRAINT short CHECK (length(text) < 9)");
    write(&mut *sink, &[(2, "two")]).await;
    write(&mut *sink, &[(3, "far too long")]).await;
    let fault = sink.flush(2).await.unwrap_err();
    assert!(said(&fault).starts_with("lost: cannot write to \"public\".\"test_note_v1\": new row"), "{fault:?}");
    assert_eq!(sink.rewind().await, Ok(Some(1)));
    write(&mut *sink, &[(2, "two")]).await;
    assert_eq!(sink.write(&notes(&[(3, "far too long"), (4, "four")])).await.unwrap().len(), 1);
    sink.flush(2).await.unwrap();
    assert_eq!(database.notes_there(), "1:one 2:two 4:four");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_cannot_do_is_said_with_table_and_column() {
    let database = Database::new("beyond");
    database.sql(&format!(
        "{TABLE}; ALTER TABLE test_note_v1 ADD inverse double precision GENERATED ALWAYS AS (1 / id) STORED"
    ));
    let mut sink = database.notes(json!({})).await;
    write(&mut *sink, &[(0, "zero")]).await;
    let fault = sink.flush(1).await.unwrap_err();
    let want = "fatal: cannot write to \"public\".\"test_note_v1\": division by zero (SQLSTATE 22012)";
    assert_eq!(said(&fault), want);
}
