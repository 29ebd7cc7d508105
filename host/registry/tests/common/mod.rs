//! Registries in a line of text, for tests.
//!
//! `ttp: ledger! -> transfer` is a processor, `ledgers: -> ledger!` a source, and
//! `out: * ->` a sink. A type is a word: `raw` stands for `test.raw.v1`, a record of
//! one field; `raw!` is opaque, `raw+` a later minor with one more option, `raw~`
//! a record whose field has another type, `raw&` one of several fields; `letter` is
//! `flowctl.dead.letter.v1`. A sink takes `*` (any) or `record`, a
//! source emits `?` (what it is configured to). A name may be followed by
//! `@VERSION`, by `#LETTER` for other bytes, and by `{key=value}` metadata
//! and `[field: type; …]` configuration; a `%` before it makes it a connector, a `^` a
//! live component, whose types are names alone, `^!` one that is unhealthy. Names
//! that start with `stateful` or `timed` are that.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use flowctl_registry::{
    Accepts, ChainError, ChainQuery, Emits, Entry, LiveComponent, MAX_HOPS, Origin, Registry, SourceQuery, Target,
    arrows,
};
use flowctl_schema::{ConfigSchema, Contract, Role, Schema};
use flowctl_types::Digest;

/// The schema that a word stands for.
pub fn schema(word: &str) -> Schema {
    let name = word.trim_end_matches(['!', '+', '~', '&']);
    let package = match name {
        "letter" => "flowctl:dead-letter".to_owned(),
        name => format!("test:{}", name.replace('.', "-")),
    };
    if word == "letter" {
        let text = include_str!("../../../../wit/events/flowctl-dead-letter/event.wit");
        return Schema::from_wit(text).unwrap().remove(0);
    }
    let (version, event) = match &word[name.len()..] {
        "" => ("1.0.0", "record event { value: string }"),
        "!" => ("1.0.0", "type event = list<u8>;"),
        "+" => ("1.1.0", "record event { value: string, note: option<string> }"),
        "~" => ("1.0.0", "record event { value: u64 }"),
        "&" => ("1.0.0", "record event { id: u32, customer: string, amount: f64, tags: list<string> }"),
        other => panic!("`{other}` is no mark of a type"),
    };
    let text = format!("package {package}@{version};\ninterface event {{ {event} }}\n");
    Schema::from_wit(&text).unwrap().remove(0)
}

/// One entry of the text.
pub fn entry(text: &str) -> Entry {
    let (head, outputs) = text.split_once("->").unwrap();
    let (head, inputs) = head.rsplit_once(": ").unwrap();
    let (head, record) = match head.split_once('[') {
        Some((head, record)) => (head, Some(record.trim_end_matches(']').replace(';', ","))),
        None => (head, None),
    };
    let (head, metadata) = match head.split_once('{') {
        Some((head, metadata)) => (head, metadata.trim_end_matches('}')),
        None => (head, ""),
    };
    let (head, letter) = head.split_once('#').unwrap_or((head, ""));
    let (head, version) = match head.split_once('@') {
        Some((head, version)) => (head, Some(version.to_owned())),
        None => (head, None),
    };
    let name = head.trim_start_matches(['%', '^', '!']).to_owned();
    let words = |text: &str| text.split('|').map(str::trim).filter(|word| !word.is_empty()).map(schema).collect();
    let (inputs, outputs) = (inputs.trim(), outputs.trim());
    let accepts = match inputs {
        "" => Accepts::Nothing,
        "*" => Accepts::Any,
        "record" => Accepts::AnyRecord,
        types => Accepts::Types(words(types)),
    };
    let emits = match outputs {
        "" => Emits::Nothing,
        "?" => Emits::Configured { field: "type" },
        types => Emits::Types(words(types)),
    };
    let role = match (inputs, outputs) {
        ("", _) => Role::Source,
        (_, "") => Role::Sink,
        _ => Role::Processor,
    };
    let metadata: BTreeMap<String, String> = metadata
        .split(' ')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    if head.starts_with('^') {
        let types = |text: &str| {
            let words = text.split('|').map(str::trim).filter(|word| !["", "*"].contains(word));
            words.map(|word| schema(word).event_type().clone()).collect()
        };
        let component = LiveComponent {
            id: name.clone(),
            name: format!("The {name}"),
            description: String::new(),
            version: version.unwrap_or_default(),
            role,
            input_types: types(inputs),
            output_types: types(outputs),
            endpoint: "127.0.0.1:50051".to_owned(),
            metadata,
            status: if head.starts_with("^!") { "unhealthy" } else { "healthy" }.to_owned(),
        };
        return Entry::live(&component, &|_| None);
    }
    let record = match emits {
        Emits::Configured { .. } => Some("%type: string, path: option<string>".to_owned()),
        _ => record,
    };
    let config = record.map(|fields| ConfigSchema::from_wit(&format!("record config {{ {fields} }}")).unwrap());
    let config = config.map(|config| config.with_env("fallback", "SECRET"));
    let origin = if head.starts_with('%') {
        Origin::BuiltIn { summary: "is built in", is_available: name != "postgres" }
    } else {
        let file = format!("{name}{}{letter}.wasm", version.as_deref().map(|v| format!("-{v}")).unwrap_or_default());
        let of = |schemas: &Accepts| match schemas {
            Accepts::Types(types) => types.clone(),
            _ => Vec::new(),
        };
        let contract = Contract {
            role,
            name: name.clone(),
            digest: Digest::of(format!("{name} {version:?} {letter}").as_bytes()),
            version,
            description: None,
            inputs: of(&accepts),
            outputs: match &emits {
                Emits::Types(types) => types.clone(),
                _ => Vec::new(),
            },
            config: config.clone(),
            has_state: name.starts_with("stateful"),
            has_timer: name.starts_with("timed"),
            brings_keys: name.starts_with("keyed"),
            contract_version: "0.1.0".parse().unwrap(),
            asks: Vec::new(),
            metadata: metadata.clone(),
            size_bytes: 1,
        };
        Origin::Plugin { path: PathBuf::from("plugins").join(file), contract: Arc::new(contract) }
    };
    Entry { name, role, accepts, emits, config, metadata, origin }
}

/// The entries of the text, one a line or separated by commas.
pub fn entries(text: &str) -> Vec<Entry> {
    text.split([',', '\n']).map(str::trim).filter(|line| !line.is_empty()).map(entry).collect()
}

/// A registry of the text.
pub fn registry(text: &str) -> Registry {
    Registry::build(entries(text), [schema("known")])
}

/// What is asked, written `from -> to via a b where k=v source s configured c`.
pub fn ask(registry: &Registry, question: &str) -> Result<String, ChainError> {
    let mut words: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut key = "from";
    for word in question.split_whitespace() {
        match word {
            "->" => key = "to",
            "via" | "where" | "source" | "configured" => key = word,
            word => words.entry(key).or_default().push(word),
        }
    }
    let of = |key: &str| words.get(key).cloned().unwrap_or_default();
    let event_type = format!("test.{}.v1", of("from")[0]).parse().unwrap();
    let filter: BTreeMap<String, String> = of("where")
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let configured: BTreeSet<&str> = of("configured").into_iter().collect();
    let query = SourceQuery {
        event_type: &event_type,
        source: of("source").first().copied(),
        filter: &filter,
        configured: &configured,
    };
    let (source, from) = registry.source(&query)?;
    let to = of("to")[0];
    let to_type = to.parse();
    let to = match &to_type {
        Ok(event_type) => Target::Type(event_type),
        Err(_) => Target::Sink(registry.filtered(Role::Sink, to, &filter)?),
    };
    let named = |name: &&str| {
        let entry = registry.find_component(Role::Processor, name)?;
        Registry::check_filter(entry, &filter).map(|()| entry)
    };
    let via: Vec<&Entry> = of("via").iter().map(named).collect::<Result<_, _>>()?;
    let query = ChainQuery { from, source, to, via: &via, filter: &filter, max_hops: MAX_HOPS };
    let chain = registry.chain(&query)?;
    let mut names = vec![source.name.as_str()];
    names.extend(chain.iter().map(|entry| entry.name.as_str()));
    names.push(to.name());
    Ok(arrows(&names))
}

/// An error's text, what caused it, and its hint.
pub fn explain(error: &dyn std::error::Error, hint: Option<String>) -> String {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("\n  caused by: {error}"));
        cause = error.source();
    }
    match hint {
        Some(hint) => format!("{text}\nhint: {hint}"),
        None => text,
    }
}
