//! Takes typed values out of the tree, and notes what does not fit.
//!
//! Invariant: a read that fails leaves exactly one problem behind (none where the
//! value was reported before) and returns nothing; so a caller goes on, and every
//! fault of a file is found in one pass.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use flowctl_types::units::{duration_text, parse_duration, parse_size, size_text};
use flowctl_types::{Code, NodeId, did_you_mean};

use crate::fault::{Problem, Span};
use crate::scalar::Side;
use crate::tree::{Entry, Kind, Node, Scalar, shorten};
use crate::{Config, Interpolated};

/// Collects problems while values are read.
#[derive(Default)]
pub(crate) struct Reader {
    pub(crate) problems: Vec<Problem>,
}

/// The keys of one mapping.
pub(crate) struct Fields<'n> {
    entries: &'n [Entry],
    place: Span,
    what: String,
}

impl<'n> Fields<'n> {
    /// The value of `key`; none where it is left out or empty.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value).filter(|value| !value.is_null())
    }

    /// Where `key` is written.
    pub(crate) fn key_span(&self, key: &str) -> Option<Span> {
        self.entry(key).map(|entry| entry.span)
    }

    fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.name == key)
    }
}

impl Reader {
    pub(crate) fn fault(&mut self, span: Span, code: Code, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::new(span, code, message.into(), Some(hint.into())));
    }

    /// The keys of a mapping, each of which must be known.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<Fields<'n>> {
        self.fields_but(node, what, known, &[])
    }

    /// As [`Self::fields`]; the keys of `refused` are for the caller to report.
    pub(crate) fn fields_but<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
        refused: &[&str],
    ) -> Option<Fields<'n>> {
        let entries = self.entries(node, what)?;
        for entry in entries {
            let name = entry.name.as_str();
            if !known.contains(&name) && !refused.contains(&name) {
                let near = did_you_mean(&entry.name, known.iter().copied());
                let hint = near.unwrap_or_else(|| format!("known here: {}", quoted(known)));
                let message = format!("unknown key `{}` in {what}", shorten(&entry.name));
                self.fault(entry.span, Code::UnknownKey, message, hint);
            }
        }
        Some(Fields { entries, place: node.place(), what: what.to_owned() })
    }

    /// The entries of a mapping whose keys are for the author to choose.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        match &node.kind {
            Kind::Mapping(entries) => Some(entries),
            Kind::Invalid => None,
            _ => self.wrong_type(node, what, "a mapping", "write `key: value` pairs, indented below it"),
        }
    }

    /// The value of a key that must be there.
    pub(crate) fn required<'n>(&mut self, fields: &Fields<'n>, key: &str, hint: &str) -> Option<&'n Node> {
        let found = fields.get(key);
        if found.is_none() {
            let place = fields.key_span(key).unwrap_or(fields.place);
            self.fault(place, Code::MissingKey, format!("{} has no `{key}`", fields.what), hint);
        }
        found
    }

    /// The items of a list.
    pub(crate) fn items<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::Sequence(items) => items,
            Kind::Invalid => &[],
            _ => self.wrong_type(node, what, "a list", "write `[a, b]`, or one `- item` a line").unwrap_or(&[]),
        }
    }

    /// The items of a list, or the one value that stands in place of a list.
    pub(crate) fn one_or_many<'n>(&mut self, node: &'n Node) -> &'n [Node] {
        match &node.kind {
            Kind::Sequence(items) => items,
            _ => std::slice::from_ref(node),
        }
    }

    /// A text that is not empty.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        let scalar = match &node.kind {
            Kind::Scalar(scalar) => scalar,
            Kind::Invalid => return None,
            _ => return self.wrong_type(node, what, "a text", "write one value in place of it"),
        };
        if !scalar.value(Side::Filled).is_string() {
            let hint = format!("quotes make a text of it: \"{}\"", shorten(&scalar.written));
            return self.wrong_type(node, what, "a text", &hint);
        }
        if scalar.text().trim().is_empty() {
            self.fault(node.span, Code::WrongValue, format!("{what} is empty"), "write a text, or leave the key out");
            return None;
        }
        Some(scalar.text())
    }

    /// A text as it is, or a number or truth value as it was written.
    pub(crate) fn any_text(&mut self, node: &Node, what: &str) -> Option<Interpolated<String>> {
        match &node.kind {
            Kind::Scalar(scalar) if !scalar.value(Side::Filled).is_null() => {
                Some(Interpolated::new(scalar.text().to_owned(), scalar.written.clone()))
            }
            Kind::Invalid => None,
            _ => self.wrong_type(node, what, "a text", "write one value; \"\" is an empty text"),
        }
    }

    /// A text of a type with a spelling of its own. The message shows what was
    /// written, never what a variable held.
    pub(crate) fn spelled<T: FromStr>(&mut self, node: &Node, what: &str, kind: &str, hint: &str) -> Option<T> {
        let parsed = self.text(node, what)?.parse().ok();
        if parsed.is_none() {
            self.fault(node.span, Code::WrongValue, format!("`{}` is not {kind}", node.shown()), hint);
        }
        parsed
    }

    /// One of the words that are known: its index. `code` is for any other.
    pub(crate) fn choice(&mut self, node: &Node, code: Code, what: &str, known: &[&str]) -> Option<usize> {
        let text = self.text(node, what)?;
        let index = known.iter().position(|name| *name == text);
        if index.is_none() {
            let hint = match did_you_mean(text, known.iter().copied()) {
                Some(near) => format!("{near} Known: {}", quoted(known)),
                None => format!("known: {}", quoted(known)),
            };
            self.fault(node.span, code, format!("unknown {} `{}`", what.trim_matches('`'), node.shown()), hint);
        }
        index
    }

    /// A name: of a node, a pipeline, a connector.
    pub(crate) fn name(&mut self, node: &Node, what: &str) -> Option<NodeId> {
        let text = self.text(node, what)?;
        let name = text.parse().ok();
        if name.is_none() {
            let hint = match (&node.kind, NodeId::from_any(text)) {
                (Kind::Scalar(Scalar { filled: None, .. }), Ok(near)) if text.is_ascii() => {
                    format!("write `{near}`: {NAME_HINT}")
                }
                _ => NAME_HINT.to_owned(),
            };
            self.fault(node.span, Code::BadName, format!("`{}` is not a name", node.shown()), hint);
        }
        name
    }

    /// A whole number within bounds. One that came from a variable may stand in
    /// quotes, since flow mappings demand them.
    pub(crate) fn integer(&mut self, node: &Node, what: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let want = format!("a whole number from {} to {}", range.start(), range.end());
        let number = match &node.kind {
            Kind::Scalar(scalar) if scalar.filled.is_some() => scalar.plain_value(),
            Kind::Scalar(scalar) => scalar.value(Side::Filled),
            Kind::Invalid => return None,
            _ => return self.wrong_type(node, what, &want, "write one number in place of it"),
        };
        if !number.is_number() {
            let hint = "write a number, without a unit and without quotes";
            return self.wrong_type(node, what, &want, hint);
        }
        let in_bounds = number.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n));
        if in_bounds.is_none() {
            self.fault(node.span, Code::WrongValue, format!("{what} is out of bounds"), format!("write {want}"));
        }
        in_bounds
    }

    /// A duration within bounds.
    pub(crate) fn duration(&mut self, node: &Node, what: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let bounds = format!("from {} to {}", duration_text(*range.start()), duration_text(*range.end()));
        let hint = format!("write a number and a unit, such as `250ms`, `5s` or `1m`, {bounds}");
        self.quantity(node, what, "a duration", &hint, parse_duration, |duration| range.contains(duration))
    }

    /// A number of bytes within bounds.
    pub(crate) fn size(&mut self, node: &Node, what: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let bounds = format!("from {} to {}", size_text(*range.start()), size_text(*range.end()));
        let hint = format!("write bytes, or a number and a unit, such as `64MiB` or `1MB`, {bounds}");
        self.quantity(node, what, "a size", &hint, parse_size, |size| range.contains(size))
    }

    /// A mapping as it is, with what was written beside it.
    pub(crate) fn config(&mut self, node: &Node, what: &str) -> Config {
        match self.entries(node, what) {
            Some(_) => Interpolated::new(node.to_json(Side::Filled), node.to_json(Side::Written)),
            None => Config::default(),
        }
    }

    fn quantity<T>(
        &mut self,
        node: &Node,
        what: &str,
        kind: &str,
        hint: &str,
        parse: fn(&str) -> Option<T>,
        holds: impl FnOnce(&T) -> bool,
    ) -> Option<T> {
        let text = match &node.kind {
            Kind::Scalar(scalar) if !node.is_null() => scalar.text(),
            Kind::Invalid => return None,
            _ => return self.wrong_type(node, what, kind, hint),
        };
        let Some(parsed) = parse(text) else {
            self.fault(node.span, Code::WrongValue, format!("{what} must be {kind}, but is `{}`", node.shown()), hint);
            return None;
        };
        if holds(&parsed) {
            return Some(parsed);
        }
        self.fault(node.span, Code::WrongValue, format!("{what} is out of bounds"), hint);
        None
    }

    fn wrong_type<T>(&mut self, node: &Node, what: &str, want: &str, hint: &str) -> Option<T> {
        self.fault(node.span, Code::WrongValue, format!("{what} must be {want}, but is {}", node.found()), hint);
        None
    }
}

/// How a name is spelled, for hints.
pub(crate) const NAME_HINT: &str = "use 1 to 63 of `a-z`, `0-9` and `-`";

impl Node {
    /// The text as written, fit for a message.
    pub(crate) fn shown(&self) -> String {
        match &self.kind {
            Kind::Scalar(Scalar { written, .. }) => shorten(written),
            _ => self.found().to_owned(),
        }
    }
}

/// Names in backticks with commas between.
pub(crate) fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
