//! A pipeline file that was read: its intent, and where each value was written.

use std::fmt;
use std::path::Path;

use flowctl_types::{Code, NodeId};

use crate::fault::{Problem, Source, Span};
use crate::holes::Holes;
use crate::reader::{Fields, Reader};
use crate::scalar::Side;
use crate::tree::{self, Kind, Node, shorten};
use crate::{Fault, Faults, Intent, discover, explicit, interpolate};

/// A pipeline file, as far as it could be read.
///
/// [`parse`] gives out documents without faults of their own; [`read`] those too whose
/// intent has holes.
#[derive(Clone)]
pub struct Document {
    /// The pipeline's name: `metadata.name`, else the stem of the file's name.
    pub name: NodeId,
    /// What the file asks for.
    pub intent: Intent,
    source: Source,
    /// Without the items of lists that the intent lacks.
    root: Node,
    holes: Holes,
}

/// Reads a pipeline file in either format.
///
/// `file_name` is for faults, and for the pipeline's name where the text gives none;
/// `-` stands for stdin. `env` gives the value of an environment variable; none =
/// it is not set.
///
/// # Errors
///
/// Every fault of the file, in its order; of more than 500, the first 500 and how many
/// more there are. Where the text is no YAML, what follows the
/// first syntax error is unknown, so that error is the last one.
pub fn parse(file_name: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Document, Faults> {
    let (document, faults) = read(file_name, text, env);
    match (Faults::collect(faults), document) {
        (None, Some(document)) => Ok(document),
        (Some(faults), _) => Err(faults),
        (None, None) => unreachable!("where there is no document, a fault says why"),
    }
}

/// As [`parse`], but gives out what could be read beside the faults, so that whoever
/// plans it finds the others too. None where that is no pipeline at all.
///
/// Where there is a fault, the intent has holes: what could not be read is left out, and
/// [`Document::is_whole`] is false.
pub fn read(file_name: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> (Option<Document>, Vec<Fault>) {
    let source = Source::new(file_name, text);
    let (root, problems) = tree::build(text);
    let mut reader = Reader { problems };
    let mut read = None;
    if let Some(mut root) = root {
        interpolate::fill(&mut root, &source, env, &mut reader.problems);
        let (name, intent) = read_root(&mut reader, &root, file_name);
        read = intent.map(|intent| (name, intent, root));
    }
    let mut problems = reader.problems;
    if read.is_none() && problems.is_empty() {
        problems.push(Problem::new(Span::START, Code::MissingKey, "the file holds no pipeline".to_owned(), None));
    }
    let document = read.map(|(name, intent, mut root)| {
        let holes = Holes::new(&mut root, &problems);
        Document { name, intent, source: source.clone(), root, holes }
    });
    (document, source.faults(problems))
}

impl Document {
    /// A fault at the value that `path` leads to, for what is found out later.
    ///
    /// The path begins below `spec` (`["config", "postgres", "url"]`); `metadata`,
    /// `kind` and `apiVersion` begin it too. An item of a list is named by its index
    /// or by its `id` (`["processors", "ttp", "plugin"]`). Where the path leads to
    /// nothing, the fault stands at the last key on the way that exists.
    #[must_use]
    pub fn fault_at(&self, path: &[&str], code: Code, message: String, hint: Option<String>) -> Fault {
        self.source.fault(Problem::new(self.place(path), code, message, hint))
    }

    /// As [`Self::fault_at`], at the key that the path ends with.
    #[must_use]
    pub fn fault_at_key(&self, path: &[&str], code: Code, message: String, hint: Option<String>) -> Fault {
        let place = self.find(path).map_or_else(|last| last.place(), Node::place);
        self.source.fault(Problem::new(place, code, message, hint))
    }

    /// Whether the file has no fault of its own.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.holes.is_empty()
    }

    /// Whether something in this part of `spec` could not be read.
    #[must_use]
    pub fn has_hole(&self, key: &str) -> bool {
        self.holes.has(key)
    }

    /// The parts of `spec` in which something could not be read; keys that mean nothing
    /// are among them.
    pub fn holes(&self) -> impl Iterator<Item = &str> {
        self.holes.keys()
    }

    /// Whether the value that `path` leads to, or one around it, could not be read. What
    /// else is found wrong with it follows from that.
    #[must_use]
    pub fn is_unreadable(&self, path: &[&str]) -> bool {
        !self.is_whole() && self.holes.concerns(self.find(path).unwrap_or_else(|last| last))
    }

    /// A fault at a value of a node's configuration, in either format; an empty path
    /// stands for the configuration as a whole.
    #[must_use]
    pub fn fault_in_config(&self, node: &str, path: &[&str], message: String, hint: Option<String>) -> Fault {
        let start: &[&str] = match &self.intent {
            _ if node == crate::options::DEAD_LETTER_ID => &["dead_letter", "config"],
            Intent::Discover(_) => &["config", node],
            Intent::Explicit(intent) if intent.sources.iter().any(|spec| spec.id.as_str() == node) => {
                &["sources", node, "config"]
            }
            Intent::Explicit(intent) if intent.sinks.iter().any(|spec| spec.id.as_str() == node) => {
                &["sinks", node, "config"]
            }
            Intent::Explicit(_) => &["processors", node, "config"],
        };
        self.fault_at(&[start, path].concat(), Code::BadConfig, message, hint)
    }

    /// The file's text.
    pub(crate) const fn source(&self) -> &Source {
        &self.source
    }

    /// The whole document as JSON.
    pub(crate) fn to_json(&self, side: Side) -> serde_json::Value {
        self.root.to_json(side)
    }

    fn place(&self, path: &[&str]) -> Span {
        match self.find(path) {
            Ok(Node { kind: Kind::Scalar(_), span, .. }) => *span,
            Ok(node) | Err(node) => node.place(),
        }
    }

    /// The value that `path` leads to, else the last on the way that exists.
    pub(crate) fn find(&self, path: &[&str]) -> Result<&Node, &Node> {
        let is_top = |key: &&str| ROOT_KEYS.contains(key);
        let mut node = &self.root;
        if !path.first().is_some_and(is_top)
            && let Some(spec) = child(node, "spec")
        {
            node = spec;
        }
        for segment in path {
            match child(node, segment) {
                Some(found) => node = found,
                None => return Err(node),
            }
        }
        Ok(node)
    }
}

impl fmt::Debug for Document {
    /// Leaves out the text and its positions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("name", &self.name).field("intent", &self.intent).finish_non_exhaustive()
    }
}

const ROOT_KEYS: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
const FORMATS: [(&str, &str); 2] = [("flowctl/v1", "Pipeline"), ("flowctl/v2", "Topology")];

/// The value that one segment of a path leads to.
fn child<'n>(node: &'n Node, segment: &str) -> Option<&'n Node> {
    match &node.kind {
        Kind::Mapping(entries) => entries.iter().find(|entry| entry.name == segment).map(|entry| &entry.value),
        Kind::Sequence(items) => {
            let by_id = |item: &&Node| match child(item, "id").map(|id| &id.kind) {
                Some(Kind::Scalar(id)) => id.text() == segment,
                _ => false,
            };
            items.iter().find(by_id).or_else(|| items.get(segment.parse::<usize>().ok()?))
        }
        // one value may stand in place of a list
        Kind::Scalar(_) if segment == "0" => Some(node),
        Kind::Scalar(_) | Kind::Invalid => None,
    }
}

fn read_root(reader: &mut Reader, root: &Node, file_name: &str) -> (NodeId, Option<Intent>) {
    let unnamed = name_of_file(file_name);
    let Some(fields) = reader.fields(root, "the file", &ROOT_KEYS) else { return (unnamed, None) };
    let is_v2 = read_format(reader, &fields);
    let metadata = fields.get("metadata").and_then(|node| reader.fields(node, "`metadata`", &["name"]));
    let name = metadata.and_then(|fields| reader.name(fields.get("name")?, "`name`"));
    let spec = reader.required(&fields, "spec", "write `spec:` and below it what the pipeline consists of");
    let intent = spec.zip(is_v2).and_then(|(spec, is_v2)| match is_v2 {
        true => discover::read(reader, spec).map(Intent::Discover),
        false => explicit::read(reader, spec).map(Intent::Explicit),
    });
    (name.unwrap_or(unnamed), intent)
}

/// Whether the file is in the second format; none where that cannot be told.
fn read_format(reader: &mut Reader, fields: &Fields<'_>) -> Option<bool> {
    let versions = FORMATS.map(|(version, _)| version);
    let kinds = FORMATS.map(|(_, kind)| kind);
    let version_hint = "write `apiVersion: flowctl/v2` (kind Topology), or `flowctl/v1` (kind Pipeline)";
    let version_node = reader.required(fields, "apiVersion", version_hint);
    let version =
        version_node.and_then(|node| reader.choice(node, Code::UnsupportedVersion, "`apiVersion`", &versions));
    let kind_hint = "write `kind: Topology` for flowctl/v2, `kind: Pipeline` for flowctl/v1";
    let kind_node = reader.required(fields, "kind", kind_hint);
    let kind = kind_node.and_then(|node| reader.choice(node, Code::UnsupportedVersion, "`kind`", &kinds));
    if let (Some(version), Some(kind), Some(node)) = (version, kind, kind_node)
        && version != kind
    {
        let hint = format!("write `kind: {}`", FORMATS[version].1);
        reader.fault(
            node.span,
            Code::UnsupportedVersion,
            format!("kind `{}` does not go with `{}`", kinds[kind], versions[version]),
            hint,
        );
    }
    let by_content = || match fields.get("spec").map(|spec| &spec.kind) {
        Some(Kind::Mapping(entries)) => entries.iter().find_map(|entry| match entry.name.as_str() {
            "from" | "to" | "via" => Some(1),
            "sources" | "processors" | "sinks" => Some(0),
            _ => None,
        }),
        _ => None,
    };
    version.or(kind).or_else(by_content).map(|index| index == 1)
}

fn name_of_file(file_name: &str) -> NodeId {
    let stem = Path::new(file_name).file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
    NodeId::from_any(&shorten(stem)).or_else(|_| NodeId::from_any("pipeline")).expect("`pipeline` is spelled as a name")
}
