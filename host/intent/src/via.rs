//! Writes a choice of processors into a file's text: `via` of `flowctl/v2`.
//!
//! Invariant: the text gains what `via` has to say and loses nothing; comments, quotes and
//! layout stay. What comes out is read again, and is given out only where it says the same
//! as before but for `via`.

use serde_json::{Value, json};

use crate::fault::{Source, Span};
use crate::scalar::Side;
use crate::tree::{self, Entry, Kind, Node};
use crate::{Document, Intent};

/// What is put into the text, in the place of some of its bytes.
struct Edit {
    at: usize,
    n_replaced: usize,
    text: String,
}

impl Document {
    /// The file's text with `via` as its processors: those that it names already, in their
    /// order, and others between them.
    ///
    /// None where the text cannot be changed like that: it names others, is no `flowctl/v2`,
    /// or writes `via` in a way that is not foreseen.
    #[must_use]
    pub fn with_via(&self, via: &[String]) -> Option<String> {
        let (source, Intent::Discover(_)) = (self.source(), &self.intent) else { return None };
        let root = tree::build(source.text()).0?;
        let mut edits = edits(source, spec(&root)?, via)?;
        let mut text = source.text().to_owned();
        // from the end on, so that what comes before keeps its place; of two at one place the later one goes first
        edits.reverse();
        edits.sort_by_key(|edit| std::cmp::Reverse(edit.at));
        for edit in edits {
            let range = edit.at..edit.at + edit.n_replaced;
            text.get(range.clone())?;
            text.replace_range(range, &edit.text);
        }
        let mut wanted = root.to_json(Side::Written);
        wanted.get_mut("spec")?.as_object_mut()?.insert("via".to_owned(), json!(via));
        let (after, problems) = tree::build(&text);
        let is_right = problems.is_empty() && says(&after?.to_json(Side::Written), &wanted);
        is_right.then(|| format!("{}{text}", source.mark()))
    }
}

/// Whether two documents say the same; one name may stand in the place of a list.
fn says(found: &Value, wanted: &Value) -> bool {
    let mut found = found.clone();
    if let Some(via) = found.pointer_mut("/spec/via").filter(|via| via.is_string()) {
        *via = json!([via.clone()]);
    }
    found == *wanted
}

fn spec(root: &Node) -> Option<&Node> {
    let Kind::Mapping(entries) = &root.kind else { return None };
    Some(&entries.iter().find(|entry| entry.name == "spec")?.value)
}

fn edits(source: &Source, spec: &Node, via: &[String]) -> Option<Vec<Edit>> {
    let Kind::Mapping(entries) = &spec.kind else { return None };
    let list = || format!("[{}]", names(via));
    let Some(Entry { span: key, value, .. }) = entries.iter().find(|entry| entry.name == "via") else {
        return Some(vec![key_before(source, entries, &list(), begins_with(source, spec.span, '{'))?]);
    };
    match &value.kind {
        Kind::Sequence(items) if items.is_empty() => Some(vec![insert(source.offset(value.span) + 1, names(via))]),
        Kind::Sequence(items) => items_between(source, items, via, begins_with(source, value.span, '[')),
        // the parser has a sign for a value that is not there
        Kind::Scalar(scalar) if value.is_null() && !is_written(source, value.span, &scalar.written) => {
            Some(vec![insert(source.end(*key) + 1, format!(" {}", list()))])
        }
        Kind::Scalar(scalar) if value.is_null() || via.contains(&scalar.written) => {
            let (at, n_replaced) = (source.offset(value.span), source.end(value.span) - source.offset(value.span));
            Some(vec![Edit { at, n_replaced, text: list() }])
        }
        _ => None,
    }
}

/// A line `via: …` before `to`, and before the comments that belong to it.
fn key_before(source: &Source, spec: &[Entry], list: &str, is_flow: bool) -> Option<Edit> {
    let next = spec.iter().find(|entry| entry.name == "to").or(spec.first())?;
    let at = source.offset(next.span);
    if is_flow {
        return Some(insert(at, format!("via: {list}, ")));
    }
    let mut line = source.line_start(next.span.line);
    let indent = &source.text()[line..at];
    let first = spec.iter().map(|entry| entry.span.line).min()?;
    let is_comment = |number: usize| source.line(number).trim_start().starts_with('#');
    for number in (first + 1..next.span.line).rev().take_while(|number| is_comment(*number)) {
        line = source.line_start(number);
    }
    Some(insert(line, format!("{indent}via: {list}{}", source.line_break())))
}

/// Items of `via` beside those that a list has.
fn items_between(source: &Source, items: &[Node], via: &[String], is_flow: bool) -> Option<Vec<Edit>> {
    let mut edits = Vec::new();
    let mut left = items.iter();
    let mut next = left.next();
    for name in via {
        match next {
            Some(item) if text_of(item)? == name => next = left.next(),
            Some(item) if is_flow => edits.push(insert(source.offset(item.span), format!("{}, ", quoted(name)))),
            Some(item) => {
                let line = source.line_start(item.span.line);
                let dash = &source.text()[line..source.offset(item.span)];
                let is_own_line = dash.trim() == "-";
                edits.push(insert(line, format!("{dash}{}{}", quoted(name), source.line_break())));
                if !is_own_line {
                    return None;
                }
            }
            None if is_flow => edits.push(insert(source.end(items.last()?.span), format!(", {}", quoted(name)))),
            None => {
                let last = items.last()?.span;
                let line = source.line_start(last.line);
                let dash = &source.text()[line..source.offset(last)];
                let at = line + source.line(last.line).len();
                edits.push(insert(at, format!("{}{dash}{}", source.line_break(), quoted(name))));
            }
        }
    }
    // what is named has to stay
    next.is_none().then_some(edits)
}

fn insert(at: usize, text: String) -> Edit {
    Edit { at, n_replaced: 0, text }
}

fn text_of(item: &Node) -> Option<&str> {
    match &item.kind {
        Kind::Scalar(scalar) => Some(&scalar.written),
        _ => None,
    }
}

fn is_written(source: &Source, span: Span, text: &str) -> bool {
    !text.is_empty() && source.text()[source.offset(span)..].starts_with(text)
}

fn begins_with(source: &Source, span: Span, sign: char) -> bool {
    source.text()[source.offset(span)..].starts_with(sign)
}

fn names(via: &[String]) -> String {
    via.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

/// A name as YAML has it; in quotes where it could be read as something else.
fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b'@'))
        && !matches!(name, "true" | "false" | "null");
    if is_plain { name.to_owned() } else { json!(name).to_string() }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    /// The text below `spec:` with `via: [a, b]`.
    fn check(spec: &str, want: &Expect) {
        let head = "apiVersion: flowctl/v2\nkind: Topology\n";
        let document = crate::parse("p.yaml", &format!("{head}{spec}"), &|_| None).unwrap();
        let after = document.with_via(&["a".to_owned(), "b".to_owned()]);
        want.assert_eq(&after.map_or_else(|| "none".to_owned(), |text| text[head.len()..].to_owned()));
    }

    #[test]
    fn a_file_without_via_gains_a_line_before_to() {
        check(
            "spec: # what is wanted\n  from: x.y.v1  # from here\n\n  # to the screen\n  # of everybody\n  to: stdout\n",
            &expect![[r#"
                spec: # what is wanted
                  from: x.y.v1  # from here

                  via: [a, b]
                  # to the screen
                  # of everybody
                  to: stdout
            "#]],
        );
        check(
            "spec:\n    # the sink\n    to: stdout\n    from: x.y.v1\n",
            &expect![[r#"
                spec:
                    # the sink
                    via: [a, b]
                    to: stdout
                    from: x.y.v1
            "#]],
        );
        check(
            "spec: {from: x.y.v1, to: stdout} # all\n",
            &expect![[r#"
                spec: {from: x.y.v1, via: [a, b], to: stdout} # all
            "#]],
        );
        check(
            "spec: {from: x.y.v1,\n  to: stdout}\n",
            &expect![[r#"
                spec: {from: x.y.v1,
                  via: [a, b], to: stdout}
            "#]],
        );
    }

    #[test]
    fn processors_that_are_named_stay_as_they_are_written() {
        for (via, want) in [
            ("a", "[a, b]"),
            ("'b' # mine", "[a, b] # mine"),
            ("[a] # mine", "[a, b] # mine"),
            ("[ \"b\" ]", "[ a, \"b\" ]"),
            ("[]", "[a, b]"),
            ("", "[a, b]"),
            ("~", "[a, b]"),
            ("[a,\n    # and\n    b]", "[a,\n    # and\n    b]"),
        ] {
            let document = |via: &str| {
                format!("apiVersion: flowctl/v2\nkind: Topology\nspec:\n  via: {via}\n  from: x.y.v1\n  to: z\n")
            };
            let before = crate::parse("p.yaml", &document(via), &|_| None).unwrap();
            let after = before.with_via(&["a".to_owned(), "b".to_owned()]);
            let want = document(want);
            assert_eq!(after.map(|text| text.replace(" \n", "\n")), Some(want), "{via}");
        }
        check(
            "spec:\n  from: x.y.v1\n  via:\n    # the first\n    - a  # it is\n  to: z\n",
            &expect![[r#"
                spec:
                  from: x.y.v1
                  via:
                    # the first
                    - a  # it is
                    - b
                  to: z
            "#]],
        );
        check(
            "spec:\n  from: x.y.v1\n  to: z\n  via:\n  - b",
            &expect![[r#"
                spec:
                  from: x.y.v1
                  to: z
                  via:
                  - a
                  - b"#]],
        );
    }

    #[test]
    fn line_breaks_are_those_of_the_file() {
        let text = "apiVersion: flowctl/v2\r\nkind: Topology\r\nspec:\r\n  from: x.y.v1\r\n  to: z\r\n";
        let document = crate::parse("p.yaml", text, &|_| None).unwrap();
        let after = document.with_via(&["a".to_owned()]).unwrap();
        assert_eq!(after, text.replace("  to: z", "  via: [a]\r\n  to: z"));
    }

    #[test]
    fn a_mark_of_the_byte_order_stays() {
        let text = "\u{feff}apiVersion: flowctl/v2\nkind: Topology\nspec:\n  from: x.y.v1\n  to: z\n";
        let document = crate::parse("p.yaml", text, &|_| None).unwrap();
        let after = document.with_via(&["a".to_owned()]).unwrap();
        assert_eq!(after, text.replace("  to: z", "  via: [a]\n  to: z"));
    }

    #[test]
    fn names_that_yaml_reads_otherwise_are_quoted() {
        let text = "apiVersion: flowctl/v2\nkind: Topology\nspec:\n  from: x.y.v1\n  to: z\n";
        let document = crate::parse("p.yaml", text, &|_| None).unwrap();
        let after = document.with_via(&["true".to_owned(), "12".to_owned()]).unwrap();
        assert!(after.contains("  via: [\"true\", \"12\"]\n"), "{after}");
    }

    #[test]
    fn what_would_lose_a_processor_is_not_written() {
        check("spec:\n  from: x.y.v1\n  via: [other]\n  to: z\n", &expect!["none"]);
        let v1 = "apiVersion: flowctl/v1\nkind: Pipeline\nspec:\n  sources: [{id: s, type: stdin}]\n  sinks: [{id: o, type: stdout, inputs: [s]}]\n";
        let document = crate::parse("p.yaml", v1, &|_| None).unwrap();
        assert_eq!(document.with_via(&["a".to_owned()]), None);
        // a key without a value, at the very end
        check("spec:\n  from: x.y.v1\n  to: z\n  ? via", &expect!["none"]);
    }
}
