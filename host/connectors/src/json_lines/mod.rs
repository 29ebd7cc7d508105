//! Sources `file` and `stdin`: lines of JSON, each an event of the type that `type:`
//! names.
//!
//! Empty lines are passed over. A line that is no event is handed over as refused, with
//! its number and what is wrong, and the stream goes on. An event's id is `NODE/FILE/LINE`, of
//! standard input `NODE/LINE`, lines counted from 1. Events from a file have no time of their own (0), so that they
//! are the same when read again; those from standard input have the time they came.
//! Standard input cannot be read again: its position only says how much was read.

mod line;
mod reader;

use flowctl_runtime::Source;
use flowctl_schema::Schema;
use flowctl_topology::Node;
use serde::Deserialize;

use self::reader::JsonLines;
use crate::background::Background;
use crate::base_dir::BaseDir;
use crate::reach::Reach;
use crate::{ConnectorError, Pipeline, config, files};

pub(crate) const FILE: &str = "file";
pub(crate) const STDIN: &str = "stdin";

/// The configuration of `file`, as WIT; [`FileConfig`] is what it is read into.
pub(crate) const FILE_CONFIG: &str = "
/// Where events come from.
record config {
    /// A file, or a glob such as `orders/*.jsonl`: lines of JSON, or zstd around them.
    /// Files are read in the order of their names.
    path: string,
    /// The type of the events, such as `example.order.v1`.
    %type: string,
}
";

/// The configuration of `stdin`, as WIT; [`StdinConfig`] is what it is read into.
pub(crate) const STDIN_CONFIG: &str = "
/// What the lines of standard input are.
record config {
    /// The type of the events, such as `example.order.v1`.
    %type: string,
}
";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileConfig {
    path: String,
    r#type: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StdinConfig {
    r#type: String,
}

pub(crate) fn file(node: &Node, pipeline: &Pipeline) -> Result<Box<dyn Source>, ConnectorError> {
    let FileConfig { path, r#type } = config::read(FILE, node)?;
    let schema = emitted(FILE, node, &r#type)?;
    Ok(Box::new(Background::new(JsonLines::files(node, schema, files::find(FILE, &path, pipeline.base())?))))
}

/// What is wrong with a configuration of `file` that has the right fields.
pub(crate) fn check_file(config: &serde_json::Value) -> Vec<ConnectorError> {
    let read = config::read_value(FILE, config);
    read.and_then(|FileConfig { path, .. }| files::check_pattern(FILE, &path)).err().into_iter().collect()
}

pub(crate) fn stdin(node: &Node) -> Result<Box<dyn Source>, ConnectorError> {
    let StdinConfig { r#type } = config::read(STDIN, node)?;
    Ok(Box::new(Background::new(JsonLines::stdin(node, emitted(STDIN, node, &r#type)?))))
}

/// What a source `file` of this configuration touches.
pub(crate) fn reach_file(config: &serde_json::Value, base: BaseDir<'_>) -> Result<Reach, ConnectorError> {
    let FileConfig { path, .. } = config::read_value(FILE, config)?;
    Ok(Reach { reads: vec![base.reached_by_glob(&path)], ..Reach::default() })
}

/// The schema of the one type that the node emits, which its configuration names.
pub(crate) fn emitted(connector: &'static str, node: &Node, name: &str) -> Result<Schema, ConnectorError> {
    match node.outputs.as_slice() {
        [schema] if schema.event_type().as_str() == name => Ok(schema.clone()),
        outputs => {
            let planned: Vec<String> = outputs.iter().map(|schema| format!("`{}`", schema.event_type())).collect();
            let reason = format!("it is to emit `{name}`, and is planned to emit {}", planned.join(", "));
            Err(ConnectorError::Types { connector, node: node.id.to_string(), reason })
        }
    }
}
