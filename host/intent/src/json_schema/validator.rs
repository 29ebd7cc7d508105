//! As much of a JSON Schema validator as the schema of pipelines needs.
//!
//! Invariant: a keyword that it does not know panics, so that the schema cannot come
//! to say what these tests do not check.

use serde_json::Value;

/// The first reason why `value` is not what `schema` describes; `root` holds what
/// references point to.
pub(super) fn violation(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let keywords = schema.as_object().unwrap();
    keywords.iter().find_map(|(keyword, wanted)| {
        let wrong = |holds: bool| (!holds).then(|| format!("{at}: {keyword} {wanted}"));
        let each = |schemas: &Value| {
            let schemas = schemas.as_array().unwrap();
            schemas.iter().filter(|schema| violation(root, schema, value, at).is_none()).count()
        };
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "examples" => None,
            "$ref" => {
                let pointer = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                violation(root, root.pointer(pointer).unwrap_or_else(|| panic!("{wanted}")), value, at)
            }
            "type" => match wanted {
                Value::Array(types) => wrong(types.iter().any(|name| has_type(value, name))),
                name => wrong(has_type(value, name)),
            },
            "const" => wrong(value == wanted),
            "oneOf" => wrong(each(wanted) == 1),
            "anyOf" => wrong(each(wanted) > 0),
            "pattern" => wrong(value.as_str().is_none_or(|text| matches(wanted, text))),
            "minLength" => wrong(value.as_str().is_none_or(|text| text.len() as u64 >= wanted.as_u64().unwrap())),
            "minimum" => wrong(value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap())),
            "maximum" => wrong(value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap())),
            "minItems" => wrong(value.as_array().is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap())),
            "uniqueItems" => wrong(
                value
                    .as_array()
                    .is_none_or(|items| items.iter().enumerate().all(|(index, item)| !items[..index].contains(item))),
            ),
            "items" => {
                let mut items = value.as_array().into_iter().flatten();
                items.find_map(|item| violation(root, wanted, item, &format!("{at}[]")))
            }
            "required" => value.as_object().and_then(|object| {
                let mut names = wanted.as_array().unwrap().iter();
                names.find_map(|name| wrong(object.contains_key(name.as_str().unwrap())))
            }),
            "dependentRequired" => value.as_object().and_then(|object| {
                let given = wanted.as_object().unwrap().iter().filter(|(name, _)| object.contains_key(*name));
                let mut names = given.flat_map(|(_, names)| names.as_array().unwrap());
                names.find_map(|name| wrong(object.contains_key(name.as_str().unwrap())))
            }),
            "properties" => value.as_object().and_then(|object| {
                object
                    .iter()
                    .find_map(|(name, value)| violation(root, wanted.get(name)?, value, &format!("{at}.{name}")))
            }),
            "propertyNames" => value
                .as_object()
                .and_then(|object| object.keys().find_map(|name| violation(root, wanted, &name.as_str().into(), at))),
            "additionalProperties" => value.as_object().and_then(|object| {
                let known = keywords.get("properties").and_then(Value::as_object);
                object.iter().filter(|(name, _)| !known.is_some_and(|known| known.contains_key(*name))).find_map(
                    |(name, value)| match wanted {
                        Value::Bool(false) => Some(format!("{at}: unknown key {name}")),
                        schema => violation(root, schema, value, &format!("{at}.{name}")),
                    },
                )
            }),
            _ => panic!("keyword {keyword}"),
        }
    })
}

fn has_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    }
}

fn matches(pattern: &Value, text: &str) -> bool {
    regex_lite::Regex::new(pattern.as_str().unwrap()).unwrap().is_match(text)
}
