//! Every type has its column, and every value comes back as it was.

use expect_test::expect;
use flowctl_schema::Schema;
use serde_json::{Value, json};

use crate::database::{Database, batch, postgres};
use crate::support::schema;

/// A record with a field of every type that an event may have.
pub(crate) const EVERYTHING: &str = "
package test:everything@1.0.0;
interface event {
  enum colour { red, dark-blue }
  variant shape { point, circle(f32), named(string) }
  record part { name: string, weights: list<f64>, is-spare: option<bool> }
  record everything {
    a-bool: bool, an-u8: u8, an-s8: s8, an-u16: u16, an-s16: s16, an-u32: u32, an-s32: s32, an-u64: u64, an-s64: s64,
    an-f32: f32, an-f64: f64, a-char: char, a-string: string, some-bytes: list<u8>, a-colour: colour,
    a-list: list<u16>, a-tuple: tuple<u8, string>, a-shape: shape, a-result: result<u64, string>, a-part: part,
    maybe-bool: option<bool>, maybe-u64: option<u64>, maybe-f64: option<f64>, maybe-string: option<string>,
    maybe-bytes: option<list<u8>>, maybe-colour: option<colour>, maybe-list: option<list<part>>,
  }
}";

/// Three events: the smallest values, the largest, and odd ones.
pub(crate) fn everything() -> [Value; 3] {
    [
        json!({
            "a_bool": false, "an_u8": 0, "an_s8": -128, "an_u16": 0, "an_s16": -32768, "an_u32": 0,
            "an_s32": i32::MIN, "an_u64": 0, "an_s64": i64::MIN, "an_f32": "-Infinity", "an_f64": -1.5e300,
            "a_char": "a", "a_string": "", "some_bytes": "", "a_colour": "red", "a_list": [], "a_tuple": [0, ""],
            "a_shape": "point", "a_result": {"ok": 0}, "a_part": {"name": "", "weights": [], "is_spare": null},
            "maybe_bool": null, "maybe_u64": null, "maybe_f64": null, "maybe_string": null, "maybe_bytes": null,
            "maybe_colour": null, "maybe_list": null,
        }),
        json!({
            "a_bool": true, "an_u8": 255, "an_s8": 127, "an_u16": 65535, "an_s16": 32767, "an_u32": u32::MAX,
            "an_s32": i32::MAX, "an_u64": i64::MAX, "an_s64": i64::MAX, "an_f32": 3.5, "an_f64": 1.7976931348623157e308,
            "a_char": "🦀", "a_string": "é\t\"\\.\n|", "some_bytes": "AAEC/w==", "a_colour": "dark_blue",
            "a_list": [1, 65535], "a_tuple": [255, "x\\u0000"], "a_shape": {"circle": 0.25},
            "a_result": {"err": "no"}, "a_part": {"name": "p", "weights": [0.5, "NaN"], "is_spare": true},
            "maybe_bool": true, "maybe_u64": 10_000, "maybe_f64": 0.1, "maybe_string": "s", "maybe_bytes": "/w==",
            "maybe_colour": "red", "maybe_list": [{"name": "q", "weights": [], "is_spare": null}],
        }),
        json!({
            "a_bool": true, "an_u8": 7, "an_s8": -1, "an_u16": 300, "an_s16": -300, "an_u32": 70_000, "an_s32": -70_000,
            "an_u64": 12_345_678_901_234_567_u64, "an_s64": -1, "an_f32": 1e-40, "an_f64": -0.0,
            "a_char": "\"", "a_string": "long ".repeat(1_000), "some_bytes": "/////w==", "a_colour": "red",
            "a_list": [7], "a_tuple": [1, "t"], "a_shape": {"named": "n"}, "a_result": {"ok": u64::MAX},
            "a_part": {"name": "\u{1}", "weights": [1.0], "is_spare": false},
            "maybe_bool": false, "maybe_u64": 99_990_000, "maybe_f64": 5e-324, "maybe_string": "",
            "maybe_bytes": "", "maybe_colour": "dark_blue", "maybe_list": [],
        }),
    ]
}

/// The event as its payload has it.
fn as_read(schema: &Schema, event: &Value) -> Value {
    let mut payload = Vec::new();
    schema.json_to_payload(event.to_string().as_bytes(), &mut payload).unwrap();
    let mut text = Vec::new();
    schema.payload_to_json(&payload, &mut text).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_a_column_and_every_value_survives() {
    let database = Database::new("columns");
    let schema = schema(EVERYTHING);
    let mut sink = postgres(&database.url, json!({}), vec![schema.clone()]).unwrap();
    sink.open().await.unwrap();
    let mut events = everything().to_vec();
    events[1]["an_u64"] = u64::MAX.into();
    assert_eq!(sink.write(&batch(&schema, &events)).await, Ok(vec![]));
    sink.flush(1).await.unwrap();

    let columns = "SELECT string_agg(a.attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END, E'\\n' ORDER BY attnum)
        FROM pg_attribute a WHERE attrelid = 'test_everything_v1'::regclass AND attnum > 0";
    expect![[r#"
        a_bool boolean NOT NULL
        an_u8 smallint NOT NULL
        an_s8 smallint NOT NULL
        an_u16 integer NOT NULL
        an_s16 smallint NOT NULL
        an_u32 bigint NOT NULL
        an_s32 integer NOT NULL
        an_u64 numeric(20,0) NOT NULL
        an_s64 bigint NOT NULL
        an_f32 real NOT NULL
        an_f64 double precision NOT NULL
        a_char text NOT NULL
        a_string text NOT NULL
        some_bytes bytea NOT NULL
        a_colour text NOT NULL
        a_list jsonb NOT NULL
        a_tuple jsonb NOT NULL
        a_shape jsonb NOT NULL
        a_result jsonb NOT NULL
        a_part jsonb NOT NULL
        maybe_bool boolean
        maybe_u64 numeric(20,0)
        maybe_f64 double precision
        maybe_string text
        maybe_bytes bytea
        maybe_colour text
        maybe_list jsonb"#]]
    .assert_eq(&database.sql(columns));
    assert_eq!(
        database.sql("SELECT obj_description('test_everything_v1'::regclass)"),
        "Events of test.everything.v1, one row each, written by flowctl"
    );

    // JSON as the database makes it of whole rows, with bytes in base64 and without floats
    let rows = "SELECT to_jsonb(t) - 'an_f32' - 'an_f64' - 'maybe_f64' || jsonb_build_object('some_bytes', encode(some_bytes, 'base64'), 'maybe_bytes', encode(maybe_bytes, 'base64'))
        FROM test_everything_v1 t ORDER BY an_u8";
    let read: Vec<Value> = database.sql(rows).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut wanted: Vec<Value> = events.iter().map(|event| as_read(&schema, event)).collect();
    wanted.sort_by_key(|event| event["an_u8"].as_u64());
    for event in wanted.iter_mut().filter_map(Value::as_object_mut) {
        event.retain(|name, _| !["an_f32", "an_f64", "maybe_f64"].contains(&name.as_str()));
    }
    assert_eq!(read, wanted);
    let floats = database.sql("SELECT an_f32, an_f64, maybe_f64 FROM test_everything_v1 ORDER BY an_u8");
    let number = |text: &str| text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| format!("{number:e}"));
    let floats: Vec<String> =
        floats.lines().map(|line| line.split('|').map(number).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(floats, ["-inf -1.5e300 ", "1e-40 -0e0 5e-324", "3.5e0 1.7976931348623157e308 1e-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_has_no_place_for_is_refused_alone() {
    let database = Database::new("refused");
    let wit = "package test:odd@1.0.0; interface event { record pair { a: string, b: u8 }
        record odd { id: u8, text: string, letter: char, pair: option<pair> } }";
    let schema = schema(wit);
    let mut sink = postgres(&database.url, json!({}), vec![schema.clone()]).unwrap();
    sink.open().await.unwrap();
    let event = |id: u8, text: &str, letter: &str, inner: &str| json!({"id": id, "text": text, "letter": letter, "pair": {"a": inner, "b": 1}});
    let odd = batch(
        &schema,
        &[
            event(1, "fine", "x", "\\u0000"),
            event(2, "a\0b", "x", ""),
            event(3, "", "\0", ""),
            event(4, "", "x", "\\\0"),
            event(5, "", "x", ""),
        ],
    );
    let mut damaged = (*odd).clone();
    damaged.columns.push(0, &[9]);
    let rejected = sink.write(&damaged.into()).await.unwrap();
    let reasons: Vec<_> =
        rejected.iter().map(|rejection| format!("{} {}", rejection.index, rejection.reason)).collect();
    expect![[r#"
        1 column `text`: it holds the character U+0000, which PostgreSQL cannot store
        2 column `letter`: it holds the character U+0000, which PostgreSQL cannot store
        3 column `pair`: a text in it holds the character U+0000, which PostgreSQL cannot store
        5 payload is no valid `test.odd.v1`: a number that does not fit 32 bits at byte 1 (`text`)"#]]
    .assert_eq(&reasons.join("\n"));
    sink.flush(1).await.unwrap();
    assert_eq!(database.sql("SELECT id FROM test_odd_v1 ORDER BY id"), "1\n5");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_type_of_several_has_its_table() {
    let database = Database::new("several");
    let second = "package test:other@1.0.0; interface event { record other { note: string } }";
    let schemas = vec![schema(crate::database::NOTE), schema(second)];
    let mut sink = postgres(&database.url, json!({}), schemas.clone()).unwrap();
    sink.open().await.unwrap();
    crate::database::write(&mut *sink, &[(1, "one")]).await;
    let mut other = (*batch(&schemas[1], &[json!({"note": "two"})])).clone();
    other.columns.kind = 1;
    assert_eq!(sink.write(&other.into()).await, Ok(vec![]));
    crate::database::write(&mut *sink, &[(3, "three")]).await;
    sink.flush(1).await.unwrap();
    assert_eq!(database.notes_there(), "1:one 3:three");
    assert_eq!(database.sql("SELECT note FROM test_other_v1"), "two");
}
