//! Configuration as JSON → the values of the component's own record.
//!
//! Invariant: types come from the compiled component, so a value that is made here
//! fits the function it is made for. Nesting is bounded by the type's, never by the
//! value's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use wasmtime::component::Val;
use wasmtime::component::types::{Record, Type};

/// Makes the argument of `configure`. An option that is left out is none.
///
/// # Errors
///
/// What does not fit, with the path to it.
pub(crate) fn config(ty: &Type, config: &Value) -> Result<Val, String> {
    let Type::Record(record) = ty else { return Err("the component's `config` is no record".to_owned()) };
    let none = Map::new();
    let given = match config {
        Value::Null => &none,
        Value::Object(fields) => fields,
        other => return Err(format!("expected fields, found {}", name_of(other))),
    };
    check_unknown(given, record, &Place::Root)?;
    record_of(record, given, &Place::Root)
}

/// Where a value stands, outermost last.
enum Place<'a> {
    Root,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(outer, key) => write!(f, "{outer}.{key}"),
            Self::Index(outer, index) => write!(f, "{outer}[{index}]"),
        }
    }
}

fn val(ty: &Type, value: &Value, place: &Place<'_>) -> Result<Val, String> {
    let wrong = || format!("`{place}`: expected {}, found {}", describe(ty), name_of(value));
    macro_rules! unsigned {
        ($case:ident) => {
            value.as_u64().and_then(|n| n.try_into().ok()).map(Val::$case).ok_or_else(wrong)
        };
    }
    macro_rules! signed {
        ($case:ident) => {
            value.as_i64().and_then(|n| n.try_into().ok()).map(Val::$case).ok_or_else(wrong)
        };
    }
    match ty {
        Type::Bool => value.as_bool().map(Val::Bool).ok_or_else(wrong),
        Type::U8 => unsigned!(U8),
        Type::U16 => unsigned!(U16),
        Type::U32 => unsigned!(U32),
        Type::U64 => unsigned!(U64),
        Type::S8 => signed!(S8),
        Type::S16 => signed!(S16),
        Type::S32 => signed!(S32),
        Type::S64 => signed!(S64),
        Type::Float32 => float(value).map(|x| Val::Float32(x as f32)).ok_or_else(wrong),
        Type::Float64 => float(value).map(Val::Float64).ok_or_else(wrong),
        Type::Char => value.as_str().and_then(only_char).map(Val::Char).ok_or_else(wrong),
        Type::String => value.as_str().map(|text| Val::String(text.to_owned())).ok_or_else(wrong),
        Type::List(list) => match (list.ty(), value) {
            (Type::U8, Value::String(text)) => {
                let bytes = STANDARD.decode(text).map_err(|_| wrong())?;
                Ok(Val::List(bytes.into_iter().map(Val::U8).collect()))
            }
            (item, Value::Array(values)) => {
                let items = values.iter().enumerate();
                items
                    .map(|(at, value)| val(&item, value, &Place::Index(place, at)))
                    .collect::<Result<_, _>>()
                    .map(Val::List)
            }
            _ => Err(wrong()),
        },
        Type::Tuple(tuple) => {
            let values = value.as_array().filter(|values| values.len() == tuple.types().len()).ok_or_else(wrong)?;
            let items = tuple.types().zip(values).enumerate();
            items
                .map(|(at, (ty, value))| val(&ty, value, &Place::Index(place, at)))
                .collect::<Result<_, _>>()
                .map(Val::Tuple)
        }
        Type::Record(record) => {
            let given = value.as_object().ok_or_else(wrong)?;
            check_unknown(given, record, place)?;
            record_of(record, given, place)
        }
        Type::Option(_) if value.is_null() => Ok(Val::Option(None)),
        Type::Option(option) => Ok(Val::Option(Some(Box::new(val(&option.ty(), value, place)?)))),
        Type::Enum(an_enum) => {
            let text = value.as_str().ok_or_else(wrong)?;
            let name = an_enum.names().find(|name| is_named(name, text));
            name.map(|name| Val::Enum(name.to_owned()))
                .ok_or_else(|| format!("`{place}`: expected {}, found `{text}`", describe(ty)))
        }
        Type::Variant(variant) => {
            let (text, payload) = case_of(value).ok_or_else(wrong)?;
            let case = variant.cases().find(|case| is_named(case.name, text));
            let case = case.ok_or_else(|| format!("`{place}`: expected {}, found `{text}`", describe(ty)))?;
            let payload = payload_of(case.ty.as_ref(), payload, &Place::Key(place, text))?;
            Ok(Val::Variant(case.name.to_owned(), payload))
        }
        Type::Result(result) => {
            let (text, payload) = case_of(value).ok_or_else(wrong)?;
            let inner = Place::Key(place, text);
            match text {
                "ok" => Ok(Val::Result(Ok(payload_of(result.ok().as_ref(), payload, &inner)?))),
                "err" => Ok(Val::Result(Err(payload_of(result.err().as_ref(), payload, &inner)?))),
                _ => Err(wrong()),
            }
        }
        _ => Err(format!("`{place}`: values of this type cannot be written in a configuration")),
    }
}

fn record_of(record: &Record, given: &Map<String, Value>, place: &Place<'_>) -> Result<Val, String> {
    let fields = record.fields().map(|field| {
        let name = field.name.replace('-', "_");
        let place = Place::Key(place, &name);
        let value = match (given.get(&name), &field.ty) {
            (Some(value), ty) => val(ty, value, &place)?,
            (None, Type::Option(_)) => Val::Option(None),
            (None, ty) => return Err(format!("`{place}` is missing: expected {}", describe(ty))),
        };
        Ok((field.name.to_owned(), value))
    });
    fields.collect::<Result<_, _>>().map(Val::Record)
}

fn check_unknown(given: &Map<String, Value>, record: &Record, place: &Place<'_>) -> Result<(), String> {
    let known: Vec<String> = record.fields().map(|field| field.name.replace('-', "_")).collect();
    match given.keys().find(|key| !known.contains(key)) {
        Some(key) => {
            let place = Place::Key(place, key);
            Err(format!("`{place}` is no field of the component; it has {}", known.join(", ")))
        }
        None => Ok(()),
    }
}

fn payload_of(ty: Option<&Type>, payload: Option<&Value>, place: &Place<'_>) -> Result<Option<Box<Val>>, String> {
    match (ty, payload) {
        (None, None | Some(Value::Null)) => Ok(None),
        (None, Some(_)) => Err(format!("`{place}` carries no value")),
        (Some(ty), payload) => Ok(Some(Box::new(val(ty, payload.unwrap_or(&Value::Null), place)?))),
    }
}

/// `"case"` or `{"case": value}`.
fn case_of(value: &Value) -> Option<(&str, Option<&Value>)> {
    match value {
        Value::String(text) => Some((text, None)),
        Value::Object(fields) if fields.len() == 1 => fields.iter().next().map(|(k, v)| (k.as_str(), Some(v))),
        _ => None,
    }
}

fn is_named(wit: &str, written: &str) -> bool {
    wit == written || wit.replace('-', "_") == written
}

fn float(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

fn only_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

fn name_of(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("`{number}`"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(values) => format!("a list of {}", values.len()),
        Value::Object(_) => "fields".to_owned(),
    }
}

fn describe(ty: &Type) -> String {
    let names = |names: Vec<String>| format!("one of {}", names.join(", "));
    match ty {
        Type::Bool => "true or false".to_owned(),
        Type::U8 => format!("a whole number from 0 to {}", u8::MAX),
        Type::U16 => format!("a whole number from 0 to {}", u16::MAX),
        Type::U32 => format!("a whole number from 0 to {}", u32::MAX),
        Type::U64 => format!("a whole number from 0 to {}", u64::MAX),
        Type::S8 => format!("a whole number from {} to {}", i8::MIN, i8::MAX),
        Type::S16 => format!("a whole number from {} to {}", i16::MIN, i16::MAX),
        Type::S32 => format!("a whole number from {} to {}", i32::MIN, i32::MAX),
        Type::S64 => format!("a whole number from {} to {}", i64::MIN, i64::MAX),
        Type::Float32 | Type::Float64 => "a number".to_owned(),
        Type::Char => "a single character".to_owned(),
        Type::String => "a text".to_owned(),
        Type::List(list) if list.ty() == Type::U8 => "bytes in base64".to_owned(),
        Type::List(_) => "a list".to_owned(),
        Type::Tuple(tuple) => format!("a list of {}", tuple.types().len()),
        Type::Record(_) => "fields".to_owned(),
        Type::Option(option) => describe(&option.ty()),
        Type::Enum(an_enum) => names(an_enum.names().map(|name| name.replace('-', "_")).collect()),
        Type::Variant(variant) => names(variant.cases().map(|case| case.name.replace('-', "_")).collect()),
        Type::Result(_) => "`ok` or `err`".to_owned(),
        _ => "a value".to_owned(),
    }
}
