//! Fills in what a configuration leaves out.
//!
//! The caller has checked the configuration; what does not fit its type passes
//! through as it is.

use serde_json::{Map, Value};

use super::{ConfigSchema, Defaults};
use crate::Type;

/// Every field of a configuration.
pub(super) fn config(schema: &ConfigSchema, value: &Value) -> Map<String, Value> {
    let fields = schema.fields.iter().map(|field| {
        let written = value.get(&field.name).filter(|written| !written.is_null());
        let value = written.or(field.default.as_ref()).unwrap_or(&Value::Null);
        (field.name.clone(), completed(&schema.defaults, &field.ty, value))
    });
    fields.collect()
}

fn completed(defaults: &Defaults, ty: &Type, value: &Value) -> Value {
    let within = |ty: &Type, value: &Value| completed(defaults, ty, value);
    match (ty, value) {
        (Type::Option(inner), value) if !value.is_null() => within(inner, value),
        (Type::List(element), Value::Array(values)) => values.iter().map(|value| within(element, value)).collect(),
        (Type::Tuple(types), Value::Array(values)) => {
            types.iter().zip(values).map(|(ty, value)| within(ty, value)).collect()
        }
        (Type::Record(record), Value::Object(written)) => {
            let own = defaults.get(&record.name);
            let fields = record.fields.iter().map(|field| {
                let default = || {
                    let default = own.and_then(|own| own.get(&field.name));
                    default.map_or(Value::Null, |value| in_snake_case(&field.ty, value))
                };
                let value = written.get(&field.snake_name).filter(|value| !value.is_null()).cloned();
                (field.snake_name.clone(), within(&field.ty, &value.unwrap_or_else(default)))
            });
            Value::Object(fields.collect())
        }
        (Type::Variant(variant), Value::Object(written)) => {
            let cases = written.iter().map(|(name, value)| {
                let case = variant.cases.iter().find(|case| case.snake_name == *name);
                let ty = case.and_then(|case| case.ty.as_ref());
                (name.clone(), ty.map_or_else(|| value.clone(), |ty| within(ty, value)))
            });
            Value::Object(cases.collect())
        }
        (Type::Result { ok, err }, Value::Object(written)) => {
            let parts = written.iter().map(|(name, value)| {
                let ty = if name == "ok" { ok } else { err };
                (name.clone(), ty.as_deref().map_or_else(|| value.clone(), |ty| within(ty, value)))
            });
            Value::Object(parts.collect())
        }
        (_, value) => value.clone(),
    }
}

/// A default as a configuration would have it: cases by their name in snake case,
/// where the manifest has them as WIT does.
pub(super) fn in_snake_case(ty: &Type, value: &Value) -> Value {
    match (ty, value) {
        (Type::Option(inner), value) => in_snake_case(inner, value),
        (Type::Enum(_) | Type::Variant(_), Value::String(name)) => Value::String(crate::ty::snake_case(name)),
        (Type::List(element), Value::Array(values)) => {
            values.iter().map(|value| in_snake_case(element, value)).collect()
        }
        (_, value) => value.clone(),
    }
}
