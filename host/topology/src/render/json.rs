//! A topology as JSON: everything that is known of it, for programs.
//!
//! The form is stable: fields are added, never renamed or removed. Keys are sorted,
//! durations are in milliseconds.

use std::time::Duration;

use flowctl_schema::{Conversion, Schema};
use serde_json::{Value, json};

use super::origin_text;
use crate::{Component, Edge, Node, Settings, Topology};

/// The topology as JSON.
///
/// - `name`; `plan`, which is [`Topology::digest`]; `settings`
/// - `nodes`, each after those it reads from: `id`, `role`, `component` (`kind` plugin,
///   connector, remote or command; `name`; of plugins `version`, `file`, `digest`; of
///   remote components `endpoint`, of commands `argv` as the file writes it and `env`,
///   the names alone; of both `origin`, as texts show it),
///   `is_available`, `inputs` and `outputs` (types), `config` as the file writes it,
///   `allow` (of variables the names alone), `parallelism`, `key`, `brings_keys`,
///   `is_stateful`, `has_timer`, `tick_ms`, `limits`, `settings`
/// - `edges`: `from`, `to`, and `routes`, each with the types `emitted` and `received`
///   and whether payloads are re-encoded between them
/// - `dead_letter`: a node, or null
///
/// A type is its name as `type`, the `version` of its WIT package, and the `digest`
/// of its structure.
#[must_use]
pub fn json(topology: &Topology) -> Value {
    sorted(json!({
        "name": topology.name,
        "plan": topology.digest().to_string(),
        "nodes": topology.nodes.iter().map(node_json).collect::<Vec<_>>(),
        "edges": topology.edges.iter().map(|edge| edge_json(topology, edge)).collect::<Vec<_>>(),
        "settings": settings_json(&topology.settings),
        "dead_letter": topology.dead_letter.as_ref().map(node_json),
    }))
}

/// One node as JSON.
pub(crate) fn node_json(node: &Node) -> Value {
    let component = match &node.component {
        Component::Plugin { name, version, path, digest } => json!({
            "kind": "plugin",
            "name": name,
            "version": version,
            "file": path.display().to_string(),
            "digest": digest.to_string(),
        }),
        Component::Connector { name } => json!({ "kind": "connector", "name": name }),
        Component::Remote { id, endpoint } => json!({
            "kind": "remote",
            "name": id,
            "endpoint": endpoint,
            "origin": origin_text(&node.component),
        }),
        Component::Command { env, shown_argv, .. } => json!({
            "kind": "command",
            "name": node.component.name(),
            "argv": shown_argv,
            "env": env.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "origin": origin_text(&node.component),
        }),
    };
    json!({
        "id": node.id,
        "role": node.role,
        "component": component,
        "is_available": node.is_available,
        "inputs": node.inputs.iter().map(schema_json).collect::<Vec<_>>(),
        "outputs": node.outputs.iter().map(schema_json).collect::<Vec<_>>(),
        "config": node.shown_config,
        "allow": {
            "hosts": node.grants.hosts,
            "env": node.grants.env.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "dirs": node.grants.dirs.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        },
        "parallelism": node.parallelism,
        "key": node.key,
        "brings_keys": node.brings_keys,
        "is_stateful": node.is_stateful,
        "has_timer": node.has_timer,
        "tick_ms": node.tick.map(millis),
        "limits": {
            "memory_bytes": node.limits.memory_bytes,
            "cpu_ms": millis(node.limits.cpu),
            "timeout_ms": millis(node.limits.timeout),
        },
        "settings": settings_json(&node.settings),
    })
}

/// The value with the keys of all objects in order, whatever order a map keeps.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            fields.into_iter().map(|(key, value)| (key, sorted(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        plain => plain,
    }
}

pub(crate) fn edge_json(topology: &Topology, edge: &Edge) -> Value {
    let schema = |id, pick: fn(&Node) -> &[Schema], kind: u32| {
        let schemas = topology.node(id).map(pick)?;
        schemas.get(kind as usize).map(schema_json)
    };
    let routes = edge.routes.iter().map(|route| {
        json!({
            "emitted": schema(&edge.from, |node| &node.outputs, route.output_kind),
            "received": schema(&edge.to, |node| &node.inputs, route.input_kind),
            "is_reencoded": !matches!(route.conversion, Conversion::Same),
        })
    });
    json!({ "from": edge.from, "to": edge.to, "routes": routes.collect::<Vec<_>>() })
}

pub(crate) fn settings_json(settings: &Settings) -> Value {
    json!({
        "max_events": settings.max_events,
        "max_bytes": settings.max_bytes,
        "linger_ms": millis(settings.linger),
        "queue_batches": settings.queue_batches,
        "queue_bytes": settings.queue_bytes,
        "checkpoint_interval_ms": millis(settings.checkpoint_interval),
        "checkpoints_kept": settings.checkpoints_kept,
        "retry": {
            "max_attempts": settings.retry.max_attempts,
            "first_wait_ms": millis(settings.retry.first_wait),
            "longest_wait_ms": millis(settings.retry.longest_wait),
            "on_failure": settings.retry.on_failure,
        },
    })
}

fn schema_json(schema: &Schema) -> Value {
    json!({
        "type": schema.event_type(),
        "version": schema.version().to_string(),
        "digest": schema.digest().to_string(),
    })
}

fn millis(duration: Duration) -> Value {
    let ms = duration.as_secs_f64() * 1e3;
    if ms.fract() == 0.0 { Value::from(ms as u64) } else { Value::from(ms) }
}
