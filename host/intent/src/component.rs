//! Reads what runs at a node of `flowctl/v1`, or at the dead-letter sink of either format.

use std::collections::BTreeMap;

use flowctl_types::{Code, EventType, Reference};

use crate::Interpolated;
use crate::interpolate::is_variable_name;
use crate::model::Component;
use crate::reader::{Fields, Reader};
use crate::tree::{Kind, Node, shorten};

pub(crate) const TYPE_HINT: &str = "write `namespace.name.v1`, each part of `a-z` and `0-9`";
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

    /// Keys that say what runs at a node.
    pub(crate) const fn component_keys(self) -> &'static [&'static str] {
        match self {
            Self::Source | Self::Sink => &["type", "plugin", "image", "command"],
            Self::Processor => &["plugin", "image", "type", "command"],
        }
    }

    /// Keys that say more of a `command`, and stand beside no other component.
    pub(crate) const fn command_keys(self) -> &'static [&'static str] {
        match self {
            Self::Source => &["env", "output_event_types"],
            Self::Processor => &["env", "input_event_types", "output_event_types"],
            Self::Sink => &["env", "input_event_types"],
        }
    }

    /// Those of its command keys without which a `command` cannot be planned.
    pub(crate) const fn required_types(self) -> &'static [&'static str] {
        match self {
            Self::Source => &["output_event_types"],
            Self::Processor => &["input_event_types", "output_event_types"],
            Self::Sink => &[],
        }
    }
}

/// What runs at a node: exactly one of the keys that say so. `hint` is for a node that
/// has none of them.
pub(crate) fn read_component(reader: &mut Reader, fields: &Fields<'_>, role: Role, hint: &str) -> Option<Component> {
    let keys = role.component_keys();
    let given: Vec<(&str, &Node)> = keys.iter().filter_map(|key| Some((*key, fields.get(key)?))).collect();
    if !given.iter().any(|(key, _)| *key == "command") {
        check_no_command_keys(reader, fields, role);
    }
    match given.as_slice() {
        [] => {
            reader.required(fields, keys[0], hint);
            None
        }
        [(key, node)] => match (*key, role) {
            ("command", _) => read_command(reader, fields, role, node),
            ("type", Role::Source | Role::Sink) => {
                reader.name(node, "`type`").map(|name| Component::Type(name.to_string()))
            }
            ("type", Role::Processor) => {
                read_plugin(reader, key, node).map(|reference| Component::Type(reference.to_string()))
            }
            (key, _) => read_plugin(reader, key, node).map(Component::Plugin),
        },
        [(first, _), (second, node), ..] => {
            let message = format!("`{first}` and `{second}` both say what runs here");
            reader.fault(node.place(), Code::UnclearComponent, message, "keep one of them");
            None
        }
    }
}

/// Notes what is said of a command where there is none.
fn check_no_command_keys(reader: &mut Reader, fields: &Fields<'_>, role: Role) {
    for key in role.command_keys() {
        let Some(place) = fields.key_span(key) else { continue };
        let hint = match *key {
            "env" => "a plugin reads the variables that `allow: {env: […]}` names",
            "input_event_types" => "connectors, plugins and live components say by themselves what they read",
            _ => "connectors, plugins and live components say by themselves what they emit",
        };
        reader.fault(place, Code::MisplacedOption, format!("`{key}` is for a `command`"), hint);
    }
}

fn read_command(reader: &mut Reader, fields: &Fields<'_>, role: Role, node: &Node) -> Option<Component> {
    let items = reader.items(node, "`command`");
    let argv: Vec<Interpolated<String>> =
        items.iter().filter_map(|item| reader.any_text(item, "an item of `command`")).collect();
    let mut env = BTreeMap::new();
    if let Some(entries) = fields.get("env").and_then(|node| reader.entries(node, "`env`")) {
        for entry in entries {
            let name = shorten(&entry.name);
            if !is_variable_name(&entry.name) {
                let hint = "use letters, digits and `_`, and begin with no digit";
                reader.fault(entry.span, Code::WrongValue, format!("`{name}` is not the name of a variable"), hint);
            } else if let Some(text) = reader.any_text(&entry.value, &format!("`{name}`")) {
                env.insert(entry.name.clone(), text);
            }
        }
    }
    let n_problems = reader.problems.len();
    let input_event_types = read_event_types(reader, fields, role, "input_event_types");
    let output_event_types = read_event_types(reader, fields, role, "output_event_types");
    let has_types = reader.problems.len() == n_problems;
    if argv.first().is_none_or(|program| program.value().is_empty()) {
        if argv.len() == items.len() {
            let hint = "write the program and its arguments, such as `command: [./my-sink]`";
            reader.fault(node.place(), Code::UnclearComponent, "`command` names no program", hint);
        }
        return None;
    }
    // with some of its types alone, edges would have faults that they have not
    has_types.then_some(Component::Command { argv, env, input_event_types, output_event_types })
}

/// The types that a process reads or emits: nothing of it is known before it runs.
fn read_event_types(reader: &mut Reader, fields: &Fields<'_>, role: Role, key: &str) -> Vec<EventType> {
    let does = if key == "input_event_types" { "reads" } else { "emits" };
    let hint =
        format!("name what the command {does}, such as `{key}: [stellar.ledger.v1]`: it is planned before it runs");
    let node = match role.required_types().contains(&key) {
        true => reader.required(fields, key, &hint),
        false if role.command_keys().contains(&key) => fields.get(key),
        false => None,
    };
    let Some(node) = node else { return Vec::new() };
    let items = reader.items(node, &format!("`{key}`"));
    if items.is_empty() && matches!(node.kind, Kind::Sequence(_)) {
        reader.fault(node.place(), Code::MissingKey, format!("`{key}` is empty"), hint);
    }
    let mut types: Vec<EventType> = Vec::new();
    for item in items {
        let what = format!("an item of `{key}`");
        match reader.spelled::<EventType>(item, &what, "an event type", TYPE_HINT) {
            Some(found) if types.contains(&found) => {
                reader.fault(
                    item.span,
                    Code::ListedTwice,
                    format!("`{key}` lists this twice"),
                    "leave the second one out",
                );
            }
            Some(found) => types.push(found),
            None => {}
        }
    }
    types
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
        reader.fault(
            node.span,
            Code::UnclearComponent,
            message,
            "write `plugin:` in place of it, which takes any reference",
        );
    }
    fits.then_some(reference)
}
