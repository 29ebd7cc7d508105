//! A configuration as it is typed, `KEY=VALUE`s with blanks between, as JSON.

use serde_json::{Map, Value};

/// Reads `text`. Fields of fields are joined with dots; a value is JSON where it is that, else a text.
///
/// # Errors
///
/// What is wrong, and how to write it.
pub(crate) fn config(text: &str) -> Result<String, String> {
    let mut config = Map::new();
    for setting in text.split_whitespace() {
        let (path, typed) = setting.split_once('=').ok_or_else(|| format!("`{setting}`: write KEY=VALUE"))?;
        let value = serde_json::from_str(typed).unwrap_or_else(|_| Value::String(typed.to_owned()));
        set(&mut config, path, value)?;
    }
    Ok(if config.is_empty() { String::new() } else { Value::Object(config).to_string() })
}

fn set(fields: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), String> {
    match path.split_once('.') {
        _ if path.is_empty() => Err("a key is missing before `=`".to_owned()),
        None => {
            fields.insert(path.to_owned(), value);
            Ok(())
        }
        Some((first, rest)) => match fields.entry(first).or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(fields) => set(fields, rest, value),
            _ => Err(format!("`{first}` is a value, and has no fields")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_json() {
        assert_eq!(config("  "), Ok(String::new()));
        assert_eq!(config("window=1 a.b=x a.c=true"), Ok(r#"{"a":{"b":"x","c":true},"window":1}"#.to_owned()));
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        assert_eq!(config("window"), Err("`window`: write KEY=VALUE".to_owned()));
        assert_eq!(config("=1"), Err("a key is missing before `=`".to_owned()));
        assert_eq!(config("a=1 a.b=2"), Err("`a` is a value, and has no fields".to_owned()));
    }
}
