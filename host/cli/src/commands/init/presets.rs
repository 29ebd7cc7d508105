//! Pipelines that are ready made: answers, given in advance.
//!
//! Invariant: no two have a pipeline of one name, under which its checkpoints are kept.

use std::path::Path;

use flowctl_types::NodeId;
use serde::Serialize;

use super::place;
use super::said::{Said, Setting};

/// One of them.
pub(crate) struct Preset {
    /// What it is called by `--preset`, and its pipeline where no file says otherwise.
    pub(crate) name: &'static str,
    /// What it does, in one sentence.
    pub(crate) summary: &'static str,
    /// What it needs beside this machine; empty where it needs nothing.
    pub(super) needs: &'static str,
    types: Option<&'static str>,
    from: (&'static str, &'static str),
    via: &'static [&'static str],
    to: &'static str,
    settings: &'static [(&'static str, &'static str, &'static str)],
    /// Files that it brings along: their names and texts.
    files: &'static [(&'static str, &'static str)],
}

/// What a list says of one.
#[derive(Serialize)]
pub(super) struct Row {
    name: &'static str,
    summary: &'static str,
    needs: &'static str,
}

const LEDGERS: (&str, &str) = ("stellar.ledger.v1", "stellar-ledgers");
const TTP: &[&str] = &["ttp-processor"];
const GENERATED: [(&str, &str, &str); 3] = [
    ("stellar-ledgers", "generate.ledgers", "100"),
    ("stellar-ledgers", "network", "testnet"),
    ("ttp-processor", "network", "testnet"),
];
const DATABASE: (&str, &str, &str) = ("postgres", "url", "${DATABASE_URL}");
const A_DATABASE: &str = "a PostgreSQL database";

/// All of them, in the order of lists.
pub(crate) static PRESETS: [Preset; 5] = [
    Preset {
        name: "transfers-stdout",
        summary: "token transfers of generated Stellar ledgers, printed",
        needs: "",
        types: None,
        from: LEDGERS,
        via: TTP,
        to: "stdout",
        settings: &GENERATED,
        files: &[],
    },
    Preset {
        name: "transfers-sqlite",
        summary: "token transfers of generated Stellar ledgers, as rows of an SQLite file",
        needs: "",
        types: None,
        from: LEDGERS,
        via: TTP,
        to: "sqlite",
        settings: &[GENERATED[0], GENERATED[1], GENERATED[2], ("sqlite", "path", "transfers.db")],
        files: &[],
    },
    Preset {
        name: "transfers-postgres",
        summary: "token transfers of generated Stellar ledgers, as rows of PostgreSQL",
        needs: A_DATABASE,
        types: None,
        from: LEDGERS,
        via: TTP,
        to: "postgres",
        settings: &[GENERATED[0], GENERATED[1], GENERATED[2], DATABASE],
        files: &[],
    },
    Preset {
        name: "testnet-postgres",
        summary: "token transfers of the Stellar test network as they happen, as rows of PostgreSQL",
        needs: "a PostgreSQL database, the internet",
        types: None,
        from: (LEDGERS.0, "stellar-rpc"),
        via: TTP,
        to: "postgres",
        settings: &[
            ("stellar-rpc", "url", "https://soroban-testnet.stellar.org"),
            ("stellar-rpc", "network", "testnet"),
            ("stellar-rpc", "start", "latest"),
            ("ttp-processor", "network", "testnet"),
            DATABASE,
        ],
        files: &[],
    },
    Preset {
        name: "orders-json",
        summary: "orders, an event type of its own, from a file of JSON lines, printed",
        needs: "",
        types: Some("orders.wit"),
        from: ("shop.order.v1", "file"),
        via: &[],
        to: "stdout",
        settings: &[("file", "path", "orders.jsonl")],
        files: &[
            ("orders.wit", include_str!("presets/orders.wit")),
            ("orders.jsonl", include_str!("presets/orders.jsonl")),
        ],
    },
];

impl Preset {
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// The answers, where the pipeline goes to `file`: it is called after that, and has the
    /// files that it brings along beside it.
    pub(super) fn said(&self, file: Option<&Path>) -> Said {
        let own_name = || self.name.parse::<NodeId>().expect("names of presets are checked by tests");
        let setting = |(node, path, value): &(&str, &str, &str)| Setting {
            node: (*node).to_owned(),
            path: (*path).to_owned(),
            value: (*value).to_owned(),
        };
        let said = Said {
            name: Some(file.and_then(place::name).unwrap_or_else(own_name)),
            types: self.types.iter().map(|name| (*name).to_owned()).collect(),
            from: Some(self.from.0.parse().expect("types of presets are checked by tests")),
            source: Some(self.from.1.to_owned()),
            to: Some(self.to.to_owned()),
            via: Some(self.via.iter().map(|name| (*name).to_owned()).collect()),
            settings: self.settings.iter().map(setting).collect(),
            files: self.files.to_vec(),
        };
        said.in_folder(file.map_or(Path::new(""), place::folder))
    }

    pub(super) const fn row(&self) -> Row {
        Row { name: self.name, summary: self.summary, needs: self.needs }
    }
}

impl Row {
    /// The cells of a table.
    pub(super) fn cells(&self) -> Vec<String> {
        let needs = if self.needs.is_empty() { "nothing" } else { self.needs };
        vec![self.name.to_owned(), needs.to_owned(), self.summary.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_says_what_there_is_to_say() {
        for preset in &PRESETS {
            let said = preset.said(None);
            assert!(said.from.is_some() && said.via.is_some(), "{}", preset.name);
            assert_eq!(said.name.unwrap().as_str(), preset.name);
            assert!(said.types.iter().all(|types| preset.files.iter().any(|(name, _)| name == types)));
            assert_eq!(Preset::find(preset.name).unwrap().summary, preset.summary, "each has a name of its own");
        }
    }

    #[test]
    fn a_file_names_the_pipeline_and_the_folder_of_what_comes_along() {
        for (file, name, path) in [
            (None, "orders-json", "orders.jsonl"),
            (Some("My Shop.yaml"), "my-shop", "orders.jsonl"),
            (Some("sub/shop.yaml"), "shop", "sub/orders.jsonl"),
            // what has neither letter nor digit is no name
            (Some("sub/_.yaml"), "orders-json", "sub/orders.jsonl"),
        ] {
            let said = Preset::find("orders-json").unwrap().said(file.map(Path::new));
            assert_eq!((said.name.unwrap().as_str(), &*said.settings[0].value), (name, path), "{file:?}");
        }
    }
}
