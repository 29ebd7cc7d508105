//! JSON Schema of a configuration, for editors.

use serde_json::{Map, Value, json};

use super::{ConfigSchema, Defaults};
use crate::Type;

/// The schema of a whole configuration.
pub(super) fn of_config(config: &ConfigSchema) -> Value {
    let defaults = &config.defaults;
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in &config.fields {
        let mut schema = of_type(defaults, &field.ty);
        describe(&mut schema, field.docs.as_deref());
        if let (Some(default), Some(schema)) = (&field.default, schema.as_object_mut()) {
            schema.insert("default".to_owned(), default.clone());
        }
        if !field.is_optional {
            required.push(field.name.clone());
        }
        properties.insert(field.name.clone(), schema);
    }
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    require(&mut schema, required);
    describe(&mut schema, config.docs.as_deref());
    schema
}

fn of_type(defaults: &Defaults, ty: &Type) -> Value {
    match ty {
        Type::Bool => json!({ "type": "boolean" }),
        Type::U8 => integer(0, u8::MAX.into()),
        Type::U16 => integer(0, u16::MAX.into()),
        Type::U32 => integer(0, u32::MAX.into()),
        Type::U64 => integer(0, u64::MAX),
        Type::S8 => integer(i8::MIN.into(), i8::MAX as u64),
        Type::S16 => integer(i16::MIN.into(), i16::MAX as u64),
        Type::S32 => integer(i32::MIN.into(), i32::MAX as u64),
        Type::S64 => integer(i64::MIN, i64::MAX as u64),
        Type::F32 | Type::F64 => {
            json!({ "anyOf": [{ "type": "number" }, { "enum": ["NaN", "Infinity", "-Infinity"] }] })
        }
        Type::Char => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
        Type::String => json!({ "type": "string" }),
        Type::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Type::List(element) => json!({ "type": "array", "items": of_type(defaults, element) }),
        Type::Option(inner) => json!({ "anyOf": [of_type(defaults, inner), { "type": "null" }] }),
        Type::Tuple(types) => {
            let n = types.len();
            let items: Vec<_> = types.iter().map(|ty| of_type(defaults, ty)).collect();
            json!({ "type": "array", "prefixItems": items, "minItems": n, "maxItems": n })
        }
        Type::Record(record) => {
            let own = defaults.get(&record.name);
            let properties: Map<_, _> = record
                .fields
                .iter()
                .map(|field| {
                    let mut schema = of_type(defaults, &field.ty);
                    describe(&mut schema, field.docs.as_deref());
                    (field.snake_name.clone(), schema)
                })
                .collect();
            let required = record
                .fields
                .iter()
                .filter(|field| !field.ty.is_option() && !own.is_some_and(|own| own.contains_key(&field.name)));
            let required = required.map(|field| field.snake_name.clone()).collect();
            let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
            require(&mut schema, required);
            schema
        }
        Type::Enum(an_enum) => {
            let names: Vec<_> = an_enum.cases.iter().map(|case| &case.snake_name).collect();
            json!({ "enum": names })
        }
        Type::Variant(variant) => {
            let cases: Vec<_> = variant
                .cases
                .iter()
                .map(|case| match &case.ty {
                    None => described(json!({ "const": case.snake_name }), case.docs.as_deref()),
                    Some(ty) => described(single(&case.snake_name, &of_type(defaults, ty)), case.docs.as_deref()),
                })
                .collect();
            json!({ "oneOf": cases })
        }
        Type::Result { ok, err } => {
            let part =
                |ty: &Option<_>| ty.as_deref().map_or_else(|| json!({ "type": "null" }), |ty| of_type(defaults, ty));
            json!({ "oneOf": [single("ok", &part(ok)), single("err", &part(err))] })
        }
    }
}

fn integer(min: i64, max: u64) -> Value {
    json!({ "type": "integer", "minimum": min, "maximum": max })
}

/// An object with one key.
fn single(name: &str, schema: &Value) -> Value {
    json!({ "type": "object", "properties": { name: schema }, "required": [name], "additionalProperties": false })
}

fn require(schema: &mut Value, names: Vec<String>) {
    if let (false, Some(schema)) = (names.is_empty(), schema.as_object_mut()) {
        schema.insert("required".to_owned(), names.into());
    }
}

fn described(mut schema: Value, docs: Option<&str>) -> Value {
    describe(&mut schema, docs);
    schema
}

fn describe(schema: &mut Value, docs: Option<&str>) {
    if let (Some(docs), Some(schema)) = (docs, schema.as_object_mut()) {
        schema.insert("description".to_owned(), docs.into());
    }
}
