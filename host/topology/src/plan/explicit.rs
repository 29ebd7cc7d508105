//! Drafts of `flowctl/v1`: every node is written, its component is looked up.

use std::collections::HashMap;

use flowctl_intent::{Component, Config, ExplicitIntent, NodeOptions, SinkSpec};
use flowctl_registry::{Entry, LookupError};
use flowctl_schema::Role;
use flowctl_types::{NodeId, Reference};

use super::Planner;
use super::draft::{Draft, Input, Place};

/// What the three sections have in common.
struct Written<'a> {
    id: &'a NodeId,
    section: &'static str,
    role: Role,
    component: Named<'a>,
    inputs: &'a [NodeId],
    config: &'a Config,
    options: &'a NodeOptions,
}

#[derive(Clone, Copy)]
enum Named<'a> {
    Component(&'a Component),
    Plugin(&'a Reference),
}

impl<'a> Planner<'a> {
    /// Drafts of the nodes whose component is known; notes a fault for each other.
    pub(super) fn explicit(&mut self, intent: &'a ExplicitIntent) -> Vec<Draft<'a>> {
        let mut written: Vec<Written<'a>> = Vec::new();
        written.extend(intent.sources.iter().map(|spec| Written {
            id: &spec.id,
            section: "sources",
            role: Role::Source,
            component: Named::Component(&spec.component),
            inputs: &[],
            config: &spec.config,
            options: &spec.options,
        }));
        written.extend(intent.processors.iter().map(|spec| Written {
            id: &spec.id,
            section: "processors",
            role: Role::Processor,
            component: Named::Plugin(&spec.plugin),
            inputs: &spec.inputs,
            config: &spec.config,
            options: &spec.options,
        }));
        written.extend(intent.sinks.iter().map(|spec| Written {
            id: &spec.id,
            section: "sinks",
            role: Role::Sink,
            component: Named::Component(&spec.component),
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
            let Some(entry) = self.component(node.role, node.component, &place) else { continue };
            of_id.insert(node.id, drafts.len());
            inputs.push(node.inputs);
            drafts.push(Draft {
                id: node.id.clone(),
                entry,
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
        let entry = self.component(Role::Sink, Named::Component(&spec.component), &place)?;
        Some(Draft {
            id: spec.id.clone(),
            entry,
            inputs: Vec::new(),
            config: Some(&spec.config),
            options: spec.options.clone(),
            wanted: None,
            place,
        })
    }

    fn component(&mut self, role: Role, named: Named<'_>, place: &Place) -> Option<&'a Entry> {
        let found = match named {
            Named::Component(Component::Type(name)) => self.registry.find(role, name),
            Named::Component(Component::Plugin(reference)) | Named::Plugin(reference) => {
                self.registry.find_reference(role, reference)
            }
            Named::Component(Component::Command { .. }) => {
                let hint = "name a connector with `type:`, or a component with `plugin:`";
                let mut path = place.component();
                path.push("command".to_owned());
                self.fault(&path, "this build does not run separate programs as nodes", Some(hint.to_owned()));
                return None;
            }
        };
        found.map_err(|error| self.unknown_component(&error, place)).ok()
    }

    fn unknown_component(&mut self, error: &LookupError, place: &Place) {
        let path = self.component_path(place);
        self.fault(&path, error.to_string(), error.hint());
    }

    /// The path to the key that names a node's component; where none is there, to the
    /// node itself.
    pub(super) fn component_path(&self, place: &Place) -> Vec<String> {
        let start = place.component();
        let key = self.written_key(&start, &["plugin", "image", "type"]);
        start.into_iter().chain(key.map(str::to_owned)).collect()
    }
}
