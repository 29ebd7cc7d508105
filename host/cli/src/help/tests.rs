//! Holds what help says against the parser, the names that exist, and the variables that
//! the sources read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{ArgMatches, CommandFactory as _, Parser as _};

use super::*;
use crate::args::Arguments;
use crate::catalog;

/// Names that examples give to what is their reader's own.
const OWN: [&str; 9] =
    ["transfers", "orders", "out", "dedup", "acme.alert.v1", "big-orders", "index", "layout", "ledgers/100/2"];

/// A command line of an example, in words, without what the shell makes of it.
type Words = Vec<String>;

#[test]
fn every_command_has_examples_and_takes_them() {
    each_command(|path, command| {
        let lines = examples_of(command);
        assert!((1..=4).contains(&lines.len()), "`{path}` has {} examples", lines.len());
        let mut is_own = false;
        for line in &lines {
            assert!(line.chars().count() + 2 <= MAX_WIDTH, "`{path}`: too wide: {line}");
            let parts = flowctl_parts(line);
            assert!(!parts.is_empty(), "`{line}` runs no flowctl");
            for words in parts {
                is_own |= format!("{} ", words.join(" ")).starts_with(&format!("{path} "));
                if let Err(error) = Arguments::try_parse_from(&words) {
                    panic!("the help of `{path}` has `{}`: {error}", words.join(" "));
                }
            }
        }
        assert!(is_own, "no example of `{path}` runs it");
    });
}

#[test]
fn names_in_examples_exist() {
    let known = known_names();
    let mut n_names = 0;
    each_command(|_, command| {
        for words in examples_of(command).iter().flat_map(|line| flowctl_parts(line)) {
            let matches = Arguments::command().try_get_matches_from(&words).unwrap();
            for (value_name, value) in named_values(&Arguments::command(), &matches) {
                if value_name == "KEY=VALUE" && words[..3] == ["flowctl", "topology", "configure"] {
                    let key = value.split_once('=').unwrap().0;
                    let source = std::fs::read_to_string(plugin_source(&words[3])).unwrap();
                    assert!(source.contains(&format!("pub {key}: ")), "`{}` has no `{key}`", words[3]);
                }
                let is_name = [
                    "TYPE",
                    "SINK",
                    "SOURCE",
                    "PROCESSOR",
                    "COMPONENT",
                    "NODE",
                    "PIPELINE",
                    "RUN",
                    "REF",
                    "FILE | PIPELINE",
                ];
                if !is_name.contains(&value_name.as_str()) || value.ends_with(".wasm") {
                    continue;
                }
                n_names += 1;
                let name = value.strip_suffix(".yaml").unwrap_or(&value);
                // of a reference, the last part of the repository
                let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
                let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
                let is_known = [value.as_str(), name, last].iter().any(|name| known.contains(*name));
                assert!(is_known, "{value_name} `{value}` of `{}` does not exist", words.join(" "));
            }
        }
    });
    assert!(n_names > 50, "only {n_names} names were looked at");
}

#[test]
fn everything_has_one_name() {
    each_command(|path, command| {
        assert_eq!(command.get_all_aliases().count(), 0, "`{path}` has another name");
        for arg in command.get_arguments() {
            let n_names = arg.get_all_aliases().map_or(0, |names| names.len())
                + arg.get_all_short_aliases().map_or(0, |names| names.len());
            assert_eq!(n_names, 0, "`{}` of `{path}` has another name", arg.get_id());
        }
        let unwanted = ["apply", "new", "context", "help"];
        assert!(!unwanted.contains(&command.get_name()), "there is no `{path}`");
    });
}

#[test]
fn an_option_is_written_the_same_wherever_it_is() {
    let mut written: BTreeMap<String, BTreeSet<Option<char>>> = BTreeMap::new();
    let mut meant: BTreeMap<char, BTreeSet<String>> = BTreeMap::new();
    each_command(|_, command| {
        for arg in command.get_arguments() {
            let long = arg.get_long().unwrap_or_else(|| arg.get_id().as_str());
            // `-o` is the form everywhere; where `--output` is a type, the form is `--format`
            let is_type = arg.get_value_names().is_some_and(|names| names.iter().any(|name| *name == "TYPE"));
            let name = if long == "format" { "output" } else { long };
            if !arg.is_positional() && !is_type {
                written.entry(name.to_owned()).or_default().insert(arg.get_short());
                meant.entry(arg.get_short().unwrap_or(' ')).or_default().insert(name.to_owned());
            }
        }
    });
    meant.remove(&' ');
    for (long, shorts) in written {
        assert_eq!(shorts.len(), 1, "`--{long}` is short as {shorts:?}");
    }
    for (short, longs) in meant {
        assert_eq!(longs.len(), 1, "`-{short}` stands for {longs:?}");
    }
}

#[test]
fn words_stand_in_one_column_where_there_is_room() {
    let text = examples(&[("flowctl a", "one"), ("flowctl long-line", "two"), ("flowctl b", "")]);
    assert_eq!(text, "Examples:\n  flowctl a          # one\n  flowctl long-line  # two\n  flowctl b");
}

#[test]
fn every_variable_that_is_read_is_in_the_help() {
    let listed = environment();
    assert!(listed.lines().all(|line| line.chars().count() <= MAX_WIDTH), "{listed}");
    let mut read = BTreeSet::new();
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for krate in std::fs::read_dir(host).unwrap().flatten() {
        each_source(&krate.path().join("src"), &mut |text| variables_in(text, &mut read));
    }
    // what processes of `command:` nodes are told, and what tests alone set
    let given = ["COMPONENT_ID", "SERVICE_ID", "RUN_ID", "HEARTBEAT_INTERVAL"].map(|name| format!("FLOWCTL_{name}"));
    // and what the scripts of shells set
    let of_scripts = "FLOWCTL_COMPLETE";
    read.retain(|name| !given.contains(name) && name != of_scripts && !name.starts_with("FLOWCTL_TEST_"));
    assert!(read.len() >= 12, "{read:?}");
    for name in read {
        assert!(listed.contains(&format!("  {name} ")), "`{name}` is read, and is not in the help");
    }
}

/// Every command that is shown, with its path: `flowctl topology add`.
fn each_command(mut look: impl FnMut(&str, &Command)) {
    fn walk(path: &str, command: &Command, look: &mut dyn FnMut(&str, &Command)) {
        look(path, command);
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            walk(&format!("{path} {}", inner.get_name()), inner, look);
        }
    }
    let mut command = Arguments::command();
    // with all that clap adds
    command.build();
    walk("flowctl", &command, &mut look);
}

/// Each command line of flowctl in a line for the shell.
fn flowctl_parts(line: &str) -> Vec<Words> {
    // the shell's process substitution is a command line too
    let line = line.replace("<(", "| ").replace(')', "");
    let words = shlex::split(&line).unwrap_or_else(|| panic!("no shell reads `{line}`"));
    let parts = words.split(|word| word == "|").map(|part| {
        let variables = part.iter().take_while(|word| word.split_once('=').is_some_and(|(name, _)| is_variable(name)));
        let part = &part[variables.count()..];
        part.iter().take_while(|word| *word != ">").cloned().collect::<Words>()
    });
    parts.filter(|part| part.first().is_some_and(|program| program == "flowctl")).collect()
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// What was given of the innermost command: the name of each value, and the value.
fn named_values(command: &Command, matches: &ArgMatches) -> Vec<(String, String)> {
    if let Some((name, inner)) = matches.subcommand() {
        return named_values(command.find_subcommand(name).unwrap(), inner);
    }
    let mut values = Vec::new();
    for arg in command.get_arguments() {
        let value_name = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
        let given = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
        let given = given.map(|value| value.to_string_lossy().into_owned());
        values.extend(given.map(|value| (value_name.clone().unwrap_or_default(), value)));
    }
    values
}

/// Connectors, first-party plugins, event types, and [`OWN`].
fn known_names() -> BTreeSet<String> {
    let plugins = plugins();
    let plugins = std::fs::read_dir(plugins).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let types = catalog::well_known().iter().map(|schema| schema.event_type().to_string());
    let connectors = flowctl_connectors::catalogue().into_iter().map(|entry| entry.name);
    plugins.chain(types).chain(connectors).chain(OWN.map(str::to_owned)).collect()
}

/// The folder of the first-party plugins' crates.
fn plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins")
}

fn plugin_source(name: &str) -> PathBuf {
    plugins().join(name).join("src/lib.rs")
}

/// Looks at the text of every Rust file below `folder`.
fn each_source(folder: &Path, look: &mut dyn FnMut(&str)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => each_source(&path, look),
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                look(&std::fs::read_to_string(&path).unwrap());
            }
            false => {}
        }
    }
}

/// The variables of flowctl and OpenTelemetry that a source has as texts of their own.
fn variables_in(text: &str, found: &mut BTreeSet<String>) {
    for quoted in text.split('"').skip(1) {
        let is_ours = quoted.starts_with("FLOWCTL_") || quoted.starts_with("OTEL_");
        if is_ours && is_variable(quoted) && !quoted.ends_with('_') {
            found.insert(quoted.to_owned());
        }
    }
}
