//! What type a scalar has, and its JSON form.
//!
//! Plain scalars are typed by the core schema of YAML 1.2: `yes` and `on` are texts.
//! The same rule types what a variable put into a plain scalar, except that nothing
//! stays an empty text.

use serde_json::{Number, Value};

use crate::tree::{Kind, Node, Scalar};

/// Which of a scalar's two texts to take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// With the environment filled in.
    Filled,
    /// As it stands in the file.
    Written,
}

impl Scalar {
    /// The text, with the environment filled in.
    pub(crate) fn text(&self) -> &str {
        self.filled.as_deref().unwrap_or(&self.written)
    }

    /// The value that the text has where it stands without quotes.
    pub(crate) fn plain_value(&self) -> Value {
        typed(self.text())
    }

    /// The typed value.
    pub(crate) fn value(&self, side: Side) -> Value {
        match (&self.filled, side) {
            (Some(_), Side::Written) => Value::String(self.written.clone()),
            (Some(text), Side::Filled) if text.is_empty() => Value::String(String::new()),
            _ if self.is_plain => typed(self.text()),
            _ => Value::String(self.text().to_owned()),
        }
    }
}

impl Node {
    /// The value as JSON; what was already reported is null.
    pub(crate) fn to_json(&self, side: Side) -> Value {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.value(side),
            Kind::Sequence(items) => Value::Array(items.iter().map(|item| item.to_json(side)).collect()),
            Kind::Mapping(entries) => {
                Value::Object(entries.iter().map(|entry| (entry.name.clone(), entry.value.to_json(side))).collect())
            }
            Kind::Invalid => Value::Null,
        }
    }

    /// Whether nothing was written, or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.value(Side::Filled).is_null())
    }

    /// What the value is, for a message.
    pub(crate) fn found(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(scalar) => match scalar.value(Side::Filled) {
                Value::Null => "nothing",
                Value::Bool(_) => "true or false",
                Value::Number(_) => "a number",
                _ => "a text",
            },
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
            Kind::Invalid => "not readable",
        }
    }
}

/// The type of a plain scalar. Integers beyond 64 bits stay texts, for no digit may
/// be lost.
fn typed(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return "NaN".into(),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return "Infinity".into(),
        "-.inf" | "-.Inf" | "-.INF" => return "-Infinity".into(),
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return is_digits(digits, 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten().map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return is_digits(digits, 8).then(|| u64::from_str_radix(digits, 8).ok()).flatten().map(Number::from);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if is_digits(unsigned, 10) {
        return text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from)).ok();
    }
    let is_float = unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && unsigned.bytes().any(|b| b.is_ascii_digit())
        && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if is_float { text.parse().ok().and_then(Number::from_f64) } else { None }
}

fn is_digits(text: &str, radix: u32) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_digit(radix))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_are_typed_by_the_core_schema() {
        for (text, want) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("yes", json!("yes")),
            ("9090", json!(9090)),
            ("-3", json!(-3)),
            ("+3", json!(3)),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("1e3", json!(1000.0)),
            (".5", json!(0.5)),
            (".inf", json!("Infinity")),
            ("1.2.0", json!("1.2.0")),
            ("1e999", json!("1e999")),
            ("99999999999999999999", json!("99999999999999999999")),
            ("18446744073709551615", json!(u64::MAX)),
            ("0x", json!("0x")),
            ("infinity", json!("infinity")),
        ] {
            assert_eq!(typed(text), want, "{text}");
        }
    }
}
