//! Settings: texts to values of a record's types, and what is wrong with them.

use flowctl_registry::{Entry, Registry};
use flowctl_schema::{ConfigField, Type};
use serde_json::{Map, Value, json};

use super::secrets;

/// The value of a type that a text stands for. Texts stand for themselves, the rest is YAML;
/// the brackets of a list may be left out.
pub(super) fn value(ty: &Type, text: &str) -> Value {
    let yaml = |text: &str| serde_saphyr::from_str(text).unwrap_or_else(|_| Value::from(text));
    match ty {
        Type::Option(inner) => value(inner, text),
        Type::String | Type::Char | Type::Bytes | Type::Enum(_) => text.into(),
        // what the environment says has its type when the file is read
        _ if text.contains("${") => text.into(),
        Type::List(inner) if !text.starts_with('[') => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(|item| value(inner, item)).collect()
        }
        _ => yaml(text),
    }
}

/// The type that a path of fields leads to below a field, outermost first.
pub(super) fn type_at<'a>(ty: &'a Type, path: &[&str]) -> Option<&'a Type> {
    let Some((first, rest)) = path.split_first() else { return Some(ty) };
    let field = ty.as_record()?.fields.iter().find(|field| field.snake_name == *first)?;
    type_at(&field.ty, rest)
}

/// Sets what a path of fields leads to. None where it leads through something else.
pub(super) fn set(config: &mut Map<String, Value>, path: &[&str], value: Value) -> Option<()> {
    let (last, way) = path.split_last()?;
    let mut place = config;
    for step in way {
        place = place.entry(*step).or_insert_with(|| json!({})).as_object_mut()?;
    }
    place.insert((*last).to_owned(), value);
    Some(())
}

/// What is wrong with a value of one setting, beside what is set already.
///
/// # Errors
///
/// The first thing, in words that do not repeat a secret.
pub(super) fn check(
    (registry, entry): (&Registry, &Entry),
    field: &ConfigField,
    value: &Value,
    others: &Map<String, Value>,
) -> Result<(), String> {
    secrets::check(&field.name, value)?;
    let Some(schema) = &entry.config else { return Ok(()) };
    if says_variable(value) {
        return Ok(());
    }
    let alone = json!({ field.name.as_str(): value });
    let of_field = |path: &[String]| path.first() == Some(&field.name);
    let of_record = schema.check(&alone).err().unwrap_or_default();
    if let Some(fault) = of_record.into_iter().find(|fault| of_field(&fault.path)) {
        return Err(with_hint(fault.message, fault.hint));
    }
    let mut all = others.clone();
    all.insert(field.name.clone(), value.clone());
    let of_entry = registry.check_config(entry, &all.into()).into_iter().find(|fault| of_field(&fault.path));
    of_entry.map_or(Ok(()), |fault| Err(with_hint(fault.message, fault.hint)))
}

/// Whether some of it comes from the environment, so that it is known only when it is read.
pub(super) fn says_variable(value: &Value) -> bool {
    value.to_string().contains("${")
}

/// A message and what to do about it, on one line.
pub(super) fn with_hint(message: String, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{message}: {hint}"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use flowctl_schema::ConfigSchema;

    use super::*;

    const RECORD: &str = "record config { name: string, n: option<u32>, on: bool, words: list<string>, inner: inner }
        record inner { ledgers: option<u32>, mode: mode } enum mode { slow, fast }";

    fn check(path: &str, text: &str, wanted: &Value) {
        let schema = ConfigSchema::from_wit(RECORD).unwrap();
        let path: Vec<&str> = path.split('.').collect();
        let field = schema.fields.iter().find(|field| field.name == path[0]).unwrap();
        let ty = type_at(&field.ty, &path[1..]).unwrap();
        assert_eq!(value(ty, text), *wanted, "{path:?} {text}");
    }

    #[test]
    fn texts_are_read_by_their_types() {
        check("name", "1410048", &json!("1410048"));
        check("n", "12", &json!(12));
        check("n", "many", &json!("many"));
        check("n", "${N}", &json!("${N}"));
        check("on", "true", &json!(true));
        check("words", "a, 1", &json!(["a", "1"]));
        check("words", "[a, 'b']", &json!(["a", "b"]));
        check("words", "", &json!([]));
        check("inner", "{ledgers: 5}", &json!({"ledgers": 5}));
        check("inner.ledgers", "5", &json!(5));
        check("inner.mode", "fast", &json!("fast"));
    }

    #[test]
    fn paths_lead_into_records_only() {
        let mut config = Map::new();
        set(&mut config, &["a", "b"], json!(1)).unwrap();
        set(&mut config, &["a", "c"], json!(2)).unwrap();
        assert_eq!(Value::from(config.clone()), json!({"a": {"b": 1, "c": 2}}));
        assert_eq!(set(&mut config, &["a", "b", "c"], json!(3)), None);
        let schema = ConfigSchema::from_wit(RECORD).unwrap();
        assert!(type_at(&schema.fields[0].ty, &["x"]).is_none());
    }
}
