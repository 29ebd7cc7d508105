//! Reads what runs at a node of `flowctl/v1`, or at the dead-letter sink of either format.

use std::collections::BTreeMap;

use flowctl_types::Reference;

use crate::Interpolated;
use crate::interpolate::is_variable_name;
use crate::model::Component;
use crate::reader::{Fields, Reader, quoted};
use crate::tree::{Node, shorten};

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
            Self::Source => &["type", "plugin", "image"],
            Self::Processor => &["plugin", "image", "type"],
            Self::Sink => &["type", "plugin", "image", "command"],
        }
    }
}

/// What runs at a node: exactly one of the keys that say so. `hint` is for a node that
/// has none of them.
pub(crate) fn read_component(reader: &mut Reader, fields: &Fields<'_>, role: Role, hint: &str) -> Option<Component> {
    let keys = role.component_keys();
    let given: Vec<(&str, &Node)> = keys.iter().filter_map(|key| Some((*key, fields.get(key)?))).collect();
    if let Some(env) = fields.key_span("env")
        && !given.iter().any(|(key, _)| *key == "command")
    {
        reader.fault(env, "`env` is for a `command`", "a plugin reads the variables that `allow: {env: […]}` names");
    }
    if role != Role::Sink
        && let Some(command) = fields.key_span("command")
    {
        let message = format!("a {} runs no `command`; only a sink may", role.name());
        reader.fault(command, message, format!("write one of {}", quoted(keys)));
        return None;
    }
    match given.as_slice() {
        [] => {
            reader.required(fields, keys[0], hint);
            None
        }
        [(key, node)] => match (*key, role) {
            ("command", _) => read_command(reader, fields, node),
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

fn read_command(reader: &mut Reader, fields: &Fields<'_>, node: &Node) -> Option<Component> {
    let items = reader.items(node, "`command`");
    let argv: Vec<Interpolated<String>> =
        items.iter().filter_map(|item| reader.any_text(item, "an item of `command`")).collect();
    let mut env = BTreeMap::new();
    if let Some(entries) = fields.get("env").and_then(|node| reader.entries(node, "`env`")) {
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
