//! Tables that exist are checked before a row is written, and servers before that.

use expect_test::{Expect, expect};
use flowctl_runtime::Fault;
use flowctl_test_support::Port;
use flowctl_test_support::postgres::{PASSWORD, Server};
use serde_json::{Value, json};

use crate::database::{Database, NOTE, postgres, said, write};
use crate::support::schema;

/// What a sink says of a table that was made with `sql`.
async fn check(name: &str, sql: &str, config: Value, want: Expect) {
    let database = Database::new(name);
    database.sql(sql);
    let fault = database.sink(config).open().await.unwrap_err();
    want.assert_eq(&said(&fault));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_that_does_not_fit_is_named_with_what_mends_it() {
    check(
        "misfits",
        "CREATE TABLE test_note_v1 (id integer NOT NULL, text varchar(10), owner text NOT NULL, at timestamptz NOT NULL DEFAULT now())",
        json!({}),
        expect![[r#"
            fatal: table "public"."test_note_v1" does not fit `test.note.v1`:
              column `id` is `integer`, and has to be `bigint`: ALTER TABLE "public"."test_note_v1" ALTER COLUMN "id" TYPE bigint
              column `text` is `character varying(10)`, and has to be `text`: ALTER TABLE "public"."test_note_v1" ALTER COLUMN "text" TYPE text
              column `more` of type `text` is missing: ALTER TABLE "public"."test_note_v1" ADD COLUMN "more" text
              column `owner` is NOT NULL without a default, and `test.note.v1` has no such field: ALTER TABLE "public"."test_note_v1" ALTER COLUMN "owner" DROP NOT NULL"#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn null_is_allowed_where_the_field_is_an_option_and_nowhere_else() {
    check(
        "nulls",
        "CREATE TABLE test_note_v1 (id bigint, text text NOT NULL, more text NOT NULL)",
        json!({}),
        expect![[r#"
            fatal: table "public"."test_note_v1" does not fit `test.note.v1`:
              column `id` allows null, and the field is never null: ALTER TABLE "public"."test_note_v1" ALTER COLUMN "id" SET NOT NULL
              column `more` is NOT NULL, and the field is an option: ALTER TABLE "public"."test_note_v1" ALTER COLUMN "more" DROP NOT NULL"#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_message_says_mends_the_table() {
    let database = Database::new("mended");
    database.sql("CREATE TABLE test_note_v1 (id integer, text text, owner text NOT NULL); INSERT INTO test_note_v1 VALUES (1, 'old', 'x')");
    let mut sink = database.sink(json!({"mode": "upsert", "key": ["id"]}));
    let fault = sink.open().await.unwrap_err().to_string();
    let statements: Vec<_> = fault.lines().skip(1).map(|line| line.split_once(": ").unwrap().1).collect();
    assert_eq!(statements.len(), 5, "{fault}");
    // a column that changes its type and its null is named once, for the type
    database.sql(&statements.join("; "));
    let fault = sink.open().await.unwrap_err().to_string();
    let (_, statement) = fault.lines().nth(1).unwrap().split_once(": ").unwrap();
    database.sql(statement);
    sink.open().await.unwrap();
    write(&mut *sink, &[(1, "new"), (2, "two")]).await;
    sink.flush(1).await.unwrap();
    assert_eq!(database.notes_there(), "1:new 2:two");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_a_row_can_do_without_are_fine() {
    let database = Database::new("extra");
    database.sql(
        "CREATE SCHEMA shop;
        CREATE TABLE shop.\"Odd \"\" name\" (
            more text, at timestamptz NOT NULL DEFAULT now(), number bigint GENERATED ALWAYS AS IDENTITY,
            id bigint NOT NULL, length integer GENERATED ALWAYS AS (length(text)) STORED, spare text,
            text varchar NOT NULL
        )",
    );
    let config = json!({"table": "Odd \" name", "schema": "shop"});
    let mut sink = database.sink(config);
    assert_eq!(sink.open().await, Ok(None));
    write(&mut *sink, &[(7, "seven")]).await;
    sink.flush(3).await.unwrap();
    let rows = "SELECT number, id, text, length, at IS NOT NULL, spare IS NULL FROM shop.\"Odd \"\" name\"";
    assert_eq!(database.sql(rows), "1|7|seven|5|t|t");
    assert_eq!(database.sql("SELECT epoch FROM shop.flowctl_epochs"), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_found_along_the_search_path() {
    let database = Database::new("path");
    database.sql(
        "CREATE SCHEMA late; CREATE SCHEMA early;
        CREATE TABLE late.test_note_v1 (id bigint NOT NULL, text text NOT NULL, more text);
        ALTER DATABASE path SET search_path = early, late",
    );
    let mut sink = database.notes(json!({})).await;
    write(&mut *sink, &[(1, "one")]).await;
    sink.flush(1).await.unwrap();
    assert_eq!(database.sql("SELECT text FROM late.test_note_v1"), "one");
    assert_eq!(database.sql("SELECT epoch FROM early.flowctl_epochs"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rows_cannot_be_written_to_is_said() {
    check(
        "a_view",
        "CREATE VIEW test_note_v1 AS SELECT 1::bigint AS id, 'x' AS text, 'y' AS more",
        json!({}),
        expect![[r#"fatal: "public"."test_note_v1" is a view: name another with `table:`"#]],
    )
    .await;
    check(
        "unlogged",
        "CREATE UNLOGGED TABLE test_note_v1 (id bigint NOT NULL, text text NOT NULL, more text)",
        json!({}),
        expect![[r#"fatal: "public"."test_note_v1" is unlogged, and would lose its rows with a crash of the server: name another with `table:`"#]],
    )
    .await;
    check(
        "a_generated",
        "CREATE TABLE test_note_v1 (id bigint NOT NULL, text text NOT NULL, more text GENERATED ALWAYS AS ('x') STORED)",
        json!({}),
        expect![[r#"
            fatal: table "public"."test_note_v1" does not fit `test.note.v1`:
              column `more` is generated by the database: name another table with `table:`"#]],
    )
    .await;
    check(
        "no_schema",
        "SELECT 1",
        json!({"schema": "shop"}),
        expect![[r#"fatal: there is no schema `shop`: name another with `schema:`, or make it: CREATE SCHEMA "shop""#]],
    )
    .await;
    check(
        "no_path",
        "ALTER DATABASE no_path SET search_path = nowhere",
        json!({}),
        expect!["fatal: no schema of the search path exists: name one with `schema:`, or set `search_path`"],
    )
    .await;
    check(
        "no_key",
        "CREATE TABLE test_note_v1 (id bigint NOT NULL, text text NOT NULL, more text);
        CREATE UNIQUE INDEX ON test_note_v1 (id) WHERE id > 0; CREATE UNIQUE INDEX ON test_note_v1 (id, text)",
        json!({"mode": "upsert", "key": ["id"]}),
        expect![[r#"
            fatal: table "public"."test_note_v1" does not fit `test.note.v1`:
              no unique constraint is on `id`, the key: CREATE UNIQUE INDEX ON "public"."test_note_v1" ("id")"#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_make_a_table_is_told_what_to_ask_for() {
    let database = Database::new("denied");
    database.sql(&format!("CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'"));
    let url = database.url.replace("flowctl:", "guest:");
    let fault = postgres(&url, json!({}), vec![schema(NOTE)]).unwrap().open().await.unwrap_err();
    let text = said(&fault);
    assert!(text.starts_with("fatal: cannot create table \"public\".\"flowctl_epochs\": permission denied"), "{text}");
    let (_, statements) = text.split_once("have it made by somebody who may:\n").unwrap();
    database.sql(statements);
    database.sql("GRANT ALL ON flowctl_epochs TO guest; CREATE TABLE test_note_v1 (id bigint NOT NULL, text text NOT NULL, more text); GRANT ALL ON test_note_v1 TO guest");
    let mut sink = postgres(&url, json!({}), vec![schema(NOTE)]).unwrap();
    assert_eq!(sink.open().await, Ok(None));
    write(&mut *sink, &[(1, "one")]).await;
    sink.flush(1).await.unwrap();
    assert_eq!(database.notes_there(), "1:one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_used_is_named_and_its_password_is_not() {
    let server = Server::shared();
    let refused = async |url: String| postgres(&url, json!({}), vec![schema(NOTE)]).unwrap().open().await.unwrap_err();
    let here = format!("127.0.0.1:{}", server.port());

    let port = Port::take();
    let nobody = port.address();
    let fault = refused(server.url().replace(&here, &nobody.to_string())).await;
    assert!(matches!(fault, Fault::Retry(_)));
    let want = format!(
        "retry: cannot reach PostgreSQL at `{nobody}/postgres`: error connecting to server: Connection refused (os error 111)"
    );
    assert_eq!(said(&fault), want);

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let fault = refused(format!("{}?connect_timeout=1", server.url().replace(&here, &address))).await;
    assert_eq!(said(&fault), format!("retry: cannot reach PostgreSQL at `{address}/postgres`: it does not answer"));

    let text = said(&refused(server.url().replace(PASSWORD, "not-it")).await);
    assert_eq!(
        text,
        format!(
            "fatal: PostgreSQL at `{here}/postgres` cannot be used: password authentication failed for user \"flowctl\" (SQLSTATE 28P01)"
        )
    );
    let text = said(&refused(server.url_of("nowhere")).await);
    assert_eq!(
        text,
        format!(
            "fatal: PostgreSQL at `{here}/nowhere` cannot be used: database \"nowhere\" does not exist (SQLSTATE 3D000)"
        )
    );
    let text = said(&refused(server.url().replace(&format!(":{PASSWORD}"), "")).await);
    assert_eq!(
        text,
        format!("fatal: PostgreSQL at `{here}/postgres` cannot be used: invalid configuration: password missing")
    );
}

#[test]
fn names_and_keys_that_cannot_be_are_refused_before_anything_is_opened() {
    let check = |config: Value, wit: &[&str], want: Expect| {
        let inputs = wit.iter().map(|wit| schema(wit)).collect();
        want.assert_eq(&postgres("postgres://nowhere", config, inputs).err().unwrap().to_string());
    };
    let other = "package test:other@1.0.0; interface event { record other { xmin: u32 } }";
    let text = "package test:text@1.0.0; interface event { type text = string; }";
    let nested = "package test:nested@1.0.0; interface event { record nested { a: list<string> } }";
    check(
        json!({"table": "t"}),
        &[NOTE, other],
        expect![
            "`table` of `postgres` is `t`, but the sink takes `test.note.v1` and `test.other.v1`, each of which needs a table of its own: leave `table` out, or give each type a sink"
        ],
    );
    check(json!({"table": ""}), &[NOTE], expect!["`table` of `postgres` is no name: name another, or leave it out"]);
    check(
        json!({"table": "flowctl_epochs"}),
        &[NOTE],
        expect!["`table` of `postgres` is the table in which flowctl keeps its epochs: name another, or leave it out"],
    );
    check(
        json!({"table": "é".repeat(32)}),
        &[NOTE],
        expect![
            "`table` of `postgres` is `éééééééééééééééééééééééééééééééé`, 64 bytes: PostgreSQL's names have at most 63"
        ],
    );
    check(
        json!({}),
        &[other],
        expect![
            "`postgres` cannot run node `node`: the field `xmin` of `test.other.v1` is a name that PostgreSQL has for itself"
        ],
    );
    check(
        json!({}),
        &[text],
        expect!["`postgres` cannot run node `node`: `test.text.v1` is no record: it has no fields to make columns of"],
    );
    check(
        json!({"key": ["id"]}),
        &[NOTE],
        expect!["`key` of `postgres` has no use where every event is a row: add `mode: upsert`"],
    );
    check(
        json!({"mode": "upsert"}),
        &[NOTE],
        expect![
            "`key` of `postgres` is missing: `mode: upsert` needs the columns that tell rows apart, `key: [COLUMN]`"
        ],
    );
    let upsert = |key: &[&str]| json!({"mode": "upsert", "key": key});
    check(
        upsert(&["ident"]),
        &[NOTE],
        expect![
            "`key` of `postgres` names `ident`, which `test.note.v1` does not have; there are `id`, `text`, `more`"
        ],
    );
    check(
        upsert(&["more"]),
        &[NOTE],
        expect!["`key` of `postgres` names `more`, which an event may leave out: a key is always there"],
    );
    check(
        upsert(&["a"]),
        &[nested],
        expect!["`key` of `postgres` names `a`, which has parts of its own: a key is a plain value"],
    );
    check(upsert(&["id", "id"]), &[NOTE], expect!["`key` of `postgres` names `id` twice"]);
}
