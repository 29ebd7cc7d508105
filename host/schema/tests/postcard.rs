//! The payload is what the `postcard` crate makes of the equivalent Rust types.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use flowctl_schema::Schema;
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

const WIT: &str = "package test:all@1.0.0; interface event {
    enum colour { red, light-green, blue }
    variant choice { nothing, number(u64), text(string) }
    record inner { a: s16, b: option<string> }
    record all {
        a-bool: bool, a-u8: u8, an-s8: s8, a-u16: u16, an-s16: s16, a-u32: u32, an-s32: s32, a-u64: u64, an-s64: s64,
        an-f32: f32, an-f64: f64, a-char: char, a-string: string, bytes: list<u8>, numbers: list<u32>,
        maybe: option<string>, outcome: result<u32, string>, done: result, pair: tuple<u8, string>,
        choice: choice, colour: colour, inners: list<inner>,
    }
}";

#[derive(Debug, Clone, Serialize)]
struct All {
    integers: (bool, u8, i8, u16, i16, u32, i32, u64, i64),
    floats: (f32, f64),
    texts: (char, String, Vec<u8>, Vec<u32>, Option<String>),
    results: (Result<u32, String>, Result<(), ()>, (u8, String)),
    choices: (Choice, Colour, Vec<Inner>),
}

#[derive(Debug, Clone, Serialize)]
enum Choice {
    Nothing,
    Number(u64),
    Text(String),
}

#[derive(Debug, Clone, Serialize)]
enum Colour {
    Red,
    LightGreen,
    Blue,
}

#[derive(Debug, Clone, Serialize)]
struct Inner {
    a: i16,
    b: Option<String>,
}

fn any_event() -> impl Strategy<Value = All> {
    let choice = prop_oneof![
        Just(Choice::Nothing),
        any::<u64>().prop_map(Choice::Number),
        any::<String>().prop_map(Choice::Text)
    ];
    let colour = prop::sample::select(vec![Colour::Red, Colour::LightGreen, Colour::Blue]);
    let inner = any::<(i16, Option<String>)>().prop_map(|(a, b)| Inner { a, b });
    let float = |n: f64| if n.is_nan() { f64::NAN } else { n };
    let single = |n: f32| if n.is_nan() { f32::NAN } else { n };
    let floats = (prop::num::f32::ANY.prop_map(single), prop::num::f64::ANY.prop_map(float));
    let choices = (choice, colour, prop::collection::vec(inner, 0..4));
    (
        any::<(bool, u8, i8, u16, i16, u32, i32, u64, i64)>(),
        floats,
        any::<(char, String, Vec<u8>, Vec<u32>, Option<String>)>(),
        any::<(Result<u32, String>, Result<(), ()>, (u8, String))>(),
        choices,
    )
        .prop_map(|(integers, floats, texts, results, choices)| All { integers, floats, texts, results, choices })
}

fn float(n: f64, text: &str) -> Value {
    match n {
        n if n.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => serde_json::from_str(text).unwrap(),
    }
}

fn json(all: &All) -> Value {
    let (a_bool, a_u8, an_s8, a_u16, an_s16, a_u32, an_s32, a_u64, an_s64) = all.integers;
    let (a_char, a_string, bytes, numbers, maybe) = &all.texts;
    let (outcome, done, pair) = &all.results;
    let choice = match &all.choices.0 {
        Choice::Nothing => json!("nothing"),
        Choice::Number(n) => json!({ "number": n }),
        Choice::Text(text) => json!({ "text": text }),
    };
    let colour = match all.choices.1 {
        Colour::Red => "red",
        Colour::LightGreen => "light_green",
        Colour::Blue => "blue",
    };
    let mut value = json!({
        "a_bool": a_bool, "a_u8": a_u8, "an_s8": an_s8, "a_u16": a_u16, "an_s16": an_s16, "a_u32": a_u32,
        "an_s32": an_s32, "a_u64": a_u64, "an_s64": an_s64, "a_char": a_char, "a_string": a_string,
    });
    let more = json!({
        "an_f32": float(all.floats.0.into(), &serde_json::to_string(&all.floats.0).unwrap()),
        "an_f64": float(all.floats.1, &serde_json::to_string(&all.floats.1).unwrap()),
        "bytes": base64::engine::general_purpose::STANDARD.encode(bytes),
        "numbers": numbers,
        "maybe": maybe,
        "outcome": match outcome { Ok(n) => json!({ "ok": n }), Err(text) => json!({ "err": text }) },
        "done": if done.is_ok() { json!({ "ok": null }) } else { json!({ "err": null }) },
        "pair": pair, "choice": choice, "colour": colour, "inners": all.choices.2,
    });
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn payloads_are_what_postcard_makes(all in any_event()) {
        let schema = &Schema::from_wit(WIT).unwrap()[0];
        let bytes = postcard::to_allocvec(&all).unwrap();
        let mut text = Vec::new();
        schema.payload_to_json(&bytes, &mut text).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), json(&all));
        let mut payload = Vec::new();
        schema.json_to_payload(json(&all).to_string().as_bytes(), &mut payload).unwrap();
        prop_assert_eq!(payload, bytes);
    }
}
