//! Holds what came out of a case against what is expected, line by line.
//!
//! Lines are equal where they are the same JSON: spaces and the order of keys do not matter.

use serde_json::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::cases::ExpectedLine;

/// Most lines of a difference that are shown.
const MAX_LINES: usize = 60;
/// Most characters of one that are shown.
const MAX_CHARS: usize = 1_000;

/// How what came out differs from what is expected, for people: `-` is expected, `+` came.
/// None where it does not.
pub(super) fn difference(expected: &[ExpectedLine], came: &[String]) -> Option<String> {
    let wanted: Vec<Value> = expected.iter().map(|line| value(&line.text)).collect();
    let found: Vec<Value> = came.iter().map(|line| value(line)).collect();
    let (wanted_keys, found_keys): (Vec<String>, Vec<String>) =
        (wanted.iter().map(Value::to_string).collect(), found.iter().map(Value::to_string).collect());
    let mut lines = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &wanted_keys, &found_keys) {
        let (old, new) = (op.old_range(), op.new_range());
        if let DiffOp::Equal { .. } = op {
            continue;
        }
        let number = expected
            .get(old.start)
            .map_or_else(|| expected.last().map_or(1, |line| line.number + 1), |line| line.number);
        lines.push(format!("expected.jsonl:{number}{}", fields(&wanted[old.clone()], &found[new.clone()])));
        lines.extend(expected[old].iter().map(|line| format!("- {}", line.text)));
        lines.extend(came[new].iter().map(|line| format!("+ {line}")));
    }
    if lines.len() > MAX_LINES {
        let n_more = lines.len() - MAX_LINES;
        lines.truncate(MAX_LINES);
        lines.push(format!("… and {n_more} lines more"));
    }
    let lines: Vec<String> = lines.into_iter().map(cut).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// A line, as far as somebody reads it.
fn cut(mut line: String) -> String {
    if let Some((end, _)) = line.char_indices().nth(MAX_CHARS) {
        let n_more = line[end..].chars().count();
        line.truncate(end);
        line.push_str(&format!("… and {n_more} characters more"));
    }
    line
}

/// Where one event is another, the fields in which they differ.
fn fields(wanted: &[Value], found: &[Value]) -> String {
    let ([Value::Object(wanted)], [Value::Object(found)]) = (wanted, found) else { return String::new() };
    let names: Vec<String> = wanted
        .iter()
        .filter(|(name, value)| found.get(*name) != Some(value))
        .map(|(name, _)| name)
        .chain(found.keys().filter(|name| !wanted.contains_key(*name)))
        .map(|name| format!("`{name}`"))
        .collect();
    format!(": {}", names.join(", "))
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &str, came: &str, wanted: Option<&str>) {
        let expected: Vec<ExpectedLine> =
            (1..).zip(expected.lines()).map(|(number, text)| ExpectedLine { number, text: text.to_owned() }).collect();
        let came: Vec<String> = came.lines().map(ToOwned::to_owned).collect();
        assert_eq!(difference(&expected, &came).as_deref(), wanted);
    }

    #[test]
    fn the_same_json_is_no_difference() {
        check("{\"a\": 1, \"b\": [2]}\n{}", "{\"b\":[2],\"a\":1}\n{}", None);
        check("", "", None);
    }

    #[test]
    fn the_field_that_differs_is_named_with_its_line() {
        check(
            "{\"a\":1,\"b\":1}\n{\"a\":2,\"b\":1}",
            "{\"a\":1,\"b\":1}\n{\"a\":3,\"b\":1}",
            Some("expected.jsonl:2: `a`\n- {\"a\":2,\"b\":1}\n+ {\"a\":3,\"b\":1}"),
        );
    }

    #[test]
    fn a_long_line_is_cut_and_its_field_is_named() {
        let line = |end: &str| format!("{{\"a\":\"{}{end}\"}}", "ü".repeat(2_000));
        let shown = format!("{{\"a\":\"{}… and 1011 characters more", "ü".repeat(992));
        check(&line("1"), &line("2"), Some(&format!("expected.jsonl:1: `a`\n- {shown}\n+ {shown}")));
    }

    #[test]
    fn lines_that_are_missing_or_too_many_stand_alone() {
        check("1\n2\n3", "1\n3", Some("expected.jsonl:2\n- 2"));
        check("1", "1\n2", Some("expected.jsonl:2\n+ 2"));
    }
}
