//! Values as YAML, the way a person would write them.
//!
//! Invariant: what is written reads back as the same value, with `${NAME}` as it stands.

use serde_json::Value;

use crate::output;

/// Two more spaces for what stands below a key.
pub(super) const STEP: usize = 2;

/// Lines of `key: value`, indented by `indent`; records stand below their key.
pub(super) fn entry(key: &str, value: &Value, indent: usize) -> Vec<String> {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let below = fields.iter().flat_map(|(key, value)| entry(key, value, indent + STEP));
            std::iter::once(format!("{pad}{key}:")).chain(below).collect()
        }
        value => vec![format!("{pad}{key}: {}", in_line(value))],
    }
}

/// A value on one line.
pub(super) fn in_line(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(in_line).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}: {}", in_line(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// A text without quotes where it can only be read as that text, also within braces.
fn scalar(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b'@' | b'='))
        || is_url(text);
    let is_other = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if is_word && !is_other { text.to_owned() } else { Value::from(text).to_string() }
}

fn is_url(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b'@' | b'=' | b':');
    text.split_once("://").is_some_and(|(scheme, rest)| {
        scheme.bytes().all(|b| b.is_ascii_lowercase()) && !scheme.is_empty() && rest.bytes().all(is_plain)
    }) && !text.ends_with(':')
}

/// Lines of a comment, indented by `indent`, wrapped. What acts on a terminal is taken out: a
/// file is shown, and much of its comments was written by authors of plugins.
pub(super) fn comment(text: &str, indent: usize) -> Vec<String> {
    const WIDTH: usize = 80;
    let head = format!("{}# ", " ".repeat(indent));
    let lines = output::wrapped(&output::plain(&output::one_line(text)), WIDTH - head.len());
    lines.into_iter().filter(|line| !line.is_empty()).map(|line| format!("{head}{line}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let texts = [
            "testnet",
            "1410048",
            "0x10",
            "",
            " ",
            "yes",
            "True",
            "~",
            "a: b",
            "a #b",
            "- a",
            "${DATABASE_URL}",
            "postgres://a@db:5432/x?sslmode=require",
            "https://soroban-testnet.stellar.org",
            "http://127.0.0.1:8000/",
            "Test SDF Network ; September 2015",
            "ledgers/*.zst",
            "[a]",
            "{a}",
            "'",
            "\"",
            "a\nb",
            "1s",
            "./orders.wit",
            "ä",
            "=",
        ];
        for text in texts {
            let value = json!({"a": text, "list": [text, 1], "record": {"b": {"c": text}}, "empty": {}, "none": []});
            let fields = value.as_object().unwrap();
            let lines: Vec<String> = fields.iter().flat_map(|(key, value)| entry(key, value, 0)).collect();
            let read: Value = serde_saphyr::from_str(&lines.join("\n")).unwrap_or_else(|e| panic!("{lines:?}: {e}"));
            assert_eq!(read, value, "{lines:?}");
            let read: Value = serde_saphyr::from_str(&in_line(&value)).unwrap_or_else(|e| panic!("{lines:?}: {e}"));
            assert_eq!(read, value, "{lines:?}");
        }
    }

    #[test]
    fn plain_words_and_urls_have_no_quotes() {
        let value = json!(["testnet", "https://soroban-testnet.stellar.org", "orders.jsonl", "1s"]);
        assert_eq!(in_line(&value), "[testnet, https://soroban-testnet.stellar.org, orders.jsonl, \"1s\"]");
    }

    #[test]
    fn comments_are_wrapped() {
        let lines = comment(&"word ".repeat(40), 4);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= 80 && line.starts_with("    # w")));
        assert!(comment(" ", 2).is_empty());
    }

    #[test]
    fn what_acts_on_a_terminal_does_not_get_into_comments() {
        let lines = comment("red \u{1b}[31m\0 and\r\nback\u{202e}wards\u{85}", 2);
        assert_eq!(lines, ["  # red \u{fffd}[31m\u{fffd} and back\u{fffd}wards"]);
    }
}
