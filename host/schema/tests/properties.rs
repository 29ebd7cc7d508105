//! Arbitrary types and arbitrary values of them, arbitrary bytes and arbitrary text.
#![allow(clippy::unwrap_used)]

use flowctl_schema::{Cell, RowError, Schema};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

#[derive(Debug, Clone)]
enum Ty {
    Plain(&'static str),
    List(Box<Ty>),
    Option(Box<Ty>),
    Result(Option<Box<Ty>>, Option<Box<Ty>>),
    Tuple(Vec<Ty>),
    Record(Vec<Ty>),
    Variant(Vec<Option<Ty>>),
    Enum(usize),
}

const PLAIN: [&str; 14] =
    ["bool", "u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "char", "string", "list<u8>"];

fn any_type() -> impl Strategy<Value = Ty> {
    let leaf = prop_oneof![
        4 => prop::sample::select(&PLAIN[..]).prop_map(Ty::Plain),
        1 => (1..20usize).prop_map(Ty::Enum),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let not_option = inner.clone().prop_filter("no nested options", |ty| !matches!(ty, Ty::Option(_)));
        let boxed = |ty| prop::option::of(ty).prop_map(|ty: Option<Ty>| ty.map(Box::new));
        let not_u8 = inner.clone().prop_filter("bytes are plain", |ty| !matches!(ty, Ty::Plain("u8")));
        prop_oneof![
            1 => not_u8.prop_map(|ty| Ty::List(Box::new(ty))),
            1 => not_option.prop_map(|ty| Ty::Option(Box::new(ty))),
            1 => (boxed(inner.clone()), boxed(inner.clone())).prop_map(|(ok, err)| Ty::Result(ok, err)),
            1 => prop::collection::vec(inner.clone(), 1..4).prop_map(Ty::Tuple),
            4 => prop::collection::vec(inner.clone(), 1..20).prop_map(Ty::Record),
            1 => prop::collection::vec(prop::option::of(inner), 1..6).prop_map(Ty::Variant),
        ]
    })
}

/// The type's name in WIT, with the definitions that it needs.
fn wit(ty: &Ty, definitions: &mut String) -> String {
    let define = |definitions: &mut String, keyword: &str, members: Vec<String>| {
        let name = format!("t{}", definitions.lines().count());
        definitions.push_str(&format!("{keyword} {name} {{ {} }}\n", members.join(", ")));
        name
    };
    match ty {
        Ty::Plain(name) => (*name).to_owned(),
        Ty::List(inner) => format!("list<{}>", wit(inner, definitions)),
        Ty::Option(inner) => format!("option<{}>", wit(inner, definitions)),
        Ty::Result(ok, err) => {
            let ok = ok.as_ref().map_or("_".to_owned(), |ty| wit(ty, definitions));
            match err {
                Some(err) => format!("result<{ok}, {}>", wit(err, definitions)),
                None if ok == "_" => "result".to_owned(),
                None => format!("result<{ok}>"),
            }
        }
        Ty::Tuple(types) => {
            let types: Vec<_> = types.iter().map(|ty| wit(ty, definitions)).collect();
            format!("tuple<{}>", types.join(", "))
        }
        Ty::Record(types) => {
            let fields = types.iter().enumerate().map(|(i, ty)| format!("my-f{i}: {}", wit(ty, definitions))).collect();
            define(definitions, "record", fields)
        }
        Ty::Variant(types) => {
            let cases = types.iter().enumerate().map(|(i, ty)| match ty {
                Some(ty) => format!("my-c{i}({})", wit(ty, definitions)),
                None => format!("my-c{i}"),
            });
            let cases = cases.collect();
            define(definitions, "variant", cases)
        }
        Ty::Enum(n) => define(definitions, "enum", (0..*n).map(|i| format!("my-c{i}")).collect()),
    }
}

fn schema(ty: &Ty) -> Schema {
    let mut definitions = String::new();
    let name = wit(ty, &mut definitions);
    // A definition of its own, so that bytes are not opaque.
    let text = format!(
        "package test:any@1.0.0; interface event {{ {definitions} record event {{ value: {name}, last: option<u8> }} }}"
    );
    Schema::from_wit(&text).unwrap().remove(0)
}

fn value(ty: &Ty) -> BoxedStrategy<Value> {
    match ty {
        Ty::Plain(name) => plain_value(name),
        Ty::List(inner) => prop_oneof![
            20 => prop::collection::vec(value(inner), 0..4),
            1 => prop::collection::vec(value(inner), 128..130),
        ]
        .prop_map(Value::Array)
        .boxed(),
        Ty::Option(inner) => prop_oneof![Just(Value::Null), value(inner)].boxed(),
        Ty::Result(ok, err) => {
            let part = |name: &'static str, ty: &Option<Box<Ty>>| {
                let inner = ty.as_ref().map_or(Just(Value::Null).boxed(), |ty| value(ty));
                inner.prop_map(move |value| json!({ name: value }))
            };
            prop_oneof![part("ok", ok), part("err", err)].boxed()
        }
        Ty::Tuple(types) => types.iter().map(value).collect::<Vec<_>>().prop_map(Value::Array).boxed(),
        Ty::Record(types) => {
            let values = types.iter().map(value).collect::<Vec<_>>();
            let named = |values: Vec<Value>| {
                values.into_iter().enumerate().map(|(i, value)| (format!("my_f{i}"), value)).collect::<Map<_, _>>()
            };
            values.prop_map(move |values| Value::Object(named(values))).boxed()
        }
        Ty::Variant(types) => {
            let cases = types.iter().enumerate().map(|(i, ty)| match ty {
                Some(ty) => value(ty).prop_map(move |value| json!({ format!("my_c{i}"): value })).boxed(),
                None => Just(Value::from(format!("my_c{i}"))).boxed(),
            });
            prop::strategy::Union::new(cases.collect::<Vec<_>>()).boxed()
        }
        Ty::Enum(n) => (0..*n).prop_map(|i| format!("my_c{i}").into()).boxed(),
    }
}

fn plain_value(name: &str) -> BoxedStrategy<Value> {
    use base64::Engine as _;
    let special = || prop::sample::select(vec!["NaN", "Infinity", "-Infinity"]).prop_map(Value::from);
    match name {
        "bool" => any::<bool>().prop_map(Value::from).boxed(),
        "u8" => any::<u8>().prop_map(Value::from).boxed(),
        "s8" => any::<i8>().prop_map(Value::from).boxed(),
        "u16" => any::<u16>().prop_map(Value::from).boxed(),
        "s16" => any::<i16>().prop_map(Value::from).boxed(),
        "u32" => any::<u32>().prop_map(Value::from).boxed(),
        "s32" => any::<i32>().prop_map(Value::from).boxed(),
        "u64" => any::<u64>().prop_map(Value::from).boxed(),
        "s64" => any::<i64>().prop_map(Value::from).boxed(),
        "f32" => prop_oneof![4 => prop::num::f32::NORMAL.prop_map(|n| serde_json::from_str(&serde_json::to_string(&n).unwrap()).unwrap()), 1 => special()].boxed(),
        "f64" => prop_oneof![4 => prop::num::f64::NORMAL.prop_map(Value::from), 1 => special()].boxed(),
        "char" => any::<char>().prop_map(|c| c.to_string().into()).boxed(),
        "string" => prop_oneof![any::<String>(), "[\\x00-\\x7f]{0,200}"].prop_map(Value::from).boxed(),
        _ => prop::collection::vec(any::<u8>(), 0..200)
            .prop_map(|bytes| base64::engine::general_purpose::STANDARD.encode(bytes).into())
            .boxed(),
    }
}

fn event() -> impl Strategy<Value = (Ty, Value)> {
    any_type().prop_flat_map(|ty| {
        let events =
            (value(&ty), any::<Option<u8>>()).prop_map(|(value, last)| json!({ "value": value, "last": last }));
        (Just(ty), events)
    })
}

/// The value as text with its keys in another order, nulls of records left out here
/// and there, and white space between.
fn shuffled(value: &Value, seed: &mut u64, out: &mut String) {
    let mut random = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (*seed >> 33) as usize
    };
    match value {
        Value::Array(values) => {
            out.push_str("[ ");
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { " ,\n" });
                shuffled(value, seed, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let is_record = members.keys().all(|key| key.starts_with("my_f") || key == "value" || key == "last");
            let mut members: Vec<_> =
                members.iter().filter(|(_, value)| !is_record || !value.is_null() || random() % 2 == 0).collect();
            if random() % 4 > 0 {
                members.sort_by_cached_key(|_| random());
            }
            out.push('{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                out.push_str(if index == 0 { " " } else { "," });
                let escaped = if index == 1 { key.replace('m', "\\u006d") } else { key.clone() };
                out.push_str(&format!("\"{escaped}\"\t: "));
                shuffled(value, seed, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn payload(schema: &Schema, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    schema.json_to_payload(text.as_bytes(), &mut out).unwrap_or_else(|error| panic!("{error}\n{text}"));
    out
}

fn written(schema: &Schema, payload: &[u8]) -> String {
    let mut out = Vec::new();
    schema.payload_to_json(payload, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The JSON text that the cells of a row stand for.
fn written_by_cells(schema: &Schema, payload: &[u8], scratch: &mut Vec<u8>) -> Result<String, RowError<()>> {
    use base64::Engine as _;
    let mut cells = Vec::new();
    schema.visit_row(payload, scratch, |index, cell| {
        assert_eq!(index, cells.len());
        cells.push(match cell {
            Cell::Null => "null".to_owned(),
            Cell::Bool(value) => value.to_string(),
            Cell::Unsigned(value) => value.to_string(),
            Cell::Signed(value) => value.to_string(),
            Cell::F32(value) => float(value.is_finite(), f64::from(value), serde_json::to_string(&value)),
            Cell::F64(value) => float(value.is_finite(), value, serde_json::to_string(&value)),
            Cell::Text(text) => serde_json::to_string(text).unwrap(),
            Cell::Bytes(bytes) => format!("\"{}\"", base64::engine::general_purpose::STANDARD.encode(bytes)),
            Cell::Json(text) => String::from_utf8(text.to_vec()).unwrap(),
        });
        Ok(())
    })?;
    Ok(format!("{{\"value\":{},\"last\":{}}}", cells[0], cells[1]))
}

fn float(is_finite: bool, value: f64, written: serde_json::Result<String>) -> String {
    match () {
        () if is_finite => written.unwrap(),
        () if value.is_nan() => "\"NaN\"".to_owned(),
        () if value > 0.0 => "\"Infinity\"".to_owned(),
        () => "\"-Infinity\"".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_value_of_every_type_survives((ty, value) in event(), mut seed: u64) {
        let schema = schema(&ty);
        let mut text = String::new();
        shuffled(&value, &mut seed, &mut text);
        let bytes = payload(&schema, &text);
        schema.check_payload(&bytes).unwrap();
        let json = written(&schema, &bytes);
        prop_assert_eq!(&serde_json::from_str::<Value>(&json).unwrap(), &value);
        prop_assert_eq!(written_by_cells(&schema, &bytes, &mut b"old".to_vec()).unwrap(), json.as_str());
        prop_assert_eq!(payload(&schema, &json), bytes, "its own text, in the order of the type");
    }

    #[test]
    fn damaged_payloads_are_refused_or_mean_something((ty, value) in event(), at: prop::sample::Index, bit in 0..8u32, cut: bool) {
        let schema = schema(&ty);
        let mut bytes = payload(&schema, &value.to_string());
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
            prop_assert!(schema.payload_to_json(&bytes, &mut Vec::new()).is_err());
        } else {
            bytes[at] ^= 1u8 << bit;
        }
        let mut json = Vec::new();
        let is_read = schema.payload_to_json(&bytes, &mut json).is_ok();
        prop_assert_eq!(is_read, schema.check_payload(&bytes).is_ok());
        prop_assert_eq!(is_read, written_by_cells(&schema, &bytes, &mut Vec::new()).is_ok());
        if is_read {
            let json = String::from_utf8(json).unwrap();
            prop_assert_eq!(written(&schema, &payload(&schema, &json)), json);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(ty in any_type(), bytes: Vec<u8>) {
        let schema = schema(&ty);
        let _ = schema.payload_to_json(&bytes, &mut Vec::new());
        let _ = schema.json_to_payload(&bytes, &mut Vec::new());
    }

    #[test]
    fn damaged_text_is_taken_only_where_it_is_json((ty, value) in event(), mut seed: u64, at: prop::sample::Index, byte: u8) {
        let schema = schema(&ty);
        let mut text = String::new();
        shuffled(&value, &mut seed, &mut text);
        let mut text = text.into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if schema.json_to_payload(&text, &mut Vec::new()).is_ok() {
            prop_assert!(serde_json::from_slice::<Value>(&text).is_ok(), "{}", String::from_utf8_lossy(&text));
        }
    }
}
