//! What planning knows of components that run in other processes.
//!
//! They say the names of their types alone. Invariant: what such a node emits has the
//! structure that its readers want, and what it reads that of whoever emits it, so that
//! events are the same on both sides of an edge, and the host translates at its own.

use std::collections::BTreeSet;

use flowctl_registry::LiveOrigin;
use flowctl_schema::{Role, Schema};
use flowctl_types::{Code, EventType};
use serde_json::{Map, Value};

use super::Planner;
use super::connect::Planned;
use super::draft::{Draft, Input};

/// Gives the types that remote nodes emit the structure of those that read them: where
/// these differ, that of the highest version, from which others are re-encoded.
pub(super) fn settle(planned: &mut [Planned<'_>]) {
    for from in 0..planned.len() {
        if !planned[from].entry.is_live() {
            continue;
        }
        let Some(mut outputs) = planned[from].outputs.take() else { continue };
        for schema in &mut outputs {
            if let Some(wanted) = wanted(planned, from, schema.event_type()) {
                *schema = wanted.clone();
            }
        }
        planned[from].node.outputs.clone_from(&outputs);
        planned[from].outputs = Some(outputs);
    }
}

/// The structure that plugins and connectors want which read a type from a node.
fn wanted<'p>(planned: &'p [Planned<'_>], from: usize, event_type: &EventType) -> Option<&'p Schema> {
    let takes = |input: &Input| input.from == from && input.only.as_ref().is_none_or(|only| only.contains(event_type));
    let readers = planned.iter().filter(|to| !to.entry.is_live() && to.inputs.iter().any(takes));
    let schemas = readers.flat_map(|to| to.entry.inputs()).filter(|schema| schema.event_type() == event_type);
    schemas.max_by(|a, b| a.version().cmp(b.version()))
}

impl Planner<'_> {
    /// The configuration of a remote node, which says nothing of what it takes: texts,
    /// and what is written as a number or truth value as text. A source is told it when
    /// its stream is asked for; nothing carries it to a processor or a sink.
    pub(super) fn remote_config(
        &mut self,
        draft: &Draft<'_>,
        live: &LiveOrigin,
        values: [Map<String, Value>; 2],
    ) -> [Value; 2] {
        let keys: BTreeSet<&String> = values.iter().flat_map(Map::keys).collect();
        let role = draft.entry.role;
        if let Some(key) = keys.first()
            && role != Role::Source
        {
            let message = format!("`{}` runs in another process, where a {role} takes no configuration", draft.id);
            let hint = match live.node {
                Some(_) => "pass it to the command: as an argument, or with `env`",
                None => "leave `config` out, and configure the component where it is started",
            };
            self.key_fault(&draft.place.config(&[(*key).clone()]), Code::BadConfig, message, Some(hint.to_owned()));
        }
        values.map(|fields| {
            let texts = fields.into_iter().filter_map(|(key, value)| {
                let text = match value {
                    Value::Null => return None,
                    Value::String(text) => text,
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    Value::Array(_) | Value::Object(_) => {
                        let message = format!("node `{}`: `{key}` is no text, number or truth value", draft.id);
                        let hint = "a component in another process takes nothing else: write it as one text";
                        self.fault(
                            &draft.place.config(std::slice::from_ref(&key)),
                            Code::BadConfig,
                            message,
                            Some(hint.to_owned()),
                        );
                        return None;
                    }
                };
                Some((key, Value::from(text)))
            });
            Value::Object(texts.collect())
        })
    }
}
