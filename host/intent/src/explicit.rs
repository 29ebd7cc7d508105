//! Reads `flowctl/v1`: every node, and what it reads from.

use flowctl_types::{Code, NodeId};

use crate::Config;
use crate::component::{Role, read_component};
use crate::edges::{Declared, check_edges, check_readers, read_inputs};
use crate::model::{Component, ExplicitIntent, ProcessorSpec, SinkSpec, SourceSpec};
use crate::options::{
    PROCESSOR_KEYS, SINK_KEYS, SOURCE_KEYS, SPEC_KEYS, read_dead_letter, read_options, read_settings, read_types,
};
use crate::reader::{Fields, Reader, quoted};
use crate::settings::Settings;
use crate::tree::{Kind, Node};

/// Most nodes of a pipeline.
const MAX_NODES: usize = 1_000;

impl Role {
    const fn key(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Processor => "processors",
            Self::Sink => "sinks",
        }
    }

    fn keys(self) -> Vec<&'static str> {
        let (own, options): (&[&str], &[&str]) = match self {
            Self::Source => (&["id", "config"], &SOURCE_KEYS),
            Self::Processor => (&["id", "inputs", "config"], &PROCESSOR_KEYS),
            Self::Sink => (&["id", "inputs", "config"], &SINK_KEYS),
        };
        [own, self.component_keys(), self.command_keys(), options].concat()
    }
}

/// Reads `spec`. None, or an intent with holes, where a problem was noted.
pub(crate) fn read(reader: &mut Reader, spec: &Node) -> Option<ExplicitIntent> {
    let keys: Vec<&str> = ["sources", "processors", "sinks"].into_iter().chain(SPEC_KEYS).collect();
    let fields = reader.fields(spec, "`spec`", &keys)?;
    let n_problems = reader.problems.len();
    let sources = read_nodes(reader, &fields, Role::Source);
    let processors = read_nodes(reader, &fields, Role::Processor);
    let sinks = read_nodes(reader, &fields, Role::Sink);
    let declared: Vec<Declared<'_>> = [(Role::Source, &sources), (Role::Processor, &processors), (Role::Sink, &sinks)]
        .into_iter()
        .flat_map(|(role, raws)| raws.iter().map(move |raw| raw.declare(role)))
        .collect();
    if declared.len() > MAX_NODES {
        let message = format!("the pipeline has {} nodes, more than {MAX_NODES}", declared.len());
        reader.fault(spec.place(), Code::TooLarge, message, "split the pipeline");
    } else {
        check_edges(reader, &declared, fields.get("dead_letter").is_some());
        if reader.problems.len() == n_problems {
            check_readers(reader, &declared);
        }
    }
    drop(declared);
    let settings = read_settings(reader, &fields);
    Some(ExplicitIntent {
        sources: sources.into_iter().filter_map(|raw| raw.into_source(reader, &settings)).collect(),
        processors: processors.into_iter().filter_map(|raw| raw.into_processor(reader, &settings)).collect(),
        sinks: sinks.into_iter().filter_map(|raw| raw.into_sink(reader, &settings)).collect(),
        types: read_types(reader, &fields),
        dead_letter: read_dead_letter(reader, &fields, &settings),
        settings,
    })
}

/// A node as far as it could be read.
struct Raw<'n> {
    fields: Fields<'n>,
    id: Option<(NodeId, &'n Node)>,
    inputs: Vec<(NodeId, &'n Node)>,
    role: Role,
}

fn read_nodes<'n>(reader: &mut Reader, fields: &Fields<'n>, role: Role) -> Vec<Raw<'n>> {
    let key = role.key();
    let found = match role {
        Role::Processor => fields.get(key),
        Role::Source | Role::Sink => {
            reader.required(fields, key, &format!("a pipeline has at least one {}", role.name()))
        }
    };
    let Some(node) = found else { return Vec::new() };
    let items = reader.items(node, &format!("`{key}`"));
    if items.is_empty() && matches!(node.kind, Kind::Sequence(_)) && role != Role::Processor {
        reader.fault(
            node.place(),
            Code::MissingKey,
            format!("`{key}` is empty"),
            format!("a pipeline has at least one {}", role.name()),
        );
    }
    items.iter().filter_map(|item| read_node(reader, item, role)).collect()
}

fn read_node<'n>(reader: &mut Reader, item: &'n Node, role: Role) -> Option<Raw<'n>> {
    let what = format!("a {}", role.name());
    // these are reported below, in words that say more than "unknown key"
    let refused: &[&str] = match role {
        Role::Source => &["inputs", "input_event_types"],
        Role::Processor => &[],
        Role::Sink => &["output_event_types"],
    };
    let fields = reader.fields_but(item, &what, &role.keys(), refused)?;
    let id_node = reader.required(&fields, "id", "name the node, such as `id: ledgers`");
    let id = id_node.and_then(|node| Some((reader.name(node, "`id`")?, node)));
    check_direction(reader, &fields, role);
    let mut inputs = Vec::new();
    match (role, fields.get("inputs")) {
        (Role::Source, Some(node)) => {
            reader.fault(
                node.place(),
                Code::BadInput,
                "a source has no inputs",
                "remove `inputs`, or move the node to `processors`",
            );
        }
        (Role::Source, None) => {}
        (_, Some(node)) => inputs = read_inputs(reader, node, role),
        (_, None) => {
            let hint = format!("name the nodes that the {} reads from, such as `inputs: [ledgers]`", role.name());
            reader.required(&fields, "inputs", &hint);
        }
    }
    Some(Raw { fields, id, inputs, role })
}

/// Notes types on the side of a node where it has no events.
fn check_direction(reader: &mut Reader, fields: &Fields<'_>, role: Role) {
    let (key, message) = match role {
        Role::Source => ("input_event_types", "a source reads no events"),
        Role::Sink => ("output_event_types", "a sink emits no events"),
        Role::Processor => return,
    };
    if let Some(place) = fields.key_span(key) {
        reader.fault(
            place,
            Code::MisplacedOption,
            message,
            format!("remove `{key}`, or move the node to `processors`"),
        );
    }
}

impl<'n> Raw<'n> {
    fn declare(&self, role: Role) -> Declared<'_> {
        Declared { id: self.id.as_ref().map(|(id, node)| (id, *node)), role, inputs: &self.inputs }
    }

    fn into_source(self, reader: &mut Reader, settings: &Settings) -> Option<SourceSpec> {
        let component = self.read_component(reader);
        let (config, options) = (self.read_config(reader), read_options(reader, &self.fields, settings));
        Some(SourceSpec { id: self.id?.0, component: component?, config, options })
    }

    fn into_processor(self, reader: &mut Reader, settings: &Settings) -> Option<ProcessorSpec> {
        let component = self.read_component(reader);
        let (config, options) = (self.read_config(reader), read_options(reader, &self.fields, settings));
        let inputs = self.inputs.into_iter().map(|(id, _)| id).collect();
        Some(ProcessorSpec { id: self.id?.0, component: component?, inputs, config, options })
    }

    fn into_sink(self, reader: &mut Reader, settings: &Settings) -> Option<SinkSpec> {
        let component = self.read_component(reader);
        let (config, options) = (self.read_config(reader), read_options(reader, &self.fields, settings));
        let inputs = self.inputs.into_iter().map(|(id, _)| id).collect();
        Some(SinkSpec { id: self.id?.0, component: component?, inputs, config, options })
    }

    fn read_component(&self, reader: &mut Reader) -> Option<Component> {
        let hint = format!("write one of {}", quoted(self.role.component_keys()));
        read_component(reader, &self.fields, self.role, &hint)
    }

    fn read_config(&self, reader: &mut Reader) -> Config {
        self.fields.get("config").map(|node| reader.config(node, "`config`")).unwrap_or_default()
    }
}
