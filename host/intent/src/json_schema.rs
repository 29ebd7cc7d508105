//! The JSON Schema of pipeline files, for editors.
//!
//! Invariant: it knows the same keys as the readers of `discover`, `explicit` and
//! `options`; tests hold both to the files of `tests/pipelines`. It says less than
//! they do: ids, inputs and cycles are beyond a schema.

#[cfg(test)]
mod tests;
#[cfg(test)]
mod validator;

use serde_json::{Map, Value, json};

use crate::component::Role;

/// The JSON Schema (draft 2020-12) of both formats, with a description of each field.
///
/// It describes the text before variables are filled in: `${NAME}` may stand wherever
/// one value does.
#[must_use]
pub fn json_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "flowctl pipeline",
        "description": "A pipeline in one of two formats, told apart by apiVersion: flowctl/v2 names the ends and \
                        leaves the chain between them to discovery, flowctl/v1 names every node.",
        "type": "object",
        "oneOf": [{"$ref": "#/$defs/topology"}, {"$ref": "#/$defs/pipeline"}],
        "$defs": definitions(),
    })
}

fn definitions() -> Value {
    let mut all = Map::new();
    for part in [files(), nodes(), settings(), words()] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    Value::Object(all)
}

/// The files as a whole, and their `spec`.
fn files() -> Value {
    let topology_spec = with_settings(json!({
        "from": one_or_many("endpoint", "Where events come from: an event type, or {type, source} where several sources emit it, or a list."),
        "to": one_or_many("name", "The sink to reach, by id or by kind, or a list."),
        "via": one_or_many("text", "Plugins that the chain passes through, in this order."),
        "where": {
            "type": "object",
            "description": "Metadata that every entry on the chain agrees with, such as network: pubnet. An entry that is silent on a key passes.",
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        },
        "config": {
            "type": ["object", "null"],
            "description": "Configuration of the nodes, by their id.",
            "propertyNames": {"$ref": "#/$defs/name"},
            "additionalProperties": {"type": ["object", "null"]},
        },
        "nodes": {
            "type": ["object", "null"],
            "description": "How single nodes run, by their id.",
            "propertyNames": {"$ref": "#/$defs/name"},
            "additionalProperties": {"anyOf": [{"$ref": "#/$defs/node_options"}, {"type": "null"}]},
        },
    }));
    let pipeline_spec = with_settings(json!({
        "sources": list_of("source", "Where events come from."),
        "processors": {
            "type": ["array", "null"],
            "description": "What events pass through.",
            "items": {"$ref": "#/$defs/processor"},
        },
        "sinks": list_of("sink", "Where events go."),
    }));
    json!({
        "topology": file("flowctl/v2", "Topology", &object(&topology_spec, &["from", "to"], "The ends of the pipeline.")),
        "pipeline": file("flowctl/v1", "Pipeline", &object(&pipeline_spec, &["sources", "sinks"], "The nodes of the pipeline.")),
    })
}

fn file(version: &str, kind: &str, spec: &Value) -> Value {
    let metadata = json!({
        "type": ["object", "null"],
        "description": "May be left out.",
        "properties": {"name": described("name", "The pipeline's name; default: the file's name without its ending.")},
        "additionalProperties": false,
    });
    let properties = json!({
        "apiVersion": {"const": version, "description": "The format."},
        "kind": {"const": kind, "description": format!("{kind}, for {version}.")},
        "metadata": metadata,
        "spec": spec,
    });
    object(&properties, &["apiVersion", "kind", "spec"], &format!("A {kind}."))
}

/// The nodes of `flowctl/v1`, and what `flowctl/v2` says of nodes.
fn nodes() -> Value {
    let kind = described("name", "A connector, plugin or live component, by the name that the registry knows it by.");
    let plugin = described("text", "A plugin: a path (./ttp.wasm), a name (ttp@1.2.0), or registry/repository:tag.");
    let image = described("text", "A plugin in an OCI registry: registry/repository:tag.");
    let id = described("name", "The node's id, unique in the file.");
    let inputs = json!({
        "type": "array",
        "description": "The sources and processors that the node reads from.",
        "items": {"$ref": "#/$defs/name"},
        "minItems": 1,
        "uniqueItems": true,
    });
    let config = json!({"type": ["object", "null"], "description": "The node's configuration; its fields are the component's own."});
    let node = |role: Role, own: Value, options: &[&str], required: &[&str], description: &str| {
        let mut properties = own;
        if required.contains(&"id") {
            properties["id"] = id.clone();
        }
        properties["config"] = config.clone();
        for option in options {
            properties[*option] = option_schema(option);
        }
        let mut schema = object(&properties, required, description);
        schema["oneOf"] = role.component_keys().iter().map(|key| json!({"required": [key]})).collect();
        schema["dependentRequired"] = role.dependent_keys();
        schema
    };
    let component = |role: Role| {
        let mut properties =
            json!({"type": kind, "plugin": plugin, "image": image, "command": command_schema("command")});
        for key in role.command_keys() {
            properties[*key] = command_schema(key);
        }
        properties
    };
    let (source, dead_letter) = (component(Role::Source), component(Role::Sink));
    let (mut processor, mut sink) = (component(Role::Processor), dead_letter.clone());
    processor["type"] = described("text", "A plugin by name or name@version, or a live component by id, name or kind.");
    processor["inputs"] = inputs.clone();
    sink["inputs"] = inputs;
    let options = crate::options::PROCESSOR_KEYS.map(|key| (key.to_owned(), option_schema(key)));
    json!({
        "source": node(Role::Source, source, &crate::options::SOURCE_KEYS, &["id"], "Where events come from."),
        "processor": node(Role::Processor, processor, &crate::options::PROCESSOR_KEYS, &["id", "inputs"], "What events pass through."),
        "sink": node(Role::Sink, sink, &crate::options::SINK_KEYS, &["id", "inputs"], "Where events go."),
        "dead_letter": node(
            Role::Sink,
            dead_letter,
            &crate::options::DEAD_LETTER_KEYS,
            &[],
            "The sink for rejected events, any that takes flowctl.dead.letter.v1; left out, a file in the pipeline's state directory.",
        ),
        "node_options": object(&Value::Object(Map::from_iter(options)), &[], "How a node runs."),
        "endpoint": {
            "anyOf": [
                {"$ref": "#/$defs/event_type"},
                object(
                    &json!({
                        "type": described("event_type", "The event type."),
                        "source": described("name", "The source that emits it, by id or by kind."),
                    }),
                    &["type"],
                    "An event type of one source.",
                ),
            ],
        },
    })
}

impl Role {
    /// Which keys go with which others: what is said of a command with the command, and
    /// a command with the types without which it cannot be planned.
    fn dependent_keys(self) -> Value {
        let mut dependent: Map<String, Value> =
            self.command_keys().iter().map(|key| ((*key).to_owned(), json!(["command"]))).collect();
        dependent.insert("command".to_owned(), json!(self.required_types()));
        dependent.into()
    }
}

/// What runs as a process of its own, and what is said of it.
fn command_schema(key: &str) -> Value {
    let types = |description: &str| {
        json!({
            "type": "array",
            "description": description,
            "items": {"$ref": "#/$defs/event_type"},
            "minItems": 1,
            "uniqueItems": true,
        })
    };
    match key {
        "command" => json!({
            "type": "array",
            "description": "A process of its own, which registers as a live component: the program and its arguments.",
            "items": {"type": ["string", "number", "boolean"]},
            "minItems": 1,
        }),
        "env" => json!({
            "type": ["object", "null"],
            "description": "What is added to the environment of the command.",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        }),
        "input_event_types" => types("The event types that the command reads; a sink that says none takes any."),
        _ => types("The event types that the command emits."),
    }
}

/// One option of a node.
fn option_schema(key: &str) -> Value {
    match key {
        "parallelism" => integer(1, 256, "Instances of the plugin: 1 to 256, default 1. Output stays in input order."),
        "key" => described("text", "The field that events are partitioned by; default: what the plugin says."),
        "tick" => {
            described("duration", "Time between two calls of the plugin's tick, 1ms to 1h; left out, it is not called.")
        }
        "types" => one_or_many(
            "text",
            "Event types of your own: a file of WIT text, a folder with a WIT package and its deps/, or a list.",
        ),
        "queue" => integer(1, 1_024, "Batches that an edge holds before its sender waits: 1 to 1024, default 8."),
        // the others are objects, defined once
        _ => json!({"$ref": format!("#/$defs/{key}")}),
    }
}

/// Settings that pipelines and nodes share.
fn settings() -> Value {
    let limits = json!({
        "memory": described("size", "All memories of one instance together: 1MiB to 4GiB, default 256MiB."),
        "cpu": described("duration", "Executed time of one call: 1ms to 10m, default 5s."),
        "timeout": described("duration", "Wall-clock time of one call: 1ms to 1h, default 30s."),
    });
    let batch = json!({
        "max_events": integer(1, 100_000, "Events in a batch: 1 to 100000, default 1000."),
        "max_bytes": described("size", "Bytes of payload in a batch: 1KiB to 256MiB, default 4MiB. A larger event travels alone."),
        "linger": described("duration", "How long an event waits for others: 0 to 1m, default 1ms."),
    });
    let checkpoint = json!({
        "interval": described("duration", "Time between two checkpoints: 10ms to 1h, default 5s."),
        "keep": integer(1, 1_000, "Committed checkpoints that are kept: 1 to 1000, default 3."),
    });
    let words = crate::options::ON_FAILURE.map(|(word, _)| json!({"const": word}));
    let retry = json!({
        "max_attempts": integer(1, 1_000, "Calls in all, the first included: 1 to 1000, default 8."),
        "first_wait": described("duration", "Time before the second call: 1ms to 1h, default 100ms. Each wait is longer than the one before it."),
        "longest_wait": described("duration", "Longest time between two calls: 1ms to 1h, default 10s; never shorter than first_wait."),
        "on_failure": {
            "description": "What happens to an event of a processor or a sink after the last call: dead-letter (the default) sets it aside, stop ends the run.",
            "anyOf": words.into_iter().chain([json!({"$ref": "#/$defs/variable"})]).collect::<Vec<_>>(),
        },
    });
    let texts = |description: &str| json!({"type": ["array", "null"], "items": {"$ref": "#/$defs/text"}, "description": description});
    let allow = json!({
        "hosts": texts("Hosts that it may connect to, name or name:port."),
        "env": texts("Environment variables that it may read, by name."),
        "dirs": texts("Directories of the host that it may read."),
    });
    json!({
        "limits": object(&limits, &[], "What one instance of a plugin may use."),
        "batch": object(&batch, &[], "How events are gathered into batches: whichever is reached first closes one."),
        "checkpoint": object(&checkpoint, &[], "When checkpoints are taken, and how many are kept."),
        "retry": object(&retry, &[], "What happens when a call fails in a way that may pass."),
        "allow": object(&allow, &[], "What the plugin may reach beyond its sandbox; default: nothing."),
    })
}

/// Texts with a spelling of their own, each of which a variable may give.
fn words() -> Value {
    let spelled = |pattern: &str, example: &str| json!({"type": "string", "pattern": format!("{pattern}|\\$\\{{"), "examples": [example]});
    let duration = r"^[0-9]+ *(us|ms|s|m|h)$";
    let size = r"^[0-9]+ *(B|kB|KB|MB|GB|KiB|MiB|GiB)?$";
    json!({
        "text": {"type": "string", "minLength": 1},
        "name": spelled("^[a-z0-9-]{1,63}$", "stellar-ledgers"),
        "event_type": spelled(r"^[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)+\.v(0|[1-9][0-9]*)$", "stellar.ledger.v1"),
        "duration": {"anyOf": [spelled(duration, "250ms"), {"const": 0}, {"const": "0"}]},
        "size": {"anyOf": [spelled(size, "64MiB"), {"type": "integer", "minimum": 0}]},
        "variable": {"type": "string", "pattern": r"\$\{", "examples": ["${NAME}"]},
    })
}

fn with_settings(mut properties: Value) -> Value {
    for key in crate::options::SPEC_KEYS {
        properties[key] = option_schema(key);
    }
    properties
}

/// A mapping that knows no other keys.
fn object(properties: &Value, required: &[&str], description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn list_of(definition: &str, description: &str) -> Value {
    json!({"type": "array", "description": description, "items": {"$ref": format!("#/$defs/{definition}")}, "minItems": 1})
}

fn one_or_many(definition: &str, description: &str) -> Value {
    let one = json!({"$ref": format!("#/$defs/{definition}")});
    json!({"description": description, "anyOf": [one, {"type": "array", "items": one, "minItems": 1, "uniqueItems": true}]})
}

fn described(definition: &str, description: &str) -> Value {
    json!({"$ref": format!("#/$defs/{definition}"), "description": description})
}

fn integer(minimum: u32, maximum: u32, description: &str) -> Value {
    let number = json!({"type": "integer", "minimum": minimum, "maximum": maximum});
    json!({"description": description, "anyOf": [number, {"$ref": "#/$defs/variable"}]})
}
