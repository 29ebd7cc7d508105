//! Changes of a pipeline file: of its nodes, not of its text.
//!
//! A [`Draft`] is a `flowctl/v1` document under change, as it was written: with `${NAME}`
//! where the file has it. One of `flowctl/v2` becomes one of `flowctl/v1` by the nodes that
//! it was planned to. What comes out is read and checked like any other file, so an edit
//! refuses only what it cannot do at all.

use flowctl_types::{NodeId, nearest};
use serde_json::{Map, Value, json};

use crate::scalar::Side;
use crate::{Document, Intent};

/// The lists of nodes in a document.
const LISTS: [&str; 3] = ["sources", "processors", "sinks"];

/// A `flowctl/v1` document under change.
#[derive(Clone)]
pub struct Draft {
    name: NodeId,
    spec: Map<String, Value>,
}

/// A node as it was planned, of a document that does not name its nodes.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Its id.
    pub id: NodeId,
    /// Where it stands.
    pub place: Place,
    /// What runs there, by the name that `type:` knows it by.
    pub component: String,
    /// What it reads from.
    pub inputs: Vec<NodeId>,
}

/// The list of a document that a node stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `sources`.
    Source,
    /// `processors`.
    Processor,
    /// `sinks`.
    Sink,
}

/// A node to add.
#[derive(Debug, Clone)]
pub struct Addition {
    /// Its id.
    pub id: NodeId,
    /// Where it is to stand.
    pub place: Place,
    /// What is to run there: a name, a reference or a file.
    pub component: String,
    /// What it reads from.
    pub after: Vec<NodeId>,
    /// Who reads from it, in the place of `after`.
    pub before: Vec<NodeId>,
    /// Its configuration.
    pub config: Map<String, Value>,
}

/// Why an edit cannot be made. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// There is no such node.
    #[error("the pipeline has no node `{node}`")]
    NoNode {
        /// What was asked for.
        node: String,
        /// Nodes with names that are near, nearest first.
        nearest: Vec<String>,
    },
    /// There is one already.
    #[error("the pipeline has a node `{node}` already")]
    Exists {
        /// Its id.
        node: String,
    },
    /// No edge leads from the one to the other.
    #[error("`{to}` does not read from `{from}`")]
    NoEdge {
        /// The node that would emit.
        from: String,
        /// The node that would receive.
        to: String,
    },
    /// A value leads through something that has no fields.
    #[error("`{path}` leads through a value that has no fields")]
    NoField {
        /// The path.
        path: String,
    },
    /// The document is of the other format, and was not planned.
    #[error("the pipeline is `flowctl/v2`: its nodes are known when it was planned")]
    Unplanned,
}

impl Draft {
    /// A document with its nodes: its own, or those that it was planned to.
    ///
    /// # Errors
    ///
    /// [`EditError::Unplanned`] of a `flowctl/v2` document without `placed`.
    pub fn of(document: &Document, placed: &[Placed]) -> Result<Self, EditError> {
        let written = document.to_json(Side::Written);
        let mut spec = written.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
        if let Intent::Discover(_) = document.intent {
            if placed.is_empty() {
                return Err(EditError::Unplanned);
            }
            spec = explicit(&spec, placed);
        }
        for list in LISTS {
            spec.entry(list).or_insert_with(|| json!([]));
        }
        Ok(Self { name: document.name.clone(), spec })
    }

    /// Adds a node, and has those `before` which it comes read from it.
    ///
    /// # Errors
    ///
    /// [`EditError`] when a node is not there, is there already, or reads from elsewhere.
    pub fn add(&mut self, addition: &Addition) -> Result<(), EditError> {
        let Addition { id, place, component, after, before, config } = addition;
        if self.node(id.as_str()).is_ok() {
            return Err(EditError::Exists { node: id.to_string() });
        }
        for node in after.iter().chain(before) {
            self.node(node.as_str())?;
        }
        for to in before {
            let inputs = inputs(self.node(to.as_str())?);
            if let Some(from) = after.iter().find(|from| !inputs.iter().any(|input| input == from.as_str())) {
                return Err(EditError::NoEdge { from: from.to_string(), to: to.to_string() });
            }
        }
        let mut node = Map::from_iter([("id".to_owned(), json!(id.as_str()))]);
        name_component(&mut node, component);
        if *place != Place::Source {
            node.insert("inputs".to_owned(), after.iter().map(|id| json!(id.as_str())).collect());
        }
        if !config.is_empty() {
            node.insert("config".to_owned(), Value::Object(config.clone()));
        }
        let list = match place {
            Place::Source => "sources",
            Place::Processor => "processors",
            Place::Sink => "sinks",
        };
        if let Some(Value::Array(nodes)) = self.spec.get_mut(list) {
            nodes.push(Value::Object(node));
        }
        for to in before {
            let to = self.node_mut(to.as_str())?;
            let replaced = inputs(to).into_iter().filter(|input| !after.iter().any(|from| from.as_str() == input));
            let inputs: Vec<Value> = replaced.chain([id.to_string()]).map(Value::String).collect();
            to.insert("inputs".to_owned(), inputs.into());
        }
        Ok(())
    }

    /// Removes a node; whoever read from it reads from what it read.
    ///
    /// # Errors
    ///
    /// [`EditError::NoNode`].
    pub fn remove(&mut self, id: &str) -> Result<(), EditError> {
        let before = inputs(self.node(id)?);
        for list in LISTS {
            let Some(Value::Array(nodes)) = self.spec.get_mut(list) else { continue };
            nodes.retain(|node| name_of(node) != Some(id));
            for node in nodes.iter_mut().filter_map(Value::as_object_mut) {
                let own = inputs(node);
                let Some(at) = own.iter().position(|input| input == id) else { continue };
                let mut joined: Vec<String> = own.iter().filter(|input| *input != id).cloned().collect();
                let new: Vec<String> = before.iter().filter(|input| !joined.contains(input)).cloned().collect();
                joined.splice(at..at, new);
                node.insert("inputs".to_owned(), joined.into_iter().map(Value::String).collect());
            }
        }
        Ok(())
    }

    /// Has another component run at a node.
    ///
    /// # Errors
    ///
    /// [`EditError::NoNode`].
    pub fn replace(&mut self, id: &str, component: &str) -> Result<(), EditError> {
        let node = self.node_mut(id)?;
        for key in ["type", "plugin", "image", "command", "env", "input_event_types", "output_event_types"] {
            node.remove(key);
        }
        name_component(node, component);
        Ok(())
    }

    /// Sets values of a node's configuration: each by its path, fields joined with dots; null
    /// takes it away.
    ///
    /// # Errors
    ///
    /// [`EditError::NoNode`], [`EditError::NoField`].
    pub fn configure(&mut self, id: &str, values: &[(String, Value)]) -> Result<(), EditError> {
        let node = self.node_mut(id)?;
        let mut config = node.get("config").cloned().unwrap_or_else(|| json!({}));
        for (path, value) in values {
            set(&mut config, path, value).ok_or_else(|| EditError::NoField { path: path.clone() })?;
        }
        node.insert("config".to_owned(), config);
        Ok(())
    }

    /// The nodes that read from `id`.
    #[must_use]
    pub fn readers(&self, id: &str) -> Vec<String> {
        let reads = |node: &&Value| node.as_object().is_some_and(|node| inputs(node).iter().any(|input| input == id));
        self.nodes().filter(reads).filter_map(name_of).map(ToOwned::to_owned).collect()
    }

    /// Whether there is a node of this id.
    ///
    /// # Errors
    ///
    /// [`EditError::NoNode`] with those that are near.
    pub fn check(&self, id: &str) -> Result<(), EditError> {
        self.node(id).map(drop)
    }

    /// The whole document.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut spec = self.spec.clone();
        // an empty list of processors says nothing
        if spec.get("processors").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            spec.remove("processors");
        }
        json!({
            "apiVersion": "flowctl/v1",
            "kind": "Pipeline",
            "metadata": { "name": self.name.as_str() },
            "spec": spec,
        })
    }

    fn nodes(&self) -> impl Iterator<Item = &Value> {
        LISTS.into_iter().filter_map(|list| self.spec.get(list)?.as_array()).flatten()
    }

    fn node(&self, id: &str) -> Result<&Map<String, Value>, EditError> {
        let found = self.nodes().find(|node| name_of(node) == Some(id)).and_then(Value::as_object);
        found.ok_or_else(|| self.no_node(id))
    }

    fn node_mut(&mut self, id: &str) -> Result<&mut Map<String, Value>, EditError> {
        self.node(id)?;
        let nodes = self.spec.iter_mut().filter(|(list, _)| LISTS.contains(&list.as_str()));
        let mut nodes = nodes.filter_map(|(_, list)| list.as_array_mut()).flatten();
        let found = nodes.find(|node| name_of(node) == Some(id)).and_then(Value::as_object_mut);
        found.ok_or_else(|| EditError::NoNode { node: id.to_owned(), nearest: Vec::new() })
    }

    fn no_node(&self, id: &str) -> EditError {
        let near = nearest(id, self.nodes().filter_map(name_of));
        EditError::NoNode { node: id.to_owned(), nearest: near.into_iter().map(str::to_owned).collect() }
    }
}

/// The `spec` of a document that names its nodes.
fn explicit(spec: &Map<String, Value>, placed: &[Placed]) -> Map<String, Value> {
    let of_node = |key: &str, id: &NodeId| spec.get(key).and_then(|of_nodes| of_nodes.get(id.as_str())).cloned();
    let mut lists: [Vec<Value>; 3] = Default::default();
    for Placed { id, place, component, inputs } in placed {
        let mut node = Map::from_iter([("id".to_owned(), json!(id.as_str())), ("type".to_owned(), json!(component))]);
        if *place != Place::Source {
            node.insert("inputs".to_owned(), inputs.iter().map(|id| json!(id.as_str())).collect());
        }
        if let Some(config) = of_node("config", id) {
            node.insert("config".to_owned(), config);
        }
        if let Some(Value::Object(options)) = of_node("nodes", id) {
            node.extend(options);
        }
        lists[*place as usize].push(Value::Object(node));
    }
    let mut explicit: Map<String, Value> =
        LISTS.into_iter().map(ToOwned::to_owned).zip(lists.map(Value::Array)).collect();
    let own = ["from", "to", "via", "where", "config", "nodes"];
    explicit
        .extend(spec.iter().filter(|(key, _)| !own.contains(&key.as_str())).map(|(key, it)| (key.clone(), it.clone())));
    explicit
}

/// Says what runs at a node: a name stands under `type`, anything else under `plugin`.
fn name_component(node: &mut Map<String, Value>, component: &str) {
    let is_name = component.parse::<NodeId>().is_ok();
    node.insert(if is_name { "type" } else { "plugin" }.to_owned(), json!(component));
}

fn name_of(node: &Value) -> Option<&str> {
    node.get("id")?.as_str()
}

fn inputs(node: &Map<String, Value>) -> Vec<String> {
    match node.get("inputs") {
        Some(Value::Array(inputs)) => inputs.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
        // one may stand in the place of a list
        Some(Value::String(input)) => vec![input.clone()],
        _ => Vec::new(),
    }
}

/// Sets what `path` leads to; none where it leads through something without fields.
fn set(config: &mut Value, path: &str, value: &Value) -> Option<()> {
    let (way, last) = path.rsplit_once('.').map_or(("", path), |(way, last)| (way, last));
    let mut place = config;
    for step in way.split('.').filter(|step| !step.is_empty()) {
        place = place.as_object_mut()?.entry(step).or_insert_with(|| json!({}));
    }
    let fields = place.as_object_mut()?;
    match value {
        Value::Null => drop(fields.remove(last)),
        value => drop(fields.insert(last.to_owned(), value.clone())),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const V1: &str = "
apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: p}
spec:
  sources: [{id: s, type: generate, config: {type: a.b.v1, seed: '${SEED}'}}]
  processors: [{id: p, plugin: ./p.wasm, inputs: [s], parallelism: 2}]
  sinks: [{id: out, type: stdout, inputs: [p]}, {id: all, type: stdout, inputs: [s, p]}]
";
    const V2: &str = "
apiVersion: flowctl/v2
kind: Topology
metadata: {name: p}
spec:
  from: a.b.v1
  to: out
  where: {network: pubnet}
  config: {s: {path: '${PATH}'}}
  nodes: {p: {parallelism: 2}}
  checkpoint: {interval: 1s}
";

    fn draft(text: &str) -> Draft {
        let document = crate::parse("p.yaml", text, &|name| Some(format!("value of {name}"))).unwrap();
        let placed = |id: &str, place, component: &str, inputs: &[&str]| Placed {
            id: id.parse().unwrap(),
            place,
            component: component.to_owned(),
            inputs: inputs.iter().map(|input| input.parse().unwrap()).collect(),
        };
        let placed = [
            placed("s", Place::Source, "file", &[]),
            placed("p", Place::Processor, "p", &["s"]),
            placed("out", Place::Sink, "out", &["p"]),
        ];
        Draft::of(&document, &placed).unwrap()
    }

    fn check(draft: &Draft, want: &Expect) {
        want.assert_eq(&draft.to_value()["spec"].to_string());
        let text = draft.to_value().to_string();
        crate::parse("p.yaml", &text, &|_| Some(String::new())).unwrap();
    }

    fn addition(id: &str, place: Place, after: &[&str], before: &[&str]) -> Addition {
        let ids = |ids: &[&str]| ids.iter().map(|id| id.parse().unwrap()).collect();
        let config = Map::from_iter([("n".to_owned(), json!(1))]);
        Addition {
            id: id.parse().unwrap(),
            place,
            component: id.to_owned(),
            after: ids(after),
            before: ids(before),
            config,
        }
    }

    #[test]
    fn a_node_comes_between_others() {
        let mut draft = draft(V1);
        draft.add(&addition("x", Place::Processor, &["p"], &["out", "all"])).unwrap();
        check(
            &draft,
            &expect![[
                r#"{"processors":[{"id":"p","inputs":["s"],"parallelism":2,"plugin":"./p.wasm"},{"config":{"n":1},"id":"x","inputs":["p"],"type":"x"}],"sinks":[{"id":"out","inputs":["x"],"type":"stdout"},{"id":"all","inputs":["s","x"],"type":"stdout"}],"sources":[{"config":{"seed":"${SEED}","type":"a.b.v1"},"id":"s","type":"generate"}]}"#
            ]],
        );
    }

    #[test]
    fn a_branch_changes_nobody_else() {
        let mut draft = draft(V1);
        draft.add(&addition("branch", Place::Sink, &["p"], &[])).unwrap();
        assert_eq!(draft.readers("p"), ["out", "all", "branch"]);
    }

    #[test]
    fn who_read_from_a_node_that_goes_reads_from_what_it_read() {
        let mut draft = draft(V1);
        draft.remove("p").unwrap();
        check(
            &draft,
            &expect![[
                r#"{"sinks":[{"id":"out","inputs":["s"],"type":"stdout"},{"id":"all","inputs":["s"],"type":"stdout"}],"sources":[{"config":{"seed":"${SEED}","type":"a.b.v1"},"id":"s","type":"generate"}]}"#
            ]],
        );
    }

    #[test]
    fn a_discovered_chain_becomes_nodes() {
        let mut draft = draft(V2);
        draft.replace("p", "registry.example/p:2").unwrap();
        draft.configure("p", &[("a.b".to_owned(), json!("c")), ("gone".to_owned(), Value::Null)]).unwrap();
        check(
            &draft,
            &expect![[
                r#"{"checkpoint":{"interval":"1s"},"processors":[{"config":{"a":{"b":"c"}},"id":"p","inputs":["s"],"parallelism":2,"plugin":"registry.example/p:2"}],"sinks":[{"id":"out","inputs":["p"],"type":"out"}],"sources":[{"config":{"path":"${PATH}"},"id":"s","type":"file"}]}"#
            ]],
        );
    }

    #[test]
    fn what_cannot_be_done_is_said_and_not_done() {
        let mut draft = draft(V1);
        let before = draft.to_value();
        for (error, said) in [
            (draft.remove("ou"), "the pipeline has no node `ou`"),
            (draft.add(&addition("p", Place::Processor, &["s"], &[])), "the pipeline has a node `p` already"),
            (draft.add(&addition("x", Place::Processor, &["s"], &["out"])), "`out` does not read from `s`"),
            (
                draft.configure("s", &[("type.x".to_owned(), json!(1))]),
                "`type.x` leads through a value that has no fields",
            ),
        ] {
            assert_eq!(error.unwrap_err().to_string(), said);
        }
        assert_eq!(draft.to_value(), before);
    }
}
