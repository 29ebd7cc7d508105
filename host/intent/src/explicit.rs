//! Reads `flowctl/v1`: every node, and what it reads from.

use std::collections::BTreeMap;

use flowctl_types::{NodeId, Reference};

use crate::edges::{Declared, check_edges, check_readers, read_inputs};
use crate::interpolate::is_variable_name;
use crate::model::{Component, ExplicitIntent, ProcessorSpec, SinkSpec, SourceSpec};
use crate::options::{
    PROCESSOR_KEYS, SINK_KEYS, SOURCE_KEYS, SPEC_KEYS, read_dead_letter, read_options, read_overrides,
};
use crate::reader::{Fields, Reader, quoted};
use crate::settings::Settings;
use crate::tree::{Kind, Node, shorten};
use crate::{Config, Interpolated};

/// Most nodes of a pipeline.
const MAX_NODES: usize = 1_000;
const PLUGIN_HINT: &str = "write a path (`./ttp.wasm`), a name (`ttp@1.2.0`), or `registry/repository:tag`";

/// What a node is in the pipeline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Source,
    Processor,
    Sink,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Processor => "processor",
            Self::Sink => "sink",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Processor => "processors",
            Self::Sink => "sinks",
        }
    }

    /// Keys that say what runs at a node.
    const fn component_keys(self) -> &'static [&'static str] {
        match self {
            Self::Source => &["type", "plugin", "image"],
            Self::Processor => &["plugin", "image", "type"],
            Self::Sink => &["type", "plugin", "image", "command"],
        }
    }

    fn keys(self) -> Vec<&'static str> {
        let (own, options): (&[&str], &[&str]) = match self {
            Self::Source => (&["id", "config"], &SOURCE_KEYS),
            Self::Processor => (&["id", "inputs", "config"], &PROCESSOR_KEYS),
            Self::Sink => (&["id", "inputs", "config", "env"], &SINK_KEYS),
        };
        [own, self.component_keys(), options].concat()
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
        reader.fault(spec.place(), message, "split the pipeline");
    } else {
        check_edges(reader, &declared, fields.get("dead_letter").is_some());
        if reader.problems.len() == n_problems {
            check_readers(reader, &declared);
        }
    }
    drop(declared);
    let overrides = read_overrides(reader, &fields);
    Some(ExplicitIntent {
        sources: sources.into_iter().filter_map(|raw| raw.into_source(reader)).collect(),
        processors: processors.into_iter().filter_map(|raw| raw.into_processor(reader)).collect(),
        sinks: sinks.into_iter().filter_map(|raw| raw.into_sink(reader)).collect(),
        dead_letter: read_dead_letter(reader, &fields),
        settings: Settings::default().with(&overrides),
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
        reader.fault(node.place(), format!("`{key}` is empty"), format!("a pipeline has at least one {}", role.name()));
    }
    items.iter().filter_map(|item| read_node(reader, item, role)).collect()
}

fn read_node<'n>(reader: &mut Reader, item: &'n Node, role: Role) -> Option<Raw<'n>> {
    let what = format!("a {}", role.name());
    // these are reported below, in words that say more than "unknown key"
    let refused: &[&str] = match role {
        Role::Source => &["inputs", "command"],
        Role::Processor => &["command"],
        Role::Sink => &[],
    };
    let fields = reader.fields_but(item, &what, &role.keys(), refused)?;
    let id_node = reader.required(&fields, "id", "name the node, such as `id: ledgers`");
    let id = id_node.and_then(|node| Some((reader.name(node, "`id`")?, node)));
    let mut inputs = Vec::new();
    match (role, fields.get("inputs")) {
        (Role::Source, Some(node)) => {
            reader.fault(node.place(), "a source has no inputs", "remove `inputs`, or move the node to `processors`");
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

impl<'n> Raw<'n> {
    fn declare(&self, role: Role) -> Declared<'_> {
        Declared { id: self.id.as_ref().map(|(id, node)| (id, *node)), role, inputs: &self.inputs }
    }

    fn into_source(self, reader: &mut Reader) -> Option<SourceSpec> {
        let component = self.read_component(reader);
        let (config, options) = (self.read_config(reader), read_options(reader, &self.fields));
        Some(SourceSpec { id: self.id?.0, component: component?, config, options })
    }

    fn into_processor(self, reader: &mut Reader) -> Option<ProcessorSpec> {
        let component = self.read_component(reader);
        let (config, options) = (self.read_config(reader), read_options(reader, &self.fields));
        let Component::Plugin(plugin) = component? else { return None };
        let inputs = self.inputs.into_iter().map(|(id, _)| id).collect();
        Some(ProcessorSpec { id: self.id?.0, plugin, inputs, config, options })
    }

    fn into_sink(self, reader: &mut Reader) -> Option<SinkSpec> {
        let component = self.read_component(reader);
        let (config, options) = (self.read_config(reader), read_options(reader, &self.fields));
        let inputs = self.inputs.into_iter().map(|(id, _)| id).collect();
        Some(SinkSpec { id: self.id?.0, component: component?, inputs, config, options })
    }

    fn read_config(&self, reader: &mut Reader) -> Config {
        self.fields.get("config").map(|node| reader.config(node, "`config`")).unwrap_or_default()
    }

    /// What runs at the node: exactly one of the keys that say so.
    fn read_component(&self, reader: &mut Reader) -> Option<Component> {
        let keys = self.role.component_keys();
        let given: Vec<(&str, &'n Node)> = keys.iter().filter_map(|key| Some((*key, self.fields.get(key)?))).collect();
        if let Some(env) = self.fields.key_span("env")
            && !given.iter().any(|(key, _)| *key == "command")
        {
            reader.fault(
                env,
                "`env` is for a `command`",
                "a plugin reads the variables that `allow: {env: […]}` names",
            );
        }
        if self.role != Role::Sink
            && let Some(command) = self.fields.key_span("command")
        {
            let message = format!("a {} runs no `command`; only a sink may", self.role.name());
            reader.fault(command, message, format!("write one of {}", quoted(keys)));
            return None;
        }
        match given.as_slice() {
            [] => {
                let hint = format!("write one of {}", quoted(keys));
                reader.required(&self.fields, keys[0], &hint);
                None
            }
            [(key, node)] => match (*key, self.role) {
                ("command", _) => self.read_command(reader, node),
                ("type", Role::Source | Role::Sink) => {
                    reader.name(node, "`type`").map(|name| Component::Type(name.to_string()))
                }
                (key, _) => read_plugin(reader, key, node).map(Component::Plugin),
            },
            [(first, _), (second, node), ..] => {
                let message = format!("`{first}` and `{second}` both say what runs here");
                reader.fault(node.place(), message, "keep one of them");
                None
            }
        }
    }

    fn read_command(&self, reader: &mut Reader, node: &Node) -> Option<Component> {
        let items = reader.items(node, "`command`");
        let argv: Vec<Interpolated<String>> =
            items.iter().filter_map(|item| reader.any_text(item, "an item of `command`")).collect();
        let mut env = BTreeMap::new();
        if let Some(entries) = self.fields.get("env").and_then(|node| reader.entries(node, "`env`")) {
            for entry in entries {
                let name = shorten(&entry.name);
                if !is_variable_name(&entry.name) {
                    let hint = "use letters, digits and `_`, and begin with no digit";
                    reader.fault(entry.span, format!("`{name}` is not the name of a variable"), hint);
                } else if let Some(text) = reader.any_text(&entry.value, &format!("`{name}`")) {
                    env.insert(entry.name.clone(), text);
                }
            }
        }
        if argv.first().is_none_or(|program| program.value().is_empty()) {
            if argv.len() == items.len() {
                let hint = "write the program and its arguments, such as `command: [./my-sink]`";
                reader.fault(node.place(), "`command` names no program", hint);
            }
            return None;
        }
        Some(Component::Command { argv, env })
    }
}

fn read_plugin(reader: &mut Reader, key: &str, node: &Node) -> Option<Reference> {
    let reference: Reference = reader.spelled(node, &format!("`{key}`"), "a reference to a plugin", PLUGIN_HINT)?;
    let fits = match key {
        "type" => matches!(reference, Reference::Name { .. }),
        "image" => matches!(reference, Reference::Oci { .. }),
        _ => true,
    };
    if !fits {
        let want = if key == "type" { "`name` or `name@version`" } else { "`registry/repository:tag`" };
        let message = format!("`{}` is not {want}, which `{key}` takes", node.shown());
        reader.fault(node.span, message, "write `plugin:` in place of it, which takes any reference");
    }
    fits.then_some(reference)
}
