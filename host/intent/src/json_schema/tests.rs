//! The schema against the files of `tests/pipelines`.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_json::Value;

use super::json_schema;
use super::validator::violation;
use crate::scalar::Side;
use crate::tree;

/// Invalid files whose faults are beyond a schema: they lie between values, in what a
/// variable holds, or in what YAML allows.
const BEYOND: [&str; 11] = [
    "alias-in-itself",
    "cycle",
    "keys-twice",
    "long-line",
    "two-documents",
    "unread",
    "variables",
    "variables-in-nodes",
    "waits",
    "waits-of-all",
    "yaml-features",
];

#[test]
fn valid_files_hold_to_the_schema() {
    each_file("valid", |name, violation| assert_eq!(violation, None, "{name}"));
}

#[test]
fn invalid_files_break_the_schema() {
    each_file("invalid", |name, violation| {
        assert_eq!(violation.is_none(), BEYOND.contains(&name), "{name}: {violation:?}");
    });
}

#[test]
fn every_field_is_described() {
    fn check(schema: &Value, at: &str) {
        match schema {
            Value::Object(fields) => {
                for (name, field) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
                    let definition = field.get("$ref").and_then(Value::as_str).map(|path| &path[1..]);
                    let definition = definition.map(|path| json_schema().pointer(path).unwrap().clone());
                    let is_described = [Some(field), definition.as_ref()]
                        .into_iter()
                        .flatten()
                        .any(|schema| schema["description"].as_str().is_some_and(|text| text.ends_with('.')));
                    assert!(is_described, "{at}.{name}");
                }
                fields.iter().for_each(|(name, schema)| check(schema, &format!("{at}.{name}")));
            }
            Value::Array(schemas) => schemas.iter().for_each(|schema| check(schema, at)),
            _ => {}
        }
    }
    check(&json_schema(), "");
}

fn each_file(kind: &str, check: impl Fn(&str, Option<String>)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/pipelines").join(kind);
    let mut n_files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        n_files += 1;
        let (root, _) = tree::build(&std::fs::read_to_string(&path).unwrap());
        if let Some(root) = root {
            let found = violation(&json_schema(), &json_schema(), &root.to_json(Side::Written), "$");
            check(path.file_stem().unwrap().to_str().unwrap(), found);
        }
    }
    assert!(n_files > 0);
}
