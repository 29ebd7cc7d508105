//! Writes a file into a pipeline's text as the plugin of a node.
//!
//! Invariant: nothing else in the text changes. What comes out is read again, and is given out
//! only where it says the same as before but for the plugin.

use std::path::Path;

use flowctl_types::NodeId;
use serde_json::json;

use crate::Document;
use crate::fault::Span;
use crate::scalar::Side;
use crate::tree::{self, Kind, Node};

impl Document {
    /// The file's text with the file at `path` as the plugin of the processor `node`.
    ///
    /// None where the node names no plugin, writes it over several lines, or `path` is not
    /// UTF-8.
    #[must_use]
    pub fn with_plugin(&self, node: &NodeId, path: &Path) -> Option<String> {
        let found = self.find(&["processors", node.as_str(), "plugin"]).ok()?;
        let (source, span, written) = (self.source(), found.span, path.to_str()?.replace('$', "$$"));
        let (before, after) = (source.text().get(..source.offset(span))?, source.text().get(source.end(span)..)?);
        let text = format!("{before}{}{after}", json!(written));
        let mut wanted = tree::build(source.text()).0?;
        put(&mut wanted, span, &written);
        let (found, problems) = tree::build(&text);
        let is_right = problems.is_empty() && found?.to_json(Side::Written) == wanted.to_json(Side::Written);
        is_right.then(|| format!("{}{text}", source.mark()))
    }
}

/// Has the scalar at `span` be `text`.
fn put(node: &mut Node, span: Span, text: &str) {
    match &mut node.kind {
        Kind::Scalar(scalar) if node.span == span => {
            (scalar.written, scalar.is_plain) = (text.to_owned(), false);
        }
        Kind::Sequence(items) => items.iter_mut().for_each(|item| put(item, span, text)),
        Kind::Mapping(entries) => entries.iter_mut().for_each(|entry| put(&mut entry.value, span, text)),
        Kind::Scalar(_) | Kind::Invalid => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items of `processors` in a pipeline, with another file at the node `f`.
    fn check(processors: &str, wanted: Option<&str>) {
        let text = |processors: &str| {
            format!(
                "\u{feff}apiVersion: flowctl/v1\nkind: Pipeline\nmetadata: {{name: shop}}\nspec:\n  sources: [{{id: o, \
                 type: generate, config: {{type: example.order.v1}}}}]\n  processors:{processors}\n  sinks: [{{id: out, \
                 type: stdout, inputs: [f]}}]\n"
            )
        };
        let document = crate::parse("shop.yaml", &text(processors), &|_| None).unwrap();
        let edited = document.with_plugin(&"f".parse().unwrap(), Path::new("/a, b/$x.wasm"));
        assert_eq!(edited, wanted.map(text), "{processors}");
    }

    #[test]
    fn a_file_is_replaced_at_its_node_however_it_is_written() {
        let new = r#""/a, b/$$x.wasm""#;
        for (before, file, after) in [
            (" [{id: g, plugin: ./order-filter.wasm, inputs: [o]}, {id: f, plugin: ", "filter.wasm", ", inputs: [g]}]"),
            (" [{id: f, inputs: [o], plugin: ", "./a-b/filter.wasm", "}] # filter.wasm"),
            (" [{id: f, plugin: ", "./a$$b/filter.wasm", ", inputs: [o]}]"),
            ("\n    - id: f\n      plugin: ", "./a, b/filter.wasm", " # mine\n      inputs: [o]"),
            ("\n    - id: f\n      plugin: ", "./${FLOWCTL_NOT_SET:-a}/filter.wasm", " # mine\n      inputs: [o]"),
            ("\r\n    - id: f\r\n      inputs: [o]\r\n      plugin: ", "filter.wasm", "\r\n"),
            ("\r    - id: f\r      inputs: [o]\r      plugin: ", "filter.wasm", "\r"),
            (" [{id: f, plugin: ", "'./it''s/filter.wasm'", ", inputs: [o]}]"),
            (" [{id: f, plugin: ", r#""./a\u002cb/\"c\"/filter.wasm""#, ", inputs: [o]}]"),
        ] {
            check(&format!("{before}{file}{after}"), Some(&format!("{before}{new}{after}")));
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_not() {
        check("\n    - id: f\n      inputs: [o]\n      plugin: >-\n        filter.wasm", None);
        check("\n    - id: g\n      inputs: [o]\n      plugin: filter.wasm\n    - {id: f, type: x, inputs: [g]}", None);
    }
}
