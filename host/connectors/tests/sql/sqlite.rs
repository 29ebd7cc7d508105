//! The sink `sqlite`: the same rules in a file.

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use flowctl_connectors::{ConnectorError, sink};
use flowctl_runtime::{Fault, Sink};
use flowctl_schema::{Role, Schema};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::columns::{EVERYTHING, everything};
use crate::database::{NOTE, batch, notes, said, write};
use crate::support::{node, pipeline, schema};

const TABLE: &str = "CREATE TABLE test_note_v1 (id INTEGER NOT NULL, text TEXT NOT NULL, more TEXT)";

/// A database in a folder of its own.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        Self { _folder: folder, path }
    }

    fn connection(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    /// Runs SQL, and answers its rows: a line each, columns parted by `|`.
    fn sql(&self, sql: &str) -> String {
        let connection = self.connection();
        let mut statement = connection.prepare(sql).unwrap();
        let n = statement.column_count();
        let rows = statement.query_map([], |row| {
            let column = |index| match row.get_ref(index).unwrap() {
                ValueRef::Null => String::new(),
                ValueRef::Integer(value) => value.to_string(),
                ValueRef::Real(value) => format!("{value:e}"),
                ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                ValueRef::Blob(bytes) => format!("{bytes:x?}"),
            };
            Ok((0..n).map(column).collect::<Vec<_>>().join("|"))
        });
        rows.unwrap().collect::<Result<Vec<_>, _>>().unwrap().join("\n")
    }

    fn sink_of(&self, mut config: Value, inputs: Vec<Schema>) -> Result<Box<dyn Sink>, ConnectorError> {
        config["path"] = self.path.to_str().into();
        sink(&node("sqlite", Role::Sink, config, inputs, vec![]), &pipeline())
    }

    async fn notes(&self, config: Value) -> Box<dyn Sink> {
        let mut sink = self.sink_of(config, vec![schema(NOTE)]).unwrap();
        sink.open().await.unwrap();
        sink
    }

    fn notes_there(&self) -> String {
        self.sql("SELECT coalesce(group_concat(id || ':' || text, ' ' ORDER BY id), '') FROM test_note_v1")
    }
}

#[tokio::test]
async fn every_type_is_a_column_and_every_value_survives() {
    let file = File::new();
    let schema = schema(EVERYTHING);
    let mut sink = file.sink_of(json!({}), vec![schema.clone()]).unwrap();
    assert!(!file.path.exists(), "nothing is made before it is opened");
    sink.open().await.unwrap();
    assert_eq!(sink.write(&batch(&schema, &everything())).await, Ok(vec![]));
    sink.flush(1).await.unwrap();
    expect![[r#"
        CREATE TABLE "test_everything_v1" ( -- Events of test.everything.v1, one row each, written by flowctl
            "a_bool" INTEGER NOT NULL,
            "an_u8" INTEGER NOT NULL,
            "an_s8" INTEGER NOT NULL,
            "an_u16" INTEGER NOT NULL,
            "an_s16" INTEGER NOT NULL,
            "an_u32" INTEGER NOT NULL,
            "an_s32" INTEGER NOT NULL,
            "an_u64" INTEGER NOT NULL,
            "an_s64" INTEGER NOT NULL,
            "an_f32" REAL NOT NULL,
            "an_f64" REAL NOT NULL,
            "a_char" TEXT NOT NULL,
            "a_string" TEXT NOT NULL,
            "some_bytes" BLOB NOT NULL,
            "a_colour" TEXT NOT NULL,
            "a_list" TEXT NOT NULL,
            "a_tuple" TEXT NOT NULL,
            "a_shape" TEXT NOT NULL,
            "a_result" TEXT NOT NULL,
            "a_part" TEXT NOT NULL,
            "maybe_bool" INTEGER,
            "maybe_u64" INTEGER,
            "maybe_f64" REAL,
            "maybe_string" TEXT,
            "maybe_bytes" BLOB,
            "maybe_colour" TEXT,
            "maybe_list" TEXT
        ) STRICT"#]]
    .assert_eq(&file.sql("SELECT sql FROM sqlite_schema WHERE name = 'test_everything_v1'"));
    let long = "long ".repeat(1_000);
    expect![[r#"
        0|0|-128|0|-32768|0|-2147483648|0|-9223372036854775808|-inf|-1.5e300|a||[]|red|[]|[0,""]|"point"|{"ok":0}|{"name":"","weights":[],"is_spare":null}|||||||
        1|255|127|65535|32767|4294967295|2147483647|9223372036854775807|9223372036854775807|3.5e0|1.7976931348623157e308|🦀|é	"\.
        ||[0, 1, 2, ff]|dark_blue|[1,65535]|[255,"x\\u0000"]|{"circle":0.25}|{"err":"no"}|{"name":"p","weights":[0.5,"NaN"],"is_spare":true}|1|10000|1e-1|s|[ff]|red|[{"name":"q","weights":[],"is_spare":null}]
        1|7|-1|300|-300|70000|-70000|12345678901234567|-1|9.99994610111476e-41|0e0|"|LONG|[ff, ff, ff, ff]|red|[7]|[1,"t"]|{"named":"n"}|{"ok":18446744073709551615}|{"name":"\u0001","weights":[1.0],"is_spare":false}|0|99990000|5e-324||[]|dark_blue|[]"#]]
    .assert_eq(&file.sql("SELECT * FROM test_everything_v1").replace(&long, "LONG"));
}

#[tokio::test]
async fn what_the_database_has_no_place_for_is_refused_alone() {
    let file = File::new();
    let wit =
        "package test:odd@1.0.0; interface event { record odd { big: u64, narrow: option<f32>, wide: option<f64> } }";
    let schema = schema(wit);
    let mut sink = file.sink_of(json!({}), vec![schema.clone()]).unwrap();
    sink.open().await.unwrap();
    let odd = [
        json!({"big": i64::MAX, "wide": "Infinity"}),
        json!({"big": i64::MAX as u64 + 1}),
        json!({"big": 1, "narrow": "NaN"}),
        json!({"big": 1, "wide": "NaN"}),
        json!({"big": 2, "narrow": "-Infinity"}),
    ];
    let rejected = sink.write(&batch(&schema, &odd)).await.unwrap();
    let reasons: Vec<_> =
        rejected.iter().map(|rejection| format!("{} {}", rejection.index, rejection.reason)).collect();
    expect![[r#"
        1 column `big`: it is past 9223372036854775807, which SQLite cannot store
        2 column `narrow`: it is not a number, which SQLite cannot store
        3 column `wide`: it is not a number, which SQLite cannot store"#]]
    .assert_eq(&reasons.join("\n"));
    sink.flush(1).await.unwrap();
    assert_eq!(file.sql("SELECT * FROM test_odd_v1"), "9223372036854775807||inf\n2|-inf|");
}

#[tokio::test]
async fn rows_and_their_epoch_are_committed_together_and_the_rest_is_forgotten() {
    for sql in ["SELECT 1", TABLE, &format!("{TABLE}; CREATE UNIQUE INDEX once ON test_note_v1 (text)")] {
        let file = File::new();
        file.connection().execute_batch(sql).unwrap();
        let mut sink = file.sink_of(json!({}), vec![schema(NOTE)]).unwrap();
        assert_eq!(sink.open().await, Ok(None));
        write(&mut *sink, &[(1, "one")]).await;
        write(&mut *sink, &[(2, "two")]).await;
        assert_eq!(file.notes_there(), "");
        sink.flush(1).await.unwrap();
        sink.flush(2).await.unwrap();
        assert_eq!(file.notes_there(), "1:one 2:two");
        write(&mut *sink, &[(3, "three")]).await;
        assert_eq!(sink.rewind().await, Ok(Some(2)));
        write(&mut *sink, &[(4, "four")]).await;
        sink.flush(3).await.unwrap();
        write(&mut *sink, &[(5, "five")]).await;
        drop(sink);
        assert_eq!(file.notes_there(), "1:one 2:two 4:four");
        assert_eq!(file.sql("SELECT pipeline, state_id, node, epoch FROM flowctl_epochs"), "test|0|node|3");
        let mut sink = file.sink_of(json!({}), vec![schema(NOTE)]).unwrap();
        assert_eq!(sink.open().await, Ok(Some(3)));
    }
}

#[tokio::test]
async fn the_last_event_of_a_key_is_its_row() {
    let upsert = json!({"mode": "upsert", "key": ["id"]});
    for (sql, n_refused) in [
        ("SELECT 1", 0),
        ("CREATE TABLE test_note_v1 (id INTEGER PRIMARY KEY NOT NULL, text TEXT NOT NULL, more TEXT)", 0),
        (
            "CREATE TABLE test_note_v1 (id INTEGER NOT NULL UNIQUE, text TEXT NOT NULL CHECK (text <> 'x'), more TEXT)",
            1,
        ),
    ] {
        let file = File::new();
        file.connection().execute_batch(sql).unwrap();
        let mut sink = file.notes(upsert.clone()).await;
        write(&mut *sink, &[(1, "a"), (2, "b"), (1, "c")]).await;
        write(&mut *sink, &[(2, "d"), (3, "e"), (2, "f")]).await;
        sink.flush(1).await.unwrap();
        assert_eq!(file.notes_there(), "1:c 2:f 3:e");
        assert_eq!(sink.write(&notes(&[(1, "x"), (4, "g")])).await.unwrap().len(), n_refused);
        sink.flush(2).await.unwrap();
        assert_eq!(file.notes_there(), if n_refused == 0 { "1:x 2:f 3:e 4:g" } else { "1:c 2:f 3:e 4:g" });
    }
}

#[tokio::test]
async fn events_that_break_a_rule_are_found_and_the_others_are_rows() {
    let file = File::new();
    file.connection()
        .execute_batch(
            "CREATE TABLE test_note_v1 (id INTEGER NOT NULL UNIQUE, text TEXT NOT NULL CHECK (length(text) < 9), more TEXT);
            CREATE TRIGGER refuse BEFORE INSERT ON test_note_v1 WHEN NEW.id = 13 BEGIN SELECT RAISE(ABORT, 'no thirteen'); END",
        )
        .unwrap();
    let mut sink = file.notes(json!({})).await;
    write(&mut *sink, &[(1, "one")]).await;
    let rejected = sink.write(&notes(&[(2, "two"), (1, "again"), (3, "far too long"), (13, "x"), (4, "four")])).await;
    let reasons: Vec<_> =
        rejected.unwrap().iter().map(|rejection| format!("{} {}", rejection.index, rejection.reason)).collect();
    expect![[r#"
        1 UNIQUE constraint failed: test_note_v1.id
        2 CHECK constraint failed: length(text) < 9
        3 no thirteen"#]]
    .assert_eq(&reasons.join("\n"));
    sink.flush(1).await.unwrap();
    assert_eq!(file.notes_there(), "1:one 2:two 4:four");
}

#[tokio::test]
async fn a_rule_that_comes_while_events_flow_is_found_when_they_come_again() {
    let file = File::new();
    let mut sink = file.notes(json!({})).await;
    write(&mut *sink, &[(1, "one"), (2, "one")]).await;
    file.connection().execute_batch("CREATE UNIQUE INDEX once ON test_note_v1 (text)").unwrap();
    let fault = sink.flush(1).await.unwrap_err();
    let want = format!(
        "lost: cannot commit epoch 1 to `{}`: UNIQUE constraint failed: test_note_v1.text",
        file.path.display()
    );
    assert_eq!(said(&fault), want);
    assert!(matches!(sink.flush(1).await, Err(Fault::Lost(_))), "until somebody goes back");
    assert_eq!(sink.rewind().await, Ok(None));
    assert_eq!(sink.write(&notes(&[(1, "one"), (2, "one")])).await.unwrap().len(), 1);
    sink.flush(1).await.unwrap();
    assert_eq!(file.notes_there(), "1:one");
}

#[tokio::test]
async fn sinks_of_one_file_do_not_wait_for_each_other() {
    let file = File::new();
    let mut sinks = Vec::new();
    for id in ["one", "other"] {
        let mut node = node("sqlite", Role::Sink, json!({"path": file.path}), vec![schema(NOTE)], vec![]);
        node.id = id.parse().unwrap();
        let mut sink = sink(&node, &pipeline()).unwrap();
        sink.open().await.unwrap();
        sinks.push(sink);
    }
    for (id, sink) in (1..).zip(&mut sinks) {
        write(&mut **sink, &[(id, "x")]).await;
    }
    for sink in &mut sinks {
        sink.flush(1).await.unwrap();
    }
    assert_eq!(file.notes_there(), "1:x 2:x");
    assert_eq!(file.sql("SELECT node FROM flowctl_epochs ORDER BY node"), "one\nother");
}

#[tokio::test]
async fn a_file_that_another_writer_holds_may_be_tried_again() {
    let file = File::new();
    let mut sink = file.notes(json!({})).await;
    write(&mut *sink, &[(1, "one")]).await;
    let other = file.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let fault = sink.flush(1).await.unwrap_err();
    assert!(said(&fault).ends_with("database is locked; another writer holds the file"), "{fault:?}");
    assert!(matches!(fault, Fault::Retry(_)));
    other.execute_batch("COMMIT").unwrap();
    sink.flush(1).await.unwrap();
    assert_eq!(file.notes_there(), "1:one");
}

#[tokio::test]
async fn a_call_that_was_given_up_is_lost_or_found() {
    let file = File::new();
    let mut sink = file.notes(json!({})).await;
    let mut given_up = std::task::Context::from_waker(std::task::Waker::noop());
    let batch = notes(&[(1, "one")]);
    // a call may be done before it is looked at the first time
    while !sink.write(&batch).as_mut().poll(&mut given_up).is_pending() {
        sink.rewind().await.unwrap();
    }
    assert!(matches!(sink.flush(1).await, Err(Fault::Lost(_))));
    assert_eq!(sink.rewind().await, Ok(None));
    let mut epoch = 1;
    write(&mut *sink, &[(1, "one")]).await;
    while !sink.flush(epoch).as_mut().poll(&mut given_up).is_pending() {
        epoch += 1;
    }
    assert_eq!(sink.flush(epoch).await, Ok(()), "the call went on to its end");
    assert_eq!(file.notes_there(), "1:one");
    assert_eq!(file.sql("SELECT epoch FROM flowctl_epochs"), epoch.to_string());
}

async fn check(sql: &str, config: Value, want: Expect) {
    let file = File::new();
    file.connection().execute_batch(sql).unwrap();
    let fault = file.sink_of(config, vec![schema(NOTE)]).unwrap().open().await.unwrap_err();
    want.assert_eq(&said(&fault).replace(file.path.to_str().unwrap(), "events.db"));
}

#[tokio::test]
async fn a_table_that_does_not_fit_is_told_column_by_column() {
    check(
        "CREATE TABLE test_note_v1 (id TEXT, text TEXT, more TEXT NOT NULL, owner TEXT NOT NULL, at TEXT NOT NULL DEFAULT 'x')",
        json!({}),
        expect![[r#"
            fatal: `events.db`: table "test_note_v1" does not fit `test.note.v1`:
              column `id` is `TEXT`, and has to be `INTEGER`: SQLite cannot change a column, so make the table anew, or name another with `table:`
              column `text` allows null, and the field is never null: SQLite cannot change a column, so make the table anew, or name another with `table:`
              column `more` is NOT NULL, and the field is an option: SQLite cannot change a column, so make the table anew, or name another with `table:`
              column `owner` is NOT NULL without a default, and `test.note.v1` has no such field: SQLite cannot change a column, so make the table anew, or name another with `table:`"#]],
    )
    .await;
    check(
        "CREATE TABLE test_note_v1 (number INTEGER PRIMARY KEY, id INT NOT NULL, text TEXT NOT NULL)",
        json!({"mode": "upsert", "key": ["id"]}),
        expect![[r#"
            fatal: `events.db`: table "test_note_v1" does not fit `test.note.v1`:
              column `more` of type `TEXT` is missing: ALTER TABLE "test_note_v1" ADD COLUMN "more" TEXT
              no unique constraint is on `id`, the key: CREATE UNIQUE INDEX "test_note_v1_key" ON "test_note_v1" ("id")"#]],
    )
    .await;
    check(
        "CREATE VIEW test_note_v1 AS SELECT 1 AS id",
        json!({}),
        expect![[
            r#"fatal: `events.db`: "test_note_v1" is a view that rows are not written to: name another with `table:`"#
        ]],
    )
    .await;
}

#[tokio::test]
async fn what_the_message_says_mends_the_table() {
    let file = File::new();
    file.connection().execute_batch("CREATE TABLE test_note_v1 (id INTEGER NOT NULL, text TEXT NOT NULL)").unwrap();
    let mut sink = file.sink_of(json!({"mode": "upsert", "key": ["id"]}), vec![schema(NOTE)]).unwrap();
    let fault = sink.open().await.unwrap_err().to_string();
    for line in fault.lines().skip(1) {
        file.connection().execute_batch(line.split_once(": ").unwrap().1).unwrap();
    }
    sink.open().await.unwrap();
    write(&mut *sink, &[(1, "one"), (1, "two")]).await;
    sink.flush(1).await.unwrap();
    assert_eq!(file.notes_there(), "1:two");
}

#[test]
fn a_path_that_cannot_be_a_database_is_refused_before_anything_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(&text, "not a database").unwrap();
    std::fs::write(folder.path().join("empty"), "").unwrap();
    let check = |path: &Path, want: Expect| {
        let node = node("sqlite", Role::Sink, json!({"path": path}), vec![schema(NOTE)], vec![]);
        let error = sink(&node, &pipeline()).err().map(|error| error.to_string());
        want.assert_eq(&error.unwrap_or_default().replace(folder.path().to_str().unwrap(), "FOLDER"));
    };
    check(Path::new(""), expect!["`path` of `sqlite` is empty: name the database's file"]);
    check(folder.path(), expect!["`path` of `sqlite` names a directory: write `FOLDER/events.db`, for instance"]);
    check(&text, expect!["`path` of `sqlite` names a file that is no SQLite database: `FOLDER/text`; name another"]);
    check(Path::new("/dev/null"), expect!["`path` of `sqlite` names no file: `/dev/null`"]);
    check(&folder.path().join("no/events.db"), expect!["`sqlite` cannot write `FOLDER/no/events.db`"]);
    check(&text.join("events.db"), expect!["`sqlite` cannot write `FOLDER/text/events.db`"]);
    check(&folder.path().join("empty"), expect![""]);
}

#[tokio::test]
async fn a_damaged_database_is_named() {
    let file = File::new();
    let mut text = b"SQLite format 3\0".to_vec();
    text.resize(8_192, 7);
    std::fs::write(&file.path, text).unwrap();
    let fault = file.sink_of(json!({}), vec![schema(NOTE)]).unwrap().open().await.unwrap_err();
    let want =
        format!("fatal: cannot open `{}`: file is not a database; name another file with `path:`", file.path.display());
    assert_eq!(said(&fault), want);
}
