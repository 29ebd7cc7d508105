//! From answers to the text of a pipeline file, with comments.
//!
//! Invariant: this is the only place that writes one, whoever answered: a person, flags or a
//! preset. No I/O: what the comments say of a node comes with it.

use std::collections::BTreeMap;
use std::path::Path;

use flowctl_registry::{Emits, Entry, arrows};
use flowctl_schema::{ConfigField, ConfigSchema, Role};
use flowctl_types::{EventType, NodeId};
use serde_json::{Map, Value};

use super::yaml::{STEP, comment, entry, in_line};
use crate::output;

/// What a pipeline is to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answers {
    /// Its name.
    pub(super) name: NodeId,
    /// Files with event types of its own, as it is to name them.
    pub(super) types: Vec<String>,
    /// What its source emits.
    pub(super) from: EventType,
    /// The source.
    pub(super) source: String,
    /// The processors, in order.
    pub(super) via: Vec<String>,
    /// The sink.
    pub(super) to: String,
    /// What is set, by node.
    pub(super) settings: BTreeMap<NodeId, Map<String, Value>>,
}

/// A node, and what is known of it.
pub(super) struct Known<'a> {
    pub(super) id: NodeId,
    pub(super) entry: &'a Entry,
}

impl Known<'_> {
    /// Its settings; without the type that it emits, which follows from the pipeline.
    pub(super) fn fields(&self) -> impl Iterator<Item = &ConfigField> {
        let implied = match &self.entry.emits {
            Emits::Configured { field } => Some(*field),
            _ => None,
        };
        let fields = self.schema().map_or(&[][..], |schema| &schema.fields);
        fields.iter().filter(move |field| Some(field.name.as_str()) != implied)
    }

    pub(super) fn schema(&self) -> Option<&ConfigSchema> {
        self.entry.config.as_ref()
    }
}

/// The text of the file `file`.
pub(super) fn document(answers: &Answers, nodes: &[Known<'_>], file: &Path) -> String {
    let file = output::shell_word(file);
    let ids: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
    let mut lines = vec![format!("# {}: {}", answers.name, arrows(&ids)), "#".to_owned()];
    lines.push(format!("# `flowctl validate {file}` checks it, `flowctl run {file}` runs it."));
    lines.extend(["apiVersion: flowctl/v2", "kind: Topology", "metadata:"].map(str::to_owned));
    lines.extend(entry("name", &Value::from(answers.name.as_str()), STEP));
    lines.push("spec:".to_owned());
    let mut say = |text: &str, line: String| {
        lines.extend(comment(text, STEP));
        lines.push(format!("{}{line}", " ".repeat(STEP)));
    };
    let word = |text: &str| in_line(&text.into());
    match answers.types.as_slice() {
        [] => {}
        types => {
            let types = if let [one] = types { word(one) } else { in_line(&types.into()) };
            say("Event types of its own, in WIT. The path starts where flowctl runs.", format!("types: {types}"));
        }
    }
    let from = format!("from: {{type: {}, source: {}}}", word(answers.from.as_str()), word(&answers.source));
    say("Where events come from: their type, and the source that emits it.", from);
    if !answers.via.is_empty() {
        let via = in_line(&answers.via.as_slice().into());
        say("The processors that they pass through, in this order.", format!("via: {via}"));
    }
    say("Where they go.", format!("to: {}", word(&answers.to)));
    lines.extend(config(answers, nodes));
    lines.join("\n") + "\n"
}

/// The section `config`; a comment as a whole where nothing is set.
fn config(answers: &Answers, nodes: &[Known<'_>]) -> Vec<String> {
    let configurable: Vec<&Known<'_>> = nodes.iter().filter(|node| node.fields().next().is_some()).collect();
    if configurable.is_empty() {
        return Vec::new();
    }
    let nothing = Map::new();
    let is_empty = answers.settings.values().all(Map::is_empty);
    let mut lines = vec![format!("{}config:", " ".repeat(STEP))];
    for node in configurable {
        let set = answers.settings.get(&node.id).unwrap_or(&nothing);
        lines.extend(comment(&title(node.entry), 2 * STEP));
        let settings = of_node(node, set);
        // what is in a comment as a whole takes one sign away to be meant
        let is_meant = is_empty || !set.is_empty();
        lines.extend(if is_meant { settings } else { commented(&settings, 2 * STEP) });
        lines.extend(others(node, set));
    }
    let lines = if is_empty { commented(&lines, STEP) } else { lines };
    comment("The settings of its nodes.", STEP).into_iter().chain(lines).collect()
}

/// What a node is.
fn title(entry: &Entry) -> String {
    let role = match entry.role {
        Role::Source => "Source",
        Role::Processor => "Processor",
        Role::Sink => "Sink",
    };
    match entry.description() {
        Some(text) => format!("{role}: {}.", uncapitalised(text)),
        None => format!("{role}."),
    }
}

/// The settings of a node. Where nothing is set they are its defaults, else these stand in
/// comments beside what is set; none where there are neither.
fn of_node(node: &Known<'_>, set: &Map<String, Value>) -> Vec<String> {
    let indent = 3 * STEP;
    let docs = |field: &ConfigField| comment(field.docs.as_deref().unwrap_or_default(), indent);
    let mut lines = Vec::new();
    for field in node.fields().filter(|field| set.contains_key(&field.name)) {
        lines.extend(docs(field));
        lines.extend(of_field(field, &set[&field.name], indent));
    }
    for field in node.fields().filter(|field| !set.contains_key(&field.name)) {
        let Some(default) = default(field) else { continue };
        let sign = if set.is_empty() { "" } else { "# " };
        lines.extend(docs(field));
        lines.push(format!("{}{sign}{}: {default}", " ".repeat(indent), field.name));
    }
    let key = format!("{}{}:", " ".repeat(2 * STEP), node.id);
    if lines.is_empty() { lines } else { [vec![key], lines].concat() }
}

/// A comment that names the settings which are neither set nor have a default.
fn others(node: &Known<'_>, set: &Map<String, Value>) -> Vec<String> {
    let left = node.fields().filter(|field| !set.contains_key(&field.name) && default(field).is_none());
    let left: Vec<String> = left.map(|field| format!("`{}`", field.name)).collect();
    let (also, them) = (if set.is_empty() { "Settings" } else { "Also" }, if left.len() == 1 { "it" } else { "them" });
    if left.is_empty() {
        return Vec::new();
    }
    let show = format!("`flowctl processors show {}` explains {them}", node.entry.name);
    let indent = if set.is_empty() { 2 * STEP } else { 3 * STEP };
    comment(&format!("{also}: {}; {show}.", left.join(", ")), indent)
}

/// A setting; the fields of a record below it, with what they mean.
fn of_field(field: &ConfigField, value: &Value, indent: usize) -> Vec<String> {
    let (Some(record), Some(set)) = (field.ty.as_record(), value.as_object().filter(|set| !set.is_empty())) else {
        return entry(&field.name, value, indent);
    };
    let mut lines = vec![format!("{}{}:", " ".repeat(indent), field.name)];
    for (name, value) in set {
        let docs = record.fields.iter().find(|inner| inner.snake_name == *name).and_then(|inner| inner.docs.as_deref());
        lines.extend(comment(docs.unwrap_or_default(), indent + STEP));
        lines.extend(entry(name, value, indent + STEP));
    }
    let left = record.fields.iter().filter(|inner| !set.contains_key(&inner.snake_name));
    let left: Vec<String> = left.map(|inner| format!("`{}`", inner.snake_name)).collect();
    if !left.is_empty() {
        lines.extend(comment(&format!("Also: {}.", left.join(", ")), indent + STEP));
    }
    lines
}

/// A sentence as it stands behind a colon.
fn uncapitalised(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let is_word = text.chars().nth(1).is_some_and(char::is_lowercase);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if is_word => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// What stands in where a field is left out, as it would be written.
fn default(field: &ConfigField) -> Option<String> {
    let of_environment = || field.env.as_ref().map(|name| in_line(&format!("${{{name}}}").into()));
    field.default.as_ref().map(in_line).or_else(of_environment)
}

/// The lines as a comment that stands at `indent`.
fn commented(lines: &[String], indent: usize) -> Vec<String> {
    let pad = " ".repeat(indent);
    let out = |line: &String| format!("{pad}# {}", line.get(indent..).unwrap_or_default());
    lines.iter().map(out).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use flowctl_registry::{Accepts, Origin, Registry};
    use flowctl_schema::Schema;
    use serde_json::json;

    use super::*;

    fn known(entries: &[Entry]) -> Vec<Known<'_>> {
        let ids = flowctl_topology::node_ids(&entries.iter().collect::<Vec<_>>());
        entries.iter().zip(ids).map(|(entry, id)| Known { id, entry }).collect()
    }

    fn connector(role: Role, name: &str) -> Entry {
        let mut catalogue = flowctl_connectors::catalogue().into_iter();
        catalogue.find(|entry| entry.role == role && entry.name == name).unwrap()
    }

    /// A processor of orders with two settings that have defaults.
    fn processor() -> Entry {
        let order = Schema::from_wit(include_str!("../../../../../wit/events/example-order/event.wit")).unwrap();
        let record = "record config { /// How many, at least\n/// 1.\nwindow: option<u32>, /// The word.\nword: option<string> }";
        let config = ConfigSchema::from_wit(record).unwrap().with_default("window", 60);
        Entry {
            name: "sums".to_owned(),
            role: Role::Processor,
            accepts: Accepts::Types(order.clone()),
            emits: Emits::Types(order),
            config: Some(config),
            metadata: BTreeMap::new(),
            origin: Origin::BuiltIn { summary: "adds up", is_available: true },
        }
    }

    fn answers(settings: &Value) -> Answers {
        let settings = settings.as_object().unwrap().iter();
        Answers {
            name: "orders".parse().unwrap(),
            types: Vec::new(),
            from: "example.order.v1".parse().unwrap(),
            source: "file".to_owned(),
            via: vec!["sums".to_owned()],
            to: "file".to_owned(),
            settings: settings.map(|(id, set)| (id.parse().unwrap(), set.as_object().unwrap().clone())).collect(),
        }
    }

    /// The text says what the answers say, and is the file beside this one.
    fn check(answers: &Answers, entries: &[Entry], name: &str) {
        let text = document(answers, &known(entries), Path::new("orders.yaml"));
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/commands/init/expected")).join(name);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{}", path.display());
        let document = flowctl_intent::parse("orders.yaml", &text, &|_| Some("postgres://db/x".to_owned())).unwrap();
        let flowctl_intent::Intent::Discover(intent) = &document.intent else { panic!("{text}") };
        assert_eq!((&document.name, &intent.via, &intent.to), (&answers.name, &answers.via, &vec![answers.to.clone()]));
        for (id, set) in answers.settings.iter().filter(|(_, set)| !set.is_empty()) {
            assert_eq!(intent.config[id].written(), &Value::Object(set.clone()), "{text}");
        }
        let registry = Registry::build(entries.iter().cloned(), crate::catalog::well_known().iter().cloned());
        flowctl_topology::plan(&document, &registry, &|_| None).unwrap();
    }

    #[test]
    fn a_source_and_a_sink_of_one_name_are_told_apart() {
        let entries = [connector(Role::Source, "file"), processor(), connector(Role::Sink, "file")];
        let settings = json!({"file-source": {"path": "in/*.jsonl"}, "file-sink": {"path": "out.jsonl"}});
        check(&answers(&settings), &entries, "files.yaml");
    }

    #[test]
    fn what_is_not_set_stands_in_comments() {
        let entries = [connector(Role::Source, "stdin"), processor(), connector(Role::Sink, "stdout")];
        let answers = Answers { source: "stdin".to_owned(), to: "stdout".to_owned(), ..answers(&json!({})) };
        check(&answers, &entries, "nothing-set.yaml");
        let entries = [connector(Role::Source, "stdin"), processor(), connector(Role::Sink, "postgres")];
        let answers = Answers {
            to: "postgres".to_owned(),
            settings: BTreeMap::from([("sums".parse().unwrap(), Map::from_iter([("window".to_owned(), json!(5))]))]),
            ..answers
        };
        check(&answers, &entries, "some-set.yaml");
    }

    #[test]
    fn a_files_name_stays_in_the_comment_and_is_quoted() {
        let entries = [connector(Role::Source, "stdin"), processor(), connector(Role::Sink, "stdout")];
        let answers = Answers { source: "stdin".to_owned(), to: "stdout".to_owned(), ..answers(&json!({})) };
        let text = document(&answers, &known(&entries), Path::new("my\nkind: x.yaml"));
        let head: Vec<&str> = text.lines().take_while(|line| *line != "apiVersion: flowctl/v2").collect();
        assert!(head.len() == 3 && head.iter().all(|line| line.starts_with('#')), "{text}");
        assert!(head[2].contains("`flowctl run 'my\u{fffd}kind: x.yaml'`"), "{text}");
    }

    #[test]
    fn a_comment_less_its_signs_is_the_settings() {
        let entries = [connector(Role::Source, "stdin"), processor(), connector(Role::Sink, "stdout")];
        let answers = Answers { source: "stdin".to_owned(), to: "stdout".to_owned(), ..answers(&json!({})) };
        let text = document(&answers, &known(&entries), Path::new("orders.yaml"));
        let section = text.lines().skip_while(|line| *line != "  # config:");
        let lines: Vec<String> = section.map(|line| line.replacen("  # ", "  ", 1)).collect();
        let read: Value = serde_saphyr::from_str(&lines.join("\n")).unwrap();
        assert_eq!(read["config"]["sums"]["window"], 60, "{lines:?}");
    }
}
