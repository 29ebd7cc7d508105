//! Plugins to list, made for the purpose.

use std::collections::BTreeMap;

use flowctl_oci::annotations;
use flowctl_oci::index::{Listed, PluginIndex};
use flowctl_types::Digest;

/// The annotations of a plugin, written `name: input|input -> output version`; without inputs
/// it is a source, without outputs a sink. Types are written without `test.` and `.v1`.
pub(crate) fn notes(text: &str) -> BTreeMap<String, String> {
    let (name, rest) = text.split_once(": ").unwrap();
    let (way, version) = rest.rsplit_once(' ').unwrap();
    let (inputs, outputs) = way.split_once("->").unwrap();
    let types = |side: &str| {
        let types = side.trim().split('|').filter(|name| !name.is_empty());
        types.map(|name| format!("test.{name}.v1")).collect::<Vec<_>>().join(",")
    };
    let (inputs, outputs) = (types(inputs), types(outputs));
    let role = match (inputs.is_empty(), outputs.is_empty()) {
        (true, _) => "source",
        (_, true) => "sink",
        _ => "processor",
    };
    let all = [
        (annotations::NAME, name),
        (annotations::ROLE, role),
        (annotations::INPUT, &inputs),
        (annotations::OUTPUT, &outputs),
        (annotations::ABI, "0.1.0"),
        (annotations::VERSION, version),
    ];
    all.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

/// An entry at `r.example/acme/NAME:VERSION`.
pub(crate) fn listed(text: &str) -> Listed {
    let notes = notes(text);
    let reference = format!("r.example/acme/{}:{}", notes[annotations::NAME], notes[annotations::VERSION]);
    Listed::new(&reference.parse().unwrap(), Digest::of(text.as_bytes()), notes).unwrap()
}

pub(crate) fn index(entries: &[&str]) -> PluginIndex {
    let mut index = PluginIndex::default();
    for entry in entries {
        index.insert(listed(entry));
    }
    index
}

/// What stands behind `acme/` in references.
pub(crate) fn names(found: &[&Listed]) -> Vec<String> {
    found.iter().map(|listed| listed.reference().to_string().rsplit('/').next().unwrap().to_owned()).collect()
}
