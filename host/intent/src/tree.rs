//! YAML text to a tree in which every key and value knows its place.
//!
//! Owns the YAML parser. Invariant: the tree is bounded, whatever the text: 1 MiB of
//! text, 10,000 values, 32 levels, and 4 MiB of text with aliases expanded. Building
//! is iterative, so nesting never meets the stack. Merge keys, tags, directives and
//! keys that are not text are refused: no pipeline needs them.

use std::collections::HashMap;

use flowctl_types::Code;
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError};

use crate::fault::{Problem, Span};

/// Most bytes of a file.
pub(crate) const MAX_BYTES: usize = 1 << 20;
const MAX_VALUES: usize = 10_000;
const MAX_DEPTH: usize = 32;
const MAX_EXPANDED_BYTES: usize = 4 << 20;

/// A value and its place.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    /// The key that it is the value of.
    pub(crate) key: Option<Span>,
}

/// What a value is.
#[derive(Clone)]
pub(crate) enum Kind {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
    /// Already reported; whoever meets it stays silent.
    Invalid,
}

/// A scalar, before its type is decided.
#[derive(Clone)]
pub(crate) struct Scalar {
    /// Its text in the file, escapes resolved.
    pub(crate) written: String,
    /// Its text with the environment filled in, where that differs.
    pub(crate) filled: Option<String>,
    /// Whether it stood without quotes, so that it may be a number.
    pub(crate) is_plain: bool,
}

/// One key of a mapping with its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) value: Node,
}

impl Node {
    /// Where a fault that concerns the whole value is shown: its key, else itself.
    pub(crate) fn place(&self) -> Span {
        self.key.unwrap_or(self.span)
    }
}

/// Builds the tree of the only document in `text`. None where the text is no YAML;
/// the reason is in the problems then.
pub(crate) fn build(text: &str) -> (Option<Node>, Vec<Problem>) {
    let mut builder = Builder { values_left: MAX_VALUES, bytes_left: MAX_EXPANDED_BYTES, ..Builder::default() };
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, more than the {MAX_BYTES} that a pipeline may have", text.len());
        return (None, vec![Problem::new(Span::START, Code::TooLarge, message, None)]);
    }
    let mut options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => {
                if !builder.take(event, Span::from(span)) {
                    break;
                }
            }
            Err(error) => {
                builder.refuse_text(text, &error);
                break;
            }
        }
    }
    if builder.root.is_none() && builder.problems.is_empty() {
        let hint = "write `apiVersion`, `kind` and `spec`";
        builder.coded(Span::START, Code::MissingKey, "the file holds no pipeline", Some(hint.into()));
    }
    (builder.root, builder.problems)
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    problems: Vec<Problem>,
    n_documents: usize,
    values_left: usize,
    bytes_left: usize,
}

/// A collection that is not yet closed.
struct Frame {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, lines: HashMap<String, usize>, key: Key },
}

/// What a mapping waits for.
enum Key {
    /// The next value is a key.
    Awaited,
    /// The next value belongs to this key.
    Read(String, Span),
    /// The next value belongs to a key that was refused.
    Refused,
}

impl Builder {
    /// Takes one event; false when the rest is not worth reading.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::DocumentStart(..) => {
                self.n_documents += 1;
                if self.n_documents > 1 {
                    let hint = "write one file for each pipeline";
                    self.problem(span, "a second document begins in this file", Some(hint.into()));
                    return false;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    self.refuse_tag(span);
                }
                let is_plain = style == ScalarStyle::Plain;
                let scalar = Scalar { written: text.into_owned(), filled: None, is_plain };
                return self.finish(Node { kind: Kind::Scalar(scalar), span, key: None }, anchor);
            }
            Event::SequenceStart(_, anchor, tag) => {
                return self.open(Content::Sequence(Vec::new()), anchor, tag.is_some(), span);
            }
            Event::MappingStart(_, anchor, tag) => {
                let content = Content::Mapping { entries: Vec::new(), lines: HashMap::new(), key: Key::Awaited };
                return self.open(content, anchor, tag.is_some(), span);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.frames.pop() else { return false };
                let kind = match frame.content {
                    Content::Sequence(items) => Kind::Sequence(items),
                    Content::Mapping { entries, .. } => Kind::Mapping(entries),
                };
                return self.finish(Node { kind, span: frame.span, key: None }, frame.anchor);
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    let hint = "a value cannot hold itself";
                    self.problem(span, "an alias stands within the value that it names", Some(hint.into()));
                    return self.finish(Node { kind: Kind::Invalid, span, key: None }, 0);
                };
                let (n_values, n_bytes) = weight(node);
                if !self.spend(n_values, n_bytes, span) {
                    return false;
                }
                let node = node_at(&self.anchors, anchor, span);
                return self.finish(node, 0);
            }
            Event::UnresolvedAlias(name) => {
                let name = shorten(&name);
                let hint = format!("write `&{name}` before it, or quotes around a text that starts with `*`");
                self.problem(span, format!("alias `*{name}` names no value"), Some(hint));
                return self.finish(Node { kind: Kind::Invalid, span, key: None }, 0);
            }
            _ => {}
        }
        true
    }

    fn open(&mut self, content: Content, anchor: usize, is_tagged: bool, span: Span) -> bool {
        if is_tagged {
            self.refuse_tag(span);
        }
        if self.frames.len() >= MAX_DEPTH {
            self.refuse_depth(span);
            return false;
        }
        self.frames.push(Frame { span: span.first_column(), anchor, content });
        true
    }

    /// Puts a complete value where it belongs.
    fn finish(&mut self, mut node: Node, anchor: usize) -> bool {
        let n_bytes = match &node.kind {
            Kind::Scalar(scalar) => scalar.written.len(),
            _ => 0,
        };
        if !self.spend(1, n_bytes, node.span) {
            return false;
        }
        if anchor != 0 {
            let (n_values, n_bytes) = weight(&node);
            if !self.spend(n_values, n_bytes, node.span) {
                return false;
            }
            self.anchors.insert(anchor, node.clone());
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return true;
        };
        match &mut frame.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping { entries, lines, key } => match std::mem::replace(key, Key::Awaited) {
                Key::Awaited => match read_key(&node, lines) {
                    Ok(name) => *key = Key::Read(name, node.span),
                    Err(problem) => {
                        *key = Key::Refused;
                        self.problems.extend(problem);
                    }
                },
                Key::Read(name, span) => {
                    node.key = Some(span);
                    entries.push(Entry { name, span, value: node });
                }
                Key::Refused => {}
            },
        }
        true
    }

    /// Takes from what is left of the tree's bounds; false when nothing is.
    fn spend(&mut self, n_values: usize, n_bytes: usize, span: Span) -> bool {
        let values_left = self.values_left.checked_sub(n_values);
        let bytes_left = self.bytes_left.checked_sub(n_bytes);
        if let (Some(values_left), Some(bytes_left)) = (values_left, bytes_left) {
            (self.values_left, self.bytes_left) = (values_left, bytes_left);
            return true;
        }
        let message = format!(
            "with aliases expanded, the file has more than {MAX_VALUES} values or {MAX_EXPANDED_BYTES} bytes of text"
        );
        self.coded(span, Code::TooLarge, message, Some("split the pipeline, or write fewer aliases".into()));
        self.root = None;
        false
    }

    /// Notes a fault of the parser, which ends the reading.
    fn refuse_text(&mut self, text: &str, error: &ScanError) {
        let span = Span::point(error.marker().line(), error.marker().col());
        self.root = None;
        if *error.kind() == ErrorKind::RecursionLimitExceeded {
            return self.refuse_depth(span);
        }
        let line = text.lines().nth(span.line.saturating_sub(1)).unwrap_or("");
        let hint = line.contains("${").then(|| "between `{` and `}`, a variable needs quotes: \"${NAME}\"".to_owned());
        self.problem(span, format!("this is not YAML: {}", error.info()), hint);
    }

    fn refuse_depth(&mut self, span: Span) {
        self.root = None;
        let hint = "flatten it: no pipeline needs that";
        self.problem(span, format!("values are nested more than {MAX_DEPTH} levels deep"), Some(hint.into()));
    }

    fn refuse_tag(&mut self, span: Span) {
        let hint = "write the value without it; quotes make a text of a number";
        self.problem(span, "tags such as `!name` are not used in pipelines", Some(hint.into()));
    }

    fn problem(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) {
        self.coded(span, Code::YamlSyntax, message, hint);
    }

    fn coded(&mut self, span: Span, code: Code, message: impl Into<String>, hint: Option<String>) {
        self.problems.push(Problem::new(span, code, message.into(), hint));
    }
}

/// The name that a key gives, or why it gives none (nothing where that is known).
fn read_key(node: &Node, lines: &mut HashMap<String, usize>) -> Result<String, Option<Problem>> {
    let refuse =
        |code: Code, message: String, hint: &str| Err(Some(Problem::new(node.span, code, message, Some(hint.into()))));
    let problem = |message: String, hint: &str| refuse(Code::YamlSyntax, message, hint);
    let scalar = match &node.kind {
        Kind::Scalar(scalar) => scalar,
        Kind::Invalid => return Err(None),
        Kind::Sequence(_) | Kind::Mapping(_) => {
            return problem("a key must be a text".into(), "text that starts with `{`, `[` or `*` needs quotes");
        }
    };
    let name = scalar.written.clone();
    if name.is_empty() {
        return problem("a key is missing before `:`".into(), "write `key: value`");
    }
    if name == "<<" && scalar.is_plain {
        return problem("merge keys (`<<`) are not supported".into(), "write the keys out, or alias a whole value");
    }
    if let Some(line) = lines.get(&name) {
        return refuse(
            Code::ListedTwice,
            format!("key `{}` is given twice", shorten(&name)),
            &format!("the first is on line {line}"),
        );
    }
    lines.insert(name.clone(), node.span.line);
    Ok(name)
}

/// A copy of an anchored value, placed where the alias stands.
fn node_at(anchors: &HashMap<usize, Node>, anchor: usize, span: Span) -> Node {
    match anchors.get(&anchor) {
        Some(node) => Node { span, ..node.clone() },
        None => Node { kind: Kind::Invalid, span, key: None },
    }
}

/// Values and bytes of text in a tree; its depth is bounded.
fn weight(node: &Node) -> (usize, usize) {
    let children = |nodes: &mut dyn Iterator<Item = (usize, &Node)>| {
        nodes.fold((1, 0), |(n_values, n_bytes), (name_bytes, child)| {
            let (v, b) = weight(child);
            (n_values + v, n_bytes + b + name_bytes)
        })
    };
    match &node.kind {
        Kind::Scalar(scalar) => (1, scalar.written.len()),
        Kind::Sequence(items) => children(&mut items.iter().map(|item| (0, item))),
        Kind::Mapping(entries) => children(&mut entries.iter().map(|entry| (entry.name.len(), &entry.value))),
        Kind::Invalid => (1, 0),
    }
}

/// Text for a message: long ones are cut.
pub(crate) fn shorten(text: &str) -> String {
    const MAX_CHARS: usize = 60;
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => text[..end].chars().map(clean).chain(['…']).collect(),
        None => text.chars().map(clean).collect(),
    }
}
