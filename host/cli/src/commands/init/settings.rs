//! What is asked about the settings of nodes.
//!
//! Asked is what a node cannot do without: required fields, those that the environment may
//! stand in for, those that its own check misses, and those that another node on the chain
//! requires by the same name, such as `network`. The rest stands in the file as comments.

use std::collections::BTreeMap;

use anyhow::anyhow;
use flowctl_registry::Registry;
use flowctl_schema::{ConfigField, Field, Type};
use flowctl_types::{NodeId, all_of};
use serde_json::{Map, Value};

use super::said::{Said, Setting};
use super::talk::{Ask, Choice, Stop, Talk};
use super::values::{self, says_variable, type_at, with_hint};
use super::writer::Known;
use crate::output::{first_sentence, one_line};
use crate::report::Hinted;

/// The settings of each node.
pub(super) type Settings = BTreeMap<NodeId, Map<String, Value>>;

/// Asks for the settings of all nodes on a chain.
pub(super) fn settings(
    talk: &mut Talk,
    said: &Said,
    registry: &Registry,
    nodes: &[Known<'_>],
) -> Result<Settings, Stop> {
    let mut settings = of_flags(said, registry, nodes)?;
    for node in nodes {
        let mut ask = Asking { talk, registry, nodes, node, settings: &mut settings };
        ask.needed()?;
        ask.missed()?;
    }
    settings.retain(|_, set| !set.is_empty());
    Ok(settings)
}

fn through_a_value(name: &str, path: &str) -> anyhow::Error {
    let outer = path.rsplit_once('.').map_or(path, |(outer, _)| outer);
    Hinted::usage(
        format!("`{name}.{path}` leads through a value that has no fields"),
        format!("a `--set` before it gives `{name}.{outer}`, or what that is in, a value: leave out one of them"),
    )
}

/// A field that flags and presets set.
struct Touched<'a> {
    node: &'a Known<'a>,
    field: &'a ConfigField,
    flags: Vec<String>,
}

/// What flags and presets say.
fn of_flags(said: &Said, registry: &Registry, nodes: &[Known<'_>]) -> Result<Settings, Stop> {
    let mut settings = Settings::new();
    let mut touched: Vec<Touched<'_>> = Vec::new();
    for setting in &said.settings {
        let Setting { node: name, path, value } = setting;
        let (node, field, ty) = meant(setting, nodes)?;
        let steps: Vec<&str> = path.split('.').collect();
        values::set(settings.entry(node.id.clone()).or_default(), &steps, values::value(ty, value))
            .ok_or_else(|| through_a_value(name, path))?;
        let flag = format!("--set {name}.{path}=…");
        match touched.iter_mut().find(|other| other.node.id == node.id && other.field.name == field.name) {
            Some(other) if other.flags.contains(&flag) => {}
            Some(other) => other.flags.push(flag),
            None => touched.push(Touched { node, field, flags: vec![flag] }),
        }
    }
    // what is set belongs together, in whatever order it was said
    for Touched { node, field, flags } in touched {
        let mut others = settings.get(&node.id).cloned().unwrap_or_default();
        let whole = others.remove(&field.name).unwrap_or_default();
        values::check((registry, node.entry), field, &whole, &others).map_err(|wrong| {
            let hint = format!("`flowctl processors show {}` explains it", node.entry.name);
            Stop::Failed(Hinted::error(format!("{} cannot be used: {wrong}", all_of(&flags)), hint))
        })?;
    }
    Ok(settings)
}

/// The node that a setting is of, the field that it is in, and the type of what it sets.
fn meant<'a>(setting: &Setting, nodes: &'a [Known<'a>]) -> Result<(&'a Known<'a>, &'a ConfigField, &'a Type), Stop> {
    let Setting { node: name, path, .. } = setting;
    let named: Vec<&Known<'_>> =
        nodes.iter().filter(|node| node.id.as_str() == name || node.entry.name == *name).collect();
    let [node] = named[..] else {
        let ids: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
        let message = format!("`--set {name}.{path}=…` is of no node");
        return Err(Hinted::error(message, format!("the nodes are {}", all_of(&ids))).into());
    };
    let steps: Vec<&str> = path.split('.').collect();
    let field = node.fields().find(|field| field.name == steps[0]);
    field.and_then(|field| Some((node, field, type_at(&field.ty, &steps[1..])?))).ok_or_else(|| {
        let names: Vec<&str> = node.fields().map(|field| field.name.as_str()).collect();
        let hint = match names.is_empty() {
            true => format!("`{name}` has nothing to configure"),
            false => format!("there are {}; `flowctl processors show {}`", all_of(&names), node.entry.name),
        };
        Stop::Failed(Hinted::error(format!("`{name}` has no setting `{path}`"), hint))
    })
}

/// Whether a setting that is asked for can be left out all the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Must,
    May,
}

/// The settings of one node, while they are asked for.
struct Asking<'t, 'a> {
    talk: &'t mut Talk,
    registry: &'t Registry,
    nodes: &'t [Known<'a>],
    node: &'t Known<'a>,
    settings: &'t mut Settings,
}

impl Asking<'_, '_> {
    fn set(&self) -> Map<String, Value> {
        self.settings.get(&self.node.id).cloned().unwrap_or_default()
    }

    /// Asks for what the record requires.
    fn needed(&mut self) -> Result<(), Stop> {
        let node = self.node;
        for field in node.fields() {
            let (is_shared, shared) = self.shared(field);
            if self.set().contains_key(&field.name) {
                continue;
            }
            let of_environment = field.env.as_ref().map(|name| Value::from(format!("${{{name}}}")));
            let default = shared.or(of_environment);
            let is_asked = !field.is_optional || field.env.is_some() || is_shared;
            // what may be left out is, where nobody can say more
            let is_left_out = field.is_optional && default.is_none() && !self.talk.can_ask();
            let need = if field.is_optional { Need::May } else { Need::Must };
            if is_asked && !is_left_out {
                self.ask(field, need, default.as_ref())?;
            }
        }
        Ok(())
    }

    /// Whether another node has to have the same setting, and what it is set to at one.
    fn shared(&self, field: &ConfigField) -> (bool, Option<Value>) {
        let others = || self.nodes.iter().filter(|node| node.id != self.node.id);
        let is_same = |other: &&ConfigField| other.name == field.name && plain(&other.ty) == plain(&field.ty);
        let mut same = others().flat_map(|node| node.fields().filter(is_same));
        // a URL, a path or a table is one's own
        let is_own = matches!(field.name.as_str(), "url" | "path" | "table" | "type" | "name" | "token");
        if is_own {
            return (false, None);
        }
        let mut alike = others().filter(|node| node.fields().any(|other| is_same(&other)));
        let value = alike.find_map(|node| self.settings.get(&node.id)?.get(&field.name));
        (same.any(|other| !other.is_optional), value.cloned())
    }

    /// Asks for what the component itself misses, until it misses nothing.
    fn missed(&mut self) -> Result<(), Stop> {
        let node = self.node;
        loop {
            let set = self.set();
            if says_variable(&Value::from(set.clone())) {
                return Ok(());
            }
            let faults = self.registry.check_config(node.entry, &Value::from(set.clone()));
            let Some(fault) = faults.into_iter().next() else { return Ok(()) };
            let wrong = with_hint(fault.message, fault.hint);
            let is_first = |field: &&ConfigField| fault.path.first() == Some(&field.name);
            let mut open: Vec<&ConfigField> = node.fields().filter(|field| !set.contains_key(&field.name)).collect();
            open.sort_by_key(|field| !is_first(field));
            if !open.first().is_some_and(is_first) || !self.talk.can_ask() {
                let hint = format!("set it with `--set {}.KEY=VALUE`", node.id);
                return Err(Hinted::error(format!("`{}`: {wrong}", node.id), hint).into());
            }
            let about = |field: &ConfigField| first_sentence(field.docs.as_deref().unwrap_or_default());
            let choices: Vec<Choice> = open.iter().map(|field| Choice::new(&*field.name, about(field))).collect();
            let key = format!("{}: {}", node.id, set.len());
            let (text, flag) = (format!("What is set for `{}`?", node.id), format!("--set {}.KEY=VALUE", node.id));
            let ask = Ask { key: &key, text: &text, help: &wrong, flag: &flag };
            let chosen = self.talk.choose(&ask, &choices, None)?;
            let field = open.into_iter().find(|field| field.name == chosen);
            self.ask(field.ok_or_else(|| anyhow!("`{chosen}` is no setting"))?, Need::Must, None)?;
        }
    }

    /// Asks for one setting.
    fn ask(&mut self, field: &ConfigField, need: Need, default: Option<&Value>) -> Result<(), Stop> {
        let value = match plain(&field.ty).as_record() {
            // what a record may leave out stands in the comments
            Some(record) => {
                let mut fields = Map::new();
                for inner in record.fields.iter().filter(|inner| !inner.ty.is_option()) {
                    let path = format!("{}.{}", field.name, inner.snake_name);
                    let value = self.value(field, (&path, inner), Need::Must, None)?;
                    fields.insert(inner.snake_name.clone(), value);
                }
                Value::Object(fields)
            }
            None => {
                let whole = Field {
                    name: field.name.clone(),
                    snake_name: field.name.clone(),
                    docs: field.docs.clone(),
                    ty: field.ty.clone(),
                };
                self.value(field, (&field.name, &whole), need, default)?
            }
        };
        if !value.is_null() {
            self.settings.entry(self.node.id.clone()).or_default().insert(field.name.clone(), value);
        }
        Ok(())
    }

    /// Asks for the value of a field, or of one within it; null is one that is left out.
    fn value(
        &mut self,
        field: &ConfigField,
        (path, inner): (&str, &Field),
        need: Need,
        default: Option<&Value>,
    ) -> Result<Value, Stop> {
        let (node, registry) = (self.node, self.registry);
        let id = &node.id;
        let (key, flag) = (format!("{id}.{path}"), format!("--set {id}.{path}=VALUE"));
        let text = format!("`{path}` of `{id}`?");
        let docs = one_line(inner.docs.as_deref().unwrap_or_default());
        let ask = Ask { key: &key, text: &text, help: &docs, flag: &flag };
        let default = default.map(|value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned));
        let ty = plain(&inner.ty);
        let choices = match ty {
            Type::Bool => vec![Choice::new("true", ""), Choice::new("false", "")],
            Type::Enum(of) => {
                let about = |docs: &Option<String>| first_sentence(docs.as_deref().unwrap_or_default());
                of.cases.iter().map(|case| Choice::new(&*case.snake_name, about(&case.docs))).collect()
            }
            _ => Vec::new(),
        };
        if !choices.is_empty() {
            return Ok(values::value(ty, &self.talk.choose(&ask, &choices, default.as_deref())?));
        }
        let may_be_empty = need == Need::May || matches!(ty, Type::List(_));
        let (entry, set) = (node.entry, self.set());
        let is_whole = path == field.name;
        let check = |text: &str| match text {
            "" if may_be_empty => Ok(()),
            "" => Err("this has to be said".to_owned()),
            text => match is_whole {
                true => values::check((registry, entry), field, &values::value(ty, text), &set),
                false => super::secrets::check(path, &values::value(ty, text)),
            },
        };
        let text = self.talk.write(&ask, default.as_deref(), &check)?;
        Ok(if text.is_empty() && need == Need::May { Value::Null } else { values::value(ty, &text) })
    }
}

/// The type less `option`.
fn plain(ty: &Type) -> &Type {
    match ty {
        Type::Option(inner) => inner,
        other => other,
    }
}
