//! What a pipeline says of one node, checked against its component.

use std::cmp::Reverse;
use std::num::NonZeroU16;
use std::path::PathBuf;

use flowctl_registry::{Emits, Entry, Origin};
use flowctl_schema::{ConfigFault, Role, Schema};
use flowctl_types::{Code, EventType};
use serde_json::{Map, Value};

use super::Planner;
use super::draft::{Draft, Place};
use crate::{CallLimits, Component, Grants, Node, OnFailure, Retry, Settings};

/// The settings of a pipeline as the runtime reads them.
pub(super) fn settings(said: &flowctl_intent::Settings) -> Settings {
    Settings {
        max_events: said.batch.max_events as usize,
        max_bytes: usize::try_from(said.batch.max_bytes).unwrap_or(usize::MAX),
        linger: said.batch.linger,
        queue_batches: said.queue as usize,
        checkpoint_interval: said.checkpoint_interval,
        checkpoints_kept: said.checkpoints_kept,
        retry: said.retry,
        ..Settings::default()
    }
}

impl Planner<'_> {
    /// The node of a draft, its inputs aside. Its outputs are none where they depend
    /// on a configuration that has a fault.
    pub(super) fn node(&mut self, draft: &Draft<'_>) -> (Node, Option<Vec<Schema>>) {
        let entry = draft.entry.as_ref();
        let said = self.document.intent.settings().with(&draft.options.overrides);
        let (config, shown_config) = self.config(draft);
        let outputs = self.outputs(draft, &config, &shown_config);
        let node = Node {
            id: draft.id.clone(),
            role: entry.role,
            component: draft.command.clone().unwrap_or_else(|| component(entry)),
            is_available: entry.is_available(),
            // those of a component in another process come with its edges
            inputs: if entry.is_live() { Vec::new() } else { entry.inputs().to_vec() },
            outputs: outputs.clone().unwrap_or_default(),
            config,
            shown_config,
            grants: self.grants(draft),
            parallelism: self.parallelism(draft),
            key: self.key(draft),
            brings_keys: entry.contract().is_some_and(|contract| contract.brings_keys),
            is_stateful: entry.contract().is_some_and(|contract| contract.has_state),
            has_timer: entry.contract().is_some_and(|contract| contract.has_timer),
            tick: self.tick(draft),
            limits: CallLimits {
                memory_bytes: said.limits.memory_bytes,
                cpu: said.limits.cpu,
                timeout: said.limits.timeout,
            },
            settings: Settings { retry: self.retry(draft, said.retry), ..settings(&said) },
        };
        (node, outputs)
    }

    /// Checks the configuration against the component's record, and fills in its
    /// defaults, from the environment where the record says so: the values, and how
    /// they are written.
    fn config(&mut self, draft: &Draft<'_>) -> (Value, Value) {
        let entry = draft.entry.as_ref();
        let written = |config: Option<&Value>| match config {
            Some(Value::Object(fields)) => fields.clone(),
            _ => Map::new(),
        };
        let mut value = written(draft.config.map(|config| config.value()));
        let mut shown = written(draft.config.map(|config| config.written()));
        if let (Emits::Configured { field }, Some(wanted)) = (&entry.emits, draft.wanted) {
            let wanted = Value::from(wanted.event_type().as_str());
            value.entry(*field).or_insert_with(|| wanted.clone());
            shown.entry(*field).or_insert(wanted);
        }
        if let Origin::Live(live) = &entry.origin {
            let [value, shown] = self.remote_config(draft, live, [value, shown]);
            return (value, shown);
        }
        let Some(schema) = &entry.config else {
            if let Some(key) = shown.keys().next() {
                let message = format!("`{}` has nothing to configure", draft.id);
                let path = draft.place.config(std::slice::from_ref(key));
                self.key_fault(&path, Code::BadConfig, message, Some("leave `config` out".to_owned()));
            }
            return (value.into(), shown.into());
        };
        let mut value = Value::from(value);
        let shown = Value::from(shown);
        let faults = schema.check_written(&value, &shown).err().unwrap_or_else(|| {
            let faults = self.registry.check_config(entry, &value).into_iter();
            faults.map(|fault| as_written(fault, &value, &shown)).collect()
        });
        for ConfigFault { path, is_key, message, hint } in faults {
            let hint = match (hint, &draft.config) {
                (Some(hint), None) => Some(format!("{hint}, below `{}:` in `config:`", draft.id)),
                (hint, _) => hint,
            };
            let message = format!("node `{}`: {message}", draft.id);
            match is_key {
                true => self.key_fault(&draft.place.config(&path), Code::BadConfig, message, hint),
                false => self.fault(&draft.place.config(&path), Code::BadConfig, message, hint),
            }
        }
        let mut shown = shown;
        for field in &schema.fields {
            let default = match field.env.as_ref().and_then(|name| Some((name, (self.env)(name)?))) {
                Some((name, found)) => Some((found.into(), format!("${{{name}}}").into())),
                None => field.default.clone().map(|default| (default.clone(), default)),
            };
            if let Some((value_default, shown_default)) = default {
                fill_in(&mut value, &field.name, value_default);
                fill_in(&mut shown, &field.name, shown_default);
            }
        }
        (value, shown)
    }

    fn outputs(&mut self, draft: &Draft<'_>, config: &Value, shown: &Value) -> Option<Vec<Schema>> {
        let field = match &draft.entry.emits {
            Emits::Nothing => return Some(Vec::new()),
            Emits::Types(types) => return Some(types.clone()),
            Emits::Configured { field } => *field,
        };
        let path = draft.place.config(&[field.to_owned()]);
        let Some(Value::String(text)) = config.get(field) else {
            let is_checked = draft
                .entry
                .config
                .as_ref()
                .is_some_and(|schema| schema.fields.iter().any(|known| known.name == field && !known.is_optional));
            // a field that must be there is missed, or is no text, by the record itself
            if !is_checked {
                let message = format!("node `{}` does not say which type it emits", draft.id);
                self.fault(
                    &path,
                    Code::BadConfig,
                    message,
                    Some(format!("write `{field}:` and an event type below its `config`")),
                );
            }
            return None;
        };
        if let Some(wanted) = draft.wanted {
            if wanted.event_type().as_str() == text {
                return Some(vec![wanted.clone()]);
            }
            let message = format!(
                "node `{}` is wanted for `{}`, but is configured to another type",
                draft.id,
                wanted.event_type()
            );
            self.fault(
                &path,
                Code::BadConfig,
                message,
                Some(format!("leave `{field}` out, or make it the type in `from`")),
            );
            return None;
        }
        let known = match text.parse::<EventType>() {
            Ok(event_type) => match self.registry.event_type(&event_type) {
                Err(error) if self.is_explained(&error) => return None,
                found => found.map_err(|error| (error.code(), error.to_string(), error.hint())),
            },
            Err(error) => Err((Code::WrongValue, error.to_string(), None)),
        };
        match known {
            Ok(schema) => Some(vec![schema.clone()]),
            Err((code, message, hint)) => {
                let message = without_secret(&message, config, shown, &[field.to_owned()]);
                self.fault(&path, code, message, hint);
                None
            }
        }
    }

    fn grants(&mut self, draft: &Draft<'_>) -> Grants {
        let said = &draft.options.allow;
        let is_plugin = matches!(draft.entry.origin, Origin::Plugin { .. });
        if !said.is_empty() && !is_plugin {
            let what = if draft.entry.is_live() { "runs in another process" } else { "is part of flowctl" };
            let message = format!("`{}` {what}: there is nothing to grant", draft.entry.name);
            self.fault(
                &draft.place.option(&["allow"]),
                Code::MisplacedOption,
                message,
                Some("leave `allow` out".to_owned()),
            );
            return Grants::default();
        }
        let mut env = Vec::new();
        for (index, name) in said.env.iter().enumerate() {
            match (self.env)(name) {
                Some(value) => env.push((name.clone(), value)),
                None => {
                    let message = format!("node `{}` is granted the variable `{name}`, which is not set", draft.id);
                    let path = draft.place.option(&["allow", "env", &index.to_string()]);
                    self.fault(
                        &path,
                        Code::VariableNotSet,
                        message,
                        Some("set it, or leave it out of `allow`".to_owned()),
                    );
                }
            }
        }
        Grants { hosts: said.hosts.clone(), env, dirs: said.dirs.iter().map(PathBuf::from).collect() }
    }

    fn parallelism(&mut self, draft: &Draft<'_>) -> NonZeroU16 {
        let asked = u16::try_from(draft.options.parallelism).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN);
        if asked > NonZeroU16::MIN && draft.entry.role != Role::Processor {
            let message = format!("`{}` is a {}: only processors run on several instances", draft.id, draft.entry.role);
            self.fault(
                &draft.place.option(&["parallelism"]),
                Code::MisplacedOption,
                message,
                Some("leave `parallelism` out".to_owned()),
            );
        }
        asked
    }

    fn key(&mut self, draft: &Draft<'_>) -> Option<String> {
        let key = draft.options.key.clone()?;
        if draft.entry.role != Role::Source {
            return Some(key);
        }
        let message = format!("`{}` is a source: there are no events to partition before it", draft.id);
        self.fault(
            &draft.place.option(&["key"]),
            Code::MisplacedOption,
            message,
            Some("give `key` to the node that reads from it".to_owned()),
        );
        None
    }

    /// What the node does when its calls fail. Where no event can be set aside, failing
    /// for good ends the run, whatever holds for the pipeline.
    fn retry(&mut self, draft: &Draft<'_>, said: Retry) -> Retry {
        let why_not = match draft.place {
            Place::DeadLetter => "the dead-letter sink: what it cannot keep has nowhere else to go",
            _ if draft.entry.role == Role::Source => "a source: there is no event yet to set aside",
            _ => return said,
        };
        if draft.options.overrides.on_failure == Some(OnFailure::DeadLetter) {
            let message = format!("`{}` is {why_not}", draft.id);
            let hint = "leave `on_failure` out: the run stops when the last attempt has failed";
            self.fault(
                &draft.place.option(&["retry", "on_failure"]),
                Code::MisplacedOption,
                message,
                Some(hint.to_owned()),
            );
        }
        Retry { on_failure: OnFailure::Stop, ..said }
    }

    fn tick(&mut self, draft: &Draft<'_>) -> Option<std::time::Duration> {
        let tick = draft.options.overrides.tick?;
        if draft.entry.contract().is_some_and(|contract| contract.has_timer) {
            return Some(tick);
        }
        let message = format!("`{}` has no timer to tick", draft.id);
        self.fault(&draft.place.option(&["tick"]), Code::MisplacedOption, message, Some("leave `tick` out".to_owned()));
        None
    }
}

/// Gives a field that is left out its default.
fn fill_in(config: &mut Value, name: &str, default: Value) {
    if let Some(fields) = config.as_object_mut()
        && fields.get(name).is_none_or(Value::is_null)
    {
        fields.insert(name.to_owned(), default);
    }
}

fn component(entry: &Entry) -> Component {
    match &entry.origin {
        Origin::Plugin { path, contract } => Component::Plugin {
            name: entry.name.clone(),
            version: contract.version.clone(),
            path: path.clone(),
            digest: contract.digest,
        },
        Origin::BuiltIn { .. } => Component::Connector { name: entry.name.clone() },
        Origin::Live(live) => Component::Remote { id: live.id.clone(), endpoint: live.endpoint.clone() },
    }
}

/// A fault that the component found, which knows values alone, as it is told.
fn as_written(fault: ConfigFault, value: &Value, shown: &Value) -> ConfigFault {
    let ConfigFault { path, is_key, message, hint } = fault;
    let message = without_secret(&message, value, shown, &path);
    let hint = hint.map(|hint| without_secret(&hint, value, shown, &path));
    ConfigFault { path, is_key, message, hint }
}

/// A message about the value at `path`, with each text in that value that the environment filled
/// in put back as the file has it, as a whole, whether it is quoted as it is or with escapes.
fn without_secret(message: &str, value: &Value, shown: &Value, path: &[String]) -> String {
    let (mut value, mut shown) = (value, shown);
    for segment in path {
        let step = |value: &'_ Value| match value {
            Value::Array(_) => segment.parse::<usize>().ok().map(|index| format!("/{index}")),
            _ => Some(format!("/{}", segment.replace('~', "~0").replace('/', "~1"))),
        };
        let found = step(value).and_then(|at| Some((value.pointer(&at)?, shown.pointer(&at)?)));
        let Some(found) = found else { break };
        (value, shown) = found;
    }
    let mut secrets = Vec::new();
    filled_in(value, shown, &mut secrets);
    // what is part of another comes after it
    secrets.sort_by_key(|(secret, _)| Reverse(secret.len()));
    let forms = secrets
        .iter()
        .flat_map(|(secret, written)| [(secret.escape_debug().to_string(), written), (secret.clone(), written)]);
    let forms: Vec<(String, &String)> = forms.collect();
    let mut plain = String::with_capacity(message.len());
    let mut rest = message;
    // from the left on, so that what was put in is not looked at again
    while let Some(sign) = rest.chars().next() {
        match forms.iter().find(|(secret, _)| rest.starts_with(secret.as_str())) {
            Some((secret, written)) => {
                plain.push_str(written);
                rest = &rest[secret.len()..];
            }
            None => {
                plain.push(sign);
                rest = &rest[sign.len_utf8()..];
            }
        }
    }
    plain
}

/// Every text below `value` that is another in the file, with how that has it.
fn filled_in(value: &Value, shown: &Value, found: &mut Vec<(String, String)>) {
    match (value, shown) {
        (Value::Array(values), Value::Array(shown)) => {
            values.iter().zip(shown).for_each(|(value, shown)| filled_in(value, shown, found));
        }
        (Value::Object(values), Value::Object(shown)) => {
            let pairs = values.iter().filter_map(|(key, value)| Some((value, shown.get(key)?)));
            pairs.for_each(|(value, shown)| filled_in(value, shown, found));
        }
        _ => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let (secret, written) = (text(value), text(shown));
            if secret != written && !secret.is_empty() {
                found.push((secret, written));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_component_quotes_of_the_environment_is_put_back_into_its_name() {
        let token = "eyJhbGciOiJIUzI1NiJ9.".repeat(3);
        let paths: [&[&str]; 2] = [&["a"], &["a", "0", "b"]];
        for secret in [token.as_str(), "hunter2", "pass\"word\\of\nmine", "S"] {
            for quoted in [format!("`{secret}`"), format!("{secret:?}"), format!("`{}`", secret.escape_debug())] {
                let (value, shown) = (json!({"a": [{"b": secret}]}), json!({"a": [{"b": "${SECRET}"}]}));
                for path in paths {
                    let path: Vec<String> = path.iter().map(|&segment| segment.to_owned()).collect();
                    let told = without_secret(&format!("has {quoted}"), &value, &shown, &path);
                    assert!(["has `${SECRET}`", "has \"${SECRET}\""].contains(&told.as_str()), "{told}");
                }
            }
        }
    }

    #[test]
    fn what_is_put_back_is_not_looked_at_again() {
        let (value, shown) = (json!(["hunter2", "PASS"]), json!(["${PASS}", "${USER}"]));
        let told = without_secret("PASS has hunter2, hunter", &value, &shown, &[]);
        assert_eq!(told, "${USER} has ${PASS}, hunter");
    }
}
