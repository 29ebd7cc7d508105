//! What operators may write for a configuration, and what they are told.
#![allow(clippy::unwrap_used)]

use expect_test::{Expect, expect};
use flowctl_schema::ConfigSchema;
use serde_json::{Value, json};

const RECORD: &str = "
    enum mode { by-hand, derive }
    variant limit { none, at-most(u32) }
    record rule { name: string, above: s16 }
    /// Where to read.
    record config {
        /// The file's path.
        path: string,
        batch-size: u8,
        mode: option<mode>,
        limit: option<limit>,
        rules: option<list<rule>>,
        seed: option<list<u8>>,
        ratio: option<f64>,
        pair: option<tuple<u32, bool>>,
    }";

fn schema() -> ConfigSchema {
    ConfigSchema::from_wit(RECORD).unwrap().with_default("batch_size", 10)
}

fn check(value: &Value, expect: &Expect) {
    let faults = schema().check(value).err().unwrap_or_default();
    let lines: Vec<_> = faults
        .iter()
        .map(|fault| format!("/{}: {} ({})", fault.path.join("/"), fault.message, fault.hint.as_deref().unwrap_or("-")))
        .collect();
    expect.assert_eq(&lines.join("\n"));
}

#[test]
fn what_fits_is_taken() {
    check(&json!({ "path": "x" }), &expect![""]);
    let full = json!({
        "path": "x", "batch_size": 255, "mode": "by_hand", "limit": {"at_most": 3}, "rules": [{"name": "n", "above": -5}],
        "seed": "AAEC", "ratio": 2, "pair": [1, true],
    });
    check(&full, &expect![""]);
    check(&json!({ "path": "x", "limit": "none", "ratio": "NaN", "mode": null, "batch_size": null }), &expect![""]);
}

#[test]
fn every_fault_is_told_at_once() {
    let value = json!({
        "pth": "x", "colour": 1, "batch_size": 256, "mode": "by_hnd", "limit": "at_most", "rules": [{"name": 1, "above": "7", "x": 1}, 3],
        "seed": "?", "ratio": true, "pair": [1],
    });
    check(
        &value,
        &expect![[r#"
        /batch_size: 256 is out of range: a `u8` is 0 to 255 (-)
        /colour: unknown field `colour` (there are `path`, `batch_size`, `mode`, `limit`, `rules`, `seed`, `ratio`, `pair`)
        /limit: case `at_most` carries a value (write `at_most: …`, of type `u32`)
        /mode: expected one of `by_hand`, `derive`, found "by_hnd" (did you mean `by_hand`?)
        /pair: expected a list of 2 elements (`tuple<u32, bool>`), found a list (-)
        /pth: unknown field `pth` (did you mean `path`?)
        /ratio: expected a number, found true (-)
        /rules/0/above: expected a whole number (`s16`), found "7" (write it without quotes)
        /rules/0/name: expected a string, found 1 (put it in quotes: "1")
        /rules/0/x: unknown field `x` (there are `name`, `above`)
        /rules/1: expected an object (`rule`), found 3 (-)
        /seed: expected bytes as a base64 string, found "?" (-)
        /: field `path` is missing (write `path: …`, of type `string`)"#]],
    );
    check(&Value::Null, &expect!["/: field `path` is missing (write `path: …`, of type `string`)"]);
    check(&json!([1]), &expect!["/: expected an object with the fields of the configuration, found a list (-)"]);
    check(
        &json!({ "path": null, "limit": {"none": 1}, "mode": 3 }),
        &expect![[r#"
        /limit: case `none` carries no value (write `none`)
        /mode: expected one of `by_hand`, `derive`, found 3 (-)
        /path: expected a string, found nothing (-)"#]],
    );
}

#[test]
fn what_is_left_out_is_filled_in() {
    let complete = schema().complete(&json!({ "path": "x", "mode": "derive" })).unwrap();
    expect![[
        r#"{"batch_size":10,"limit":null,"mode":"derive","pair":null,"path":"x","ratio":null,"rules":null,"seed":null}"#
    ]]
    .assert_eq(&Value::Object(complete).to_string());
}

#[test]
fn editors_get_a_json_schema_with_docs() {
    let text = serde_json::to_string_pretty(&schema().json_schema()).unwrap();
    expect![[r#"
        {
          "additionalProperties": false,
          "description": "Where to read.",
          "properties": {
            "batch_size": {
              "default": 10,
              "maximum": 255,
              "minimum": 0,
              "type": "integer"
            },
            "limit": {
              "anyOf": [
                {
                  "oneOf": [
                    {
                      "const": "none"
                    },
                    {
                      "additionalProperties": false,
                      "properties": {
                        "at_most": {
                          "maximum": 4294967295,
                          "minimum": 0,
                          "type": "integer"
                        }
                      },
                      "required": [
                        "at_most"
                      ],
                      "type": "object"
                    }
                  ]
                },
                {
                  "type": "null"
                }
              ]
            },
            "mode": {
              "anyOf": [
                {
                  "enum": [
                    "by_hand",
                    "derive"
                  ]
                },
                {
                  "type": "null"
                }
              ]
            },
            "pair": {
              "anyOf": [
                {
                  "maxItems": 2,
                  "minItems": 2,
                  "prefixItems": [
                    {
                      "maximum": 4294967295,
                      "minimum": 0,
                      "type": "integer"
                    },
                    {
                      "type": "boolean"
                    }
                  ],
                  "type": "array"
                },
                {
                  "type": "null"
                }
              ]
            },
            "path": {
              "description": "The file's path.",
              "type": "string"
            },
            "ratio": {
              "anyOf": [
                {
                  "anyOf": [
                    {
                      "type": "number"
                    },
                    {
                      "enum": [
                        "NaN",
                        "Infinity",
                        "-Infinity"
                      ]
                    }
                  ]
                },
                {
                  "type": "null"
                }
              ]
            },
            "rules": {
              "anyOf": [
                {
                  "items": {
                    "additionalProperties": false,
                    "properties": {
                      "above": {
                        "maximum": 32767,
                        "minimum": -32768,
                        "type": "integer"
                      },
                      "name": {
                        "type": "string"
                      }
                    },
                    "required": [
                      "name",
                      "above"
                    ],
                    "type": "object"
                  },
                  "type": "array"
                },
                {
                  "type": "null"
                }
              ]
            },
            "seed": {
              "anyOf": [
                {
                  "contentEncoding": "base64",
                  "type": "string"
                },
                {
                  "type": "null"
                }
              ]
            }
          },
          "required": [
            "path"
          ],
          "type": "object"
        }"#]]
    .assert_eq(&text);
}
