//! Reads `flowctl/v2`: from these types, to those sinks.

use std::collections::BTreeMap;

use flowctl_types::{Code, EventType, NodeId, Reference};

use crate::component::TYPE_HINT;
use crate::model::{DiscoverIntent, Endpoint, NodeOptions};
use crate::options::{PROCESSOR_KEYS, SPEC_KEYS, read_dead_letter, read_options, read_settings, read_types};
use crate::reader::{Fields, NAME_HINT, Reader};
use crate::tree::{Entry, Kind, Node, shorten};

const KEYS: [&str; 6] = ["from", "to", "via", "where", "config", "nodes"];

/// Reads `spec`. None, or an intent with holes, where a problem was noted.
pub(crate) fn read(reader: &mut Reader, spec: &Node) -> Option<DiscoverIntent> {
    let keys: Vec<&str> = KEYS.into_iter().chain(SPEC_KEYS).collect();
    let fields = reader.fields(spec, "`spec`", &keys)?;
    let settings = read_settings(reader, &fields);
    Some(DiscoverIntent {
        from: read_from(reader, &fields),
        to: read_to(reader, &fields),
        via: read_via(reader, &fields),
        where_: read_where(reader, &fields),
        config: read_by_node(reader, &fields, "config", |reader, node| reader.config(node, "a node's `config`")),
        nodes: read_by_node(reader, &fields, "nodes", |reader, node| {
            match reader.fields(node, "a node's options", &PROCESSOR_KEYS) {
                Some(fields) => read_options(reader, &fields, &settings),
                None => NodeOptions::default(),
            }
        }),
        types: read_types(reader, &fields),
        dead_letter: read_dead_letter(reader, &fields, &settings),
        settings,
    })
}

fn read_from(reader: &mut Reader, fields: &Fields<'_>) -> Vec<Endpoint> {
    let hint = "name the event type to start from, such as `from: stellar.ledger.v1`";
    let mut endpoints = Vec::new();
    for item in list(reader, fields, "from", hint) {
        let endpoint = match &item.kind {
            Kind::Mapping(_) => read_endpoint(reader, item),
            _ => read_type(reader, item).map(|event_type| Endpoint { event_type, source: None }),
        };
        push_once(reader, &mut endpoints, endpoint, item, "from");
    }
    endpoints
}

fn read_endpoint(reader: &mut Reader, item: &Node) -> Option<Endpoint> {
    let n_problems = reader.problems.len();
    let fields = reader.fields(item, "an item of `from`", &["type", "source"])?;
    let source = fields.get("source").map(|node| reader.name(node, "`source`"));
    let event_type = reader.required(&fields, "type", "name an event type, such as `type: stellar.ledger.v1`")?;
    let event_type = read_type(reader, event_type)?;
    // an item is read as a whole or not at all: without its source it means another thing
    if reader.problems.len() > n_problems {
        return None;
    }
    match source {
        Some(source) => Some(Endpoint { event_type, source: Some(source?.to_string()) }),
        None => Some(Endpoint { event_type, source: None }),
    }
}

fn read_type(reader: &mut Reader, node: &Node) -> Option<EventType> {
    reader.spelled(node, "an event type", "an event type", TYPE_HINT)
}

fn read_to(reader: &mut Reader, fields: &Fields<'_>) -> Vec<String> {
    let hint = "name the sink to reach, by id or by kind, such as `to: postgres`";
    let mut sinks = Vec::new();
    for item in list(reader, fields, "to", hint) {
        let sink = reader.name(item, "an item of `to`").map(|name| name.to_string());
        push_once(reader, &mut sinks, sink, item, "to");
    }
    sinks
}

fn read_via(reader: &mut Reader, fields: &Fields<'_>) -> Vec<String> {
    let mut via = Vec::new();
    let Some(node) = fields.get("via") else { return via };
    for item in reader.one_or_many(node) {
        let hint = "name a plugin, such as `ttp-processor`";
        let reference = reader.spelled::<Reference>(item, "an item of `via`", "the name of a plugin", hint);
        push_once(reader, &mut via, reference.map(|reference| reference.to_string()), item, "via");
    }
    via
}

fn read_where(reader: &mut Reader, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let Some(entries) = fields.get("where").and_then(|node| reader.entries(node, "`where`")) else {
        return BTreeMap::new();
    };
    let mut wanted = BTreeMap::new();
    for Entry { name, value, .. } in entries {
        let what = format!("`{}`", shorten(name));
        if let Some(text) = reader.any_text(value, &what) {
            wanted.insert(name.clone(), text.into_value());
        }
    }
    wanted
}

/// Reads a mapping from node ids.
fn read_by_node<T>(
    reader: &mut Reader,
    fields: &Fields<'_>,
    key: &str,
    read: impl Fn(&mut Reader, &Node) -> T,
) -> BTreeMap<NodeId, T> {
    let Some(entries) = fields.get(key).and_then(|node| reader.entries(node, &format!("`{key}`"))) else {
        return BTreeMap::new();
    };
    let mut by_node = BTreeMap::new();
    for entry in entries {
        let id = entry.name.parse::<NodeId>();
        if id.is_err() {
            let message = format!("`{}` in `{key}` is not a node's id", shorten(&entry.name));
            reader.fault(entry.span, Code::BadName, message, NAME_HINT);
        }
        if entry.value.is_null() {
            continue;
        }
        let value = read(reader, &entry.value);
        if let Ok(id) = id {
            by_node.insert(id, value);
        }
    }
    by_node
}

/// The items of a list that must have one at least; one value may stand for it.
fn list<'n>(reader: &mut Reader, fields: &Fields<'n>, key: &str, hint: &str) -> &'n [Node] {
    let Some(node) = reader.required(fields, key, hint) else { return &[] };
    let items = reader.one_or_many(node);
    if items.is_empty() {
        reader.fault(node.place(), Code::MissingKey, format!("`{key}` is empty"), hint);
    }
    items
}

fn push_once<T: PartialEq>(reader: &mut Reader, list: &mut Vec<T>, item: Option<T>, node: &Node, key: &str) {
    match item {
        Some(item) if list.contains(&item) => {
            reader.fault(node.span, Code::ListedTwice, format!("`{key}` lists this twice"), "leave the second one out");
        }
        Some(item) => list.push(item),
        None => {}
    }
}
