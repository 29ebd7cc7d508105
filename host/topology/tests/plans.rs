//! Pipeline files and what they become: `plans/NAME.yaml` beside `NAME.txt`, which is
//! the topology as text, or every fault. Lines that start with `#|` are the registry,
//! those that start with `#NAME.wit|` are that file, which `types` may name.
//! Files named `draw-*` have a drawing in each form beside them. `BLESS=1` rewrites
//! what is expected.
#![allow(clippy::unwrap_used)]

#[path = "../../registry/tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flowctl_intent::{Document, Faults, Interpolated, parse};
use flowctl_registry::{DeclarationError, Declarations, Registry};
use flowctl_schema::{WitFile, WitPackage};
use flowctl_topology::{Topology, plan, render};

fn environment(name: &str) -> Option<String> {
    (name == "SECRET").then(|| "hunter2".to_owned())
}

fn planned(file: &Path) -> Result<Topology, Faults> {
    let text = fs::read_to_string(file).unwrap();
    let entries: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#|")).collect();
    let name = file.file_name().unwrap().to_str().unwrap();
    let document = parse(name, &text, &environment)?;
    let declarations = declarations(&document, &text);
    let entries = common::entries(&entries.join("\n"));
    let registry = Registry::build_with(entries, [common::schema("known")], declarations);
    plan(&document, &registry, &environment)
}

/// What the files below `types` declare, as if the text's lines were a disk.
fn declarations(document: &Document, text: &str) -> Declarations {
    let mut disk: BTreeMap<&str, String> = BTreeMap::new();
    for (name, line) in text.lines().filter_map(|line| line.strip_prefix('#')?.split_once(".wit|")) {
        disk.entry(name).or_default().extend([line, "\n"]);
    }
    let read = |path: &Interpolated<String>| {
        let written = path.written();
        let folder = path.value().trim_start_matches("./").trim_end_matches(".wit");
        let below = |folder: &str| -> BTreeMap<String, Vec<WitFile>> {
            let mut packages: BTreeMap<String, Vec<WitFile>> = BTreeMap::new();
            for (name, text) in &disk {
                let Some(rest) = name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) else { continue };
                let file = WitFile { name: format!("{folder}/{rest}.wit"), text: text.clone() };
                packages.entry(rest.split('/').next().unwrap().to_owned()).or_default().push(file);
            }
            packages
        };
        let (files, deps) = match disk.get(folder) {
            Some(text) => (vec![WitFile { name: written.clone(), text: text.clone() }], Vec::new()),
            None => {
                let mut files = below(folder);
                files.remove("deps");
                (files.into_values().flatten().collect(), below(&format!("{folder}/deps")).into_values().collect())
            }
        };
        let package = if files.is_empty() {
            let (reason, hint) = ("it is not there".to_owned(), "look for it".to_owned());
            Err(DeclarationError::Unreadable { file: written.clone(), reason, hint })
        } else {
            Ok(WitPackage { files, deps })
        };
        (written.clone(), package)
    };
    let transfer = include_str!("../../../wit/events/stellar-token-transfer/event.wit");
    let library = [WitFile { name: "flowctl".to_owned(), text: transfer.to_owned() }];
    Declarations::read(document.intent.types().iter().map(read), &library)
}

/// Compares with the file, or rewrites it; answers what differs.
fn differs(file: &Path, found: &str) -> Option<String> {
    if std::env::var_os("BLESS").is_some() {
        fs::write(file, found).unwrap();
        return None;
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    (expected != found).then(|| format!("{} expected:\n{expected}\nfound:\n{found}", file.display()))
}

#[test]
fn every_file_becomes_what_is_written_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(files.len() > 20, "the folder holds the cases");
    let mut different = Vec::new();
    for file in &files {
        let found = planned(file);
        let text = match &found {
            Ok(topology) => format!("{}{}\n", render::text(topology), render::line(topology)),
            Err(faults) => format!("{faults}\n"),
        };
        assert!(!text.contains("hunter2"), "{} shows a secret", file.display());
        different.extend(differs(&file.with_extension("txt"), &text));
        if file.file_stem().unwrap().to_str().unwrap().starts_with("draw-") {
            let topology = found.unwrap();
            let json = serde_json::to_string_pretty(&render::json(&topology)).unwrap() + "\n";
            assert!(!json.contains("hunter2"), "{} shows a secret", file.display());
            different.extend(differs(&file.with_extension("dot"), &render::dot(&topology)));
            different.extend(differs(&file.with_extension("mmd"), &render::mermaid(&topology)));
            different.extend(differs(&file.with_extension("json"), &json));
        }
    }
    assert!(different.is_empty(), "BLESS=1 rewrites what is expected\n{}", different.join("\n"));
}

#[test]
fn what_is_left_out_comes_from_the_environment_and_is_shown_as_written() {
    let registry = common::registry("s: -> a, out[fallback: option<string>]: a ->");
    let check = |written: &str, env: &dyn Fn(&str) -> Option<String>, config: &str, shown: &str| {
        let text = format!(
            "apiVersion: flowctl/v2\nkind: Topology\nspec: {{from: test.a.v1, to: out, config: {{out: {written}}}}}"
        );
        let topology = plan(&parse("file.yaml", &text, env).unwrap(), &registry, env).unwrap();
        let node = topology.nodes.iter().find(|node| node.id.as_str() == "out").unwrap();
        assert_eq!((node.config.to_string().as_str(), node.shown_config.to_string().as_str()), (config, shown));
    };
    check("{}", &environment, r#"{"fallback":"hunter2"}"#, r#"{"fallback":"${SECRET}"}"#);
    check("{fallback: mine}", &environment, r#"{"fallback":"mine"}"#, r#"{"fallback":"mine"}"#);
    check("{}", &|_| None, "{}", "{}");
}

#[test]
fn planning_twice_gives_the_same() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/draw-fan-out.yaml");
    let (first, second) = (planned(&file).unwrap(), planned(&file).unwrap());
    assert_eq!(first.digest(), second.digest());
    assert_eq!(render::json(&first), render::json(&second));
}
