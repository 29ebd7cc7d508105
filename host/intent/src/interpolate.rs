//! `${NAME}` in scalars, and values that remember how they were written.
//!
//! Invariant: only [`Interpolated::value`] gives out what came from the environment;
//! `Debug` and `Serialize` print the text of the file. An interpolated text is never
//! read as YAML again, so a variable cannot add keys or nodes.

use std::fmt;

use flowctl_types::Code;
use serde::{Serialize, Serializer};

use crate::fault::{Problem, Source};
use crate::tree::{Kind, Node};

/// Most bytes that variables may add to a file.
const MAX_FILLED_BYTES: usize = 1 << 20;

/// A value, and how it was written in the file.
#[derive(Clone, PartialEq)]
pub struct Interpolated<T> {
    value: T,
    written: T,
}

/// A node's configuration: an object, with the environment filled in.
pub type Config = Interpolated<serde_json::Value>;

impl<T> Interpolated<T> {
    /// The value, secrets included: for use, not for print or store.
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The value with `${NAME}` as it stands in the file: for print and store.
    pub const fn written(&self) -> &T {
        &self.written
    }

    /// The value alone, secrets included.
    pub fn into_value(self) -> T {
        self.value
    }

    pub(crate) const fn new(value: T, written: T) -> Self {
        Self { value, written }
    }
}

impl<T: Clone> From<T> for Interpolated<T> {
    fn from(value: T) -> Self {
        Self { written: value.clone(), value }
    }
}

impl Default for Config {
    fn default() -> Self {
        serde_json::Value::Object(serde_json::Map::new()).into()
    }
}

impl<T: fmt::Debug> fmt::Debug for Interpolated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl<T: Serialize> Serialize for Interpolated<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

/// Fills the environment into every value below `node`: `${NAME}`, `${NAME:-default}`
/// where the variable is unset or empty, and `$$` for a dollar sign. Any other `$`
/// stands for itself. Keys are left alone.
pub(crate) fn fill(
    node: &mut Node,
    source: &Source,
    env: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) {
    let mut filler = Filler { source, env, problems, bytes_left: MAX_FILLED_BYTES };
    filler.walk(node);
}

struct Filler<'a> {
    source: &'a Source,
    env: &'a dyn Fn(&str) -> Option<String>,
    problems: &'a mut Vec<Problem>,
    bytes_left: usize,
}

impl Filler<'_> {
    fn walk(&mut self, node: &mut Node) {
        let filled = match &mut node.kind {
            Kind::Scalar(scalar) if scalar.written.contains('$') => self.fill(&scalar.written),
            Kind::Scalar(_) | Kind::Invalid => return,
            Kind::Sequence(items) => return items.iter_mut().for_each(|item| self.walk(item)),
            Kind::Mapping(entries) => return entries.iter_mut().for_each(|entry| self.walk(&mut entry.value)),
        };
        match (filled, &mut node.kind) {
            (Ok(filled), Kind::Scalar(scalar)) => {
                scalar.filled = (filled != scalar.written).then_some(filled);
            }
            (Ok(_), _) => {}
            (Err(wrong), kind) => {
                *kind = Kind::Invalid;
                for Wrong { part, code, message, hint } in wrong {
                    let span = self.source.narrow(node.span, &part);
                    self.problems.push(Problem::new(span, code, message, Some(hint)));
                }
            }
        }
    }

    fn fill(&mut self, written: &str) -> Result<String, Vec<Wrong>> {
        let mut filled = String::new();
        let mut wrong = Vec::new();
        let mut rest = written;
        while let Some(at) = rest.find('$') {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("$$") {
                filled.push('$');
                rest = after;
            } else if rest.starts_with("${") {
                let end = rest.find('}').map_or(rest.len(), |end| end + 1);
                let (part, after) = rest.split_at(end);
                match self.look_up(part) {
                    Ok(value) => filled.push_str(&value),
                    Err(fault) => note(&mut wrong, fault),
                }
                rest = after;
            } else {
                filled.push('$');
                rest = &rest[1..];
            }
        }
        filled.push_str(rest);
        if wrong.is_empty() { Ok(filled) } else { Err(wrong) }
    }

    /// The value of `${NAME}` or `${NAME:-default}`.
    fn look_up(&mut self, part: &str) -> Result<String, Wrong> {
        let wrong = |code: Code, message: String, hint: String| Wrong { part: part.to_owned(), code, message, hint };
        let Some(inner) = part.strip_prefix("${").and_then(|inner| inner.strip_suffix('}')) else {
            let message = "`${` has no closing `}`".to_owned();
            return Err(wrong(Code::WrongValue, message, "write `${NAME}`, or `$$` for a dollar sign".to_owned()));
        };
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_variable_name(name) {
            let message = format!("`{}` is not the name of a variable", crate::tree::shorten(name));
            let hint = "write `${NAME}` or `${NAME:-default}`, or `$$` for a dollar sign".to_owned();
            return Err(wrong(Code::WrongValue, message, hint));
        }
        let found = (self.env)(name);
        let value = match (found, default) {
            (Some(value), Some(_)) if !value.is_empty() => value,
            (_, Some(default)) => default.to_owned(),
            (Some(value), None) => value,
            (None, None) => {
                let hint = format!("set it, or write a default: `${{{name}:-value}}`");
                return Err(wrong(Code::VariableNotSet, format!("environment variable `{name}` is not set"), hint));
            }
        };
        match self.bytes_left.checked_sub(value.len()) {
            Some(bytes_left) => self.bytes_left = bytes_left,
            None => {
                let message = format!("variables add more than {MAX_FILLED_BYTES} bytes to this file");
                return Err(wrong(
                    Code::TooLarge,
                    message,
                    format!("shorten `{name}`, or name a file that holds the value"),
                ));
            }
        }
        Ok(value)
    }
}

/// Why a scalar cannot be filled in; `part` is where.
struct Wrong {
    part: String,
    code: Code,
    message: String,
    hint: String,
}

/// Keeps what is wrong with each variable once, and of very many the first.
fn note(wrong: &mut Vec<Wrong>, fault: Wrong) {
    const MAX_NOTED: usize = 20;
    if wrong.len() < MAX_NOTED && wrong.iter().all(|other| other.part != fault.part) {
        wrong.push(fault);
    }
}

/// Whether a text can name an environment variable.
pub(crate) fn is_variable_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
