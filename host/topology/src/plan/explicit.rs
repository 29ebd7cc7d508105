//! Drafts of `flowctl/v1`: every node is written, its component is looked up.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use flowctl_intent::{Component, Config, ExplicitIntent, Interpolated, NodeOptions, SinkSpec};
use flowctl_registry::{Entry, LookupError};
use flowctl_schema::Role;
use flowctl_types::NodeId;

use super::Planner;
use super::draft::{Draft, Input, Place};

/// What the three sections have in common.
struct Written<'a> {
    id: &'a NodeId,
    section: &'static str,
    role: Role,
    component: &'a Component,
    inputs: &'a [NodeId],
    config: &'a Config,
    options: &'a NodeOptions,
}

/// A component that was found, and how it is started where it is a command.
type Found<'a> = (Cow<'a, Entry>, Option<crate::Component>);

impl<'a> Planner<'a> {
    /// Drafts of the nodes whose component is known; notes a fault for each other.
    pub(super) fn explicit(&mut self, intent: &'a ExplicitIntent) -> Vec<Draft<'a>> {
        let mut written: Vec<Written<'a>> = Vec::new();
        written.extend(intent.sources.iter().map(|spec| Written {
            id: &spec.id,
            section: "sources",
            role: Role::Source,
            component: &spec.component,
            inputs: &[],
            config: &spec.config,
            options: &spec.options,
        }));
        written.extend(intent.processors.iter().map(|spec| Written {
            id: &spec.id,
            section: "processors",
            role: Role::Processor,
            component: &spec.component,
            inputs: &spec.inputs,
            config: &spec.config,
            options: &spec.options,
        }));
        written.extend(intent.sinks.iter().map(|spec| Written {
            id: &spec.id,
            section: "sinks",
            role: Role::Sink,
            component: &spec.component,
            inputs: &spec.inputs,
            config: &spec.config,
            options: &spec.options,
        }));
        let mut drafts: Vec<Draft<'a>> = Vec::new();
        let mut of_id: HashMap<&NodeId, usize> = HashMap::new();
        let mut inputs = Vec::new();
        for node in written {
            // of nodes with one id the second has its own fault
            if of_id.contains_key(node.id) {
                continue;
            }
            let place = Place::Written { section: node.section, id: node.id.to_string() };
            let found = self.component(node.id, node.role, node.component, &place);
            let Some((entry, command)) = found else { continue };
            of_id.insert(node.id, drafts.len());
            inputs.push(node.inputs);
            drafts.push(Draft {
                id: node.id.clone(),
                entry,
                command,
                inputs: Vec::new(),
                config: Some(node.config),
                options: node.options.clone(),
                wanted: None,
                place,
            });
        }
        let is_sink: Vec<bool> = drafts.iter().map(|draft| draft.entry.role == Role::Sink).collect();
        for (to, (draft, inputs)) in drafts.iter_mut().zip(inputs).enumerate() {
            // an input that is unknown, a sink, or the node itself has its own fault
            draft.inputs = inputs
                .iter()
                .enumerate()
                .filter_map(|(index, id)| Some(Input { from: *of_id.get(id)?, only: None, index }))
                .filter(|input| input.from != to && !is_sink[input.from])
                .collect();
        }
        drafts
    }

    /// The draft of the sink for rejected events.
    pub(super) fn dead_letter_draft(&mut self, spec: &'a SinkSpec) -> Option<Draft<'a>> {
        let place = Place::DeadLetter;
        let (entry, command) = self.component(&spec.id, Role::Sink, &spec.component, &place)?;
        Some(Draft {
            id: spec.id.clone(),
            entry,
            command,
            inputs: Vec::new(),
            config: Some(&spec.config),
            options: spec.options.clone(),
            wanted: None,
            place,
        })
    }

    fn component(&mut self, id: &NodeId, role: Role, said: &Component, place: &Place) -> Option<Found<'a>> {
        let found = match said {
            Component::Type(name) => self.registry.find_component(role, name),
            Component::Plugin(reference) => self.registry.find_reference(role, reference),
            Component::Command { argv, env, input_event_types, output_event_types } => {
                let types = (input_event_types.as_slice(), output_event_types.as_slice());
                let known = |event_type: &_| self.registry.event_type(event_type).ok().cloned();
                let entry = Entry::command(id, role, types, &known);
                return Some((Cow::Owned(entry), Some(command(argv, env))));
            }
        };
        match found {
            Ok(entry) => Some((Cow::Borrowed(entry), None)),
            Err(error) => {
                self.unknown_component(&error, place);
                None
            }
        }
    }

    fn unknown_component(&mut self, error: &LookupError, place: &Place) {
        let path = self.component_path(place);
        self.fault(&path, error.code(), error.to_string(), error.hint());
    }

    /// The path to the key that names a node's component; where none is there, to the
    /// node itself.
    pub(super) fn component_path(&self, place: &Place) -> Vec<String> {
        let start = place.component();
        let key = self.written_key(&start, &["plugin", "image", "type", "command"]);
        start.into_iter().chain(key.map(str::to_owned)).collect()
    }
}

fn command(argv: &[Interpolated<String>], env: &BTreeMap<String, Interpolated<String>>) -> crate::Component {
    crate::Component::Command {
        argv: argv.iter().map(|item| item.value().clone()).collect(),
        env: env.iter().map(|(name, value)| (name.clone(), value.value().clone())).collect(),
        shown_argv: argv.iter().map(|item| item.written().clone()).collect(),
    }
}
