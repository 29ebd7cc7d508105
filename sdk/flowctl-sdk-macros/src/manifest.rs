//! The section `flowctl:manifest`: what the binary cannot say of itself.
//!
//! JSON, with `schema` = 1:
//!
//! ```json
//! {
//!   "schema": 1, "name": "order-filter", "version": "0.1.0", "description": "…",
//!   "brings_keys": true,
//!   "metadata": {"network": "pubnet"},
//!   "types": {"example:order/event@1.0.0": {"order": {"docs": "One order.", "members": {"id": "The shop's number."}}}},
//!   "config": {"docs": "…", "fields": {"minimum": {"docs": "Smallest total.", "default": 100}}}
//! }
//! ```
//!
//! Names are WIT's. `members` are a record's fields or the cases of a variant or
//! enum; the types that the settings are made of stand under the interface
//! `config`. A default is in the JSON form of payloads (an enum is its case's
//! name). What is not documented is left out. `brings_keys` says that every event that
//! comes out has a partition key, by `fn key`.

use serde_json::{Map, Value, json};
use wit_parser::{Docs, TypeDefKind};

use crate::args::Args;
use crate::config::{Config, Field};
use crate::event::EventType;
use crate::packages::Packages;

/// The section's content.
pub(crate) fn json(
    args: &Args,
    packages: &Packages,
    events: &[&EventType],
    config: Option<&Config>,
    docs: &str,
    brings_keys: bool,
) -> String {
    let cargo = |name: &str| std::env::var(name).unwrap_or_default();
    let description =
        Some(cargo("CARGO_PKG_DESCRIPTION")).filter(|text| !text.is_empty()).unwrap_or_else(|| docs.to_owned());
    let metadata: Map<String, Value> =
        args.metadata.iter().map(|(key, value)| (key.clone(), value.value().into())).collect();
    let mut all_types = types(packages, events);
    if let Some(types) = config.map(setting_types).filter(|types| !types.is_empty()) {
        all_types.insert("config".to_owned(), types.into());
    }
    json!({
        "schema": 1,
        "name": cargo("CARGO_PKG_NAME"),
        "version": cargo("CARGO_PKG_VERSION"),
        "description": description,
        "brings_keys": brings_keys,
        "metadata": metadata,
        "types": all_types,
        "config": config.map_or_else(|| json!({}), settings),
    })
    .to_string()
}

/// The docs of every type in the packages that the events need.
fn types(packages: &Packages, events: &[&EventType]) -> Map<String, Value> {
    let resolve = &packages.resolve;
    let mut wanted: Vec<_> = events.iter().map(|event| event.package).collect();
    let mut index = 0;
    while index < wanted.len() {
        wanted.extend(resolve.package_direct_deps(wanted[index]).collect::<Vec<_>>());
        index += 1;
    }
    let mut all = Map::new();
    for package in wanted {
        for interface in resolve.packages[package].interfaces.values() {
            let types = &resolve.interfaces[*interface].types;
            let types: Map<String, Value> = types
                .iter()
                .map(|(name, id)| {
                    let definition = &resolve.types[*id];
                    let members: Map<String, Value> = match &definition.kind {
                        TypeDefKind::Record(record) => {
                            record.fields.iter().filter_map(|f| documented(&f.name, &f.docs)).collect()
                        }
                        TypeDefKind::Variant(variant) => {
                            variant.cases.iter().filter_map(|c| documented(&c.name, &c.docs)).collect()
                        }
                        TypeDefKind::Enum(cases) => {
                            cases.cases.iter().filter_map(|c| documented(&c.name, &c.docs)).collect()
                        }
                        _ => Map::new(),
                    };
                    (name.clone(), json!({"docs": text(&definition.docs), "members": members}))
                })
                .collect();
            all.insert(resolve.id_of(*interface).unwrap_or_default(), types.into());
        }
    }
    all
}

fn settings(config: &Config) -> Value {
    let Some(record) = config.records.first() else {
        return json!({});
    };
    let field = |field: &Field| {
        let mut said = Map::new();
        if !field.docs.is_empty() {
            said.insert("docs".to_owned(), field.docs.as_str().into());
        }
        if let Some(preset) = &field.default {
            said.insert("default".to_owned(), preset.json.clone());
        }
        (field.wit.clone(), Value::from(said))
    };
    let fields: Map<String, Value> = record.fields.iter().map(field).collect();
    let mut said = json!({"fields": fields});
    if !record.docs.is_empty() {
        said["docs"] = record.docs.as_str().into();
    }
    said
}

/// The docs of the types that the settings are made of.
fn setting_types(config: &Config) -> Map<String, Value> {
    let said = |docs: &str, members: Vec<(&String, &String)>| {
        let members = members.into_iter().filter(|(_, docs)| !docs.is_empty());
        let members: Map<String, Value> = members.map(|(name, docs)| (name.clone(), docs.as_str().into())).collect();
        json!({"docs": docs, "members": members})
    };
    let records = config.records.iter().skip(1).map(|record| {
        let members = record.fields.iter().map(|field| (&field.wit, &field.docs)).collect();
        (record.wit.clone(), said(&record.docs, members))
    });
    let enums = config.enums.iter().map(|enumeration| {
        let members = enumeration.cases.iter().map(|(_, wit, docs)| (wit, docs)).collect();
        (enumeration.wit.clone(), said(&enumeration.docs, members))
    });
    records.chain(enums).collect()
}

fn documented(name: &str, docs: &Docs) -> Option<(String, Value)> {
    Some((name.to_owned(), docs.contents.as_deref()?.trim().into()))
}

fn text(docs: &Docs) -> &str {
    docs.contents.as_deref().unwrap_or_default().trim()
}
