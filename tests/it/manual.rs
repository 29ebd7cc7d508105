//! The manual's pages, held against a program that reads manuals.

use std::collections::BTreeMap;
use std::process::Command;

use libtest_mimic::Trial;

use crate::fact;
use crate::flowctl::{Answer, Flowctl};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("manual::every_command_has_a_page_that_mandoc_has_nothing_against", pages),
        fact("manual::the_same_program_writes_the_same_pages", same),
        fact("manual::without_a_folder_the_first_page_is_printed", printed),
    ]
}

/// The pages in a folder, by their names.
fn read(flowctl: &Flowctl, folder: &str) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(flowctl.path(folder)).unwrap().map(Result::unwrap);
    files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read_to_string(file.path()).unwrap())).collect()
}

fn pages() {
    let flowctl = Flowctl::new();
    let said = flowctl.run("man --out share/man1").success().stderr;
    let pages = read(&flowctl, "share/man1");
    assert_eq!(said, format!("Wrote {} pages to `share/man1`\n", pages.len()));
    for name in ["flowctl.1", "flowctl-run.1", "flowctl-topology.1", "flowctl-topology-add.1", "flowctl-man.1"] {
        assert!(pages.contains_key(name), "no {name}");
    }
    for (name, page) in &pages {
        let path = flowctl.path("share/man1").join(name);
        let lint = Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&path).output().unwrap();
        // a page has no date: the same program writes the same pages; and breaks that say nothing more do no harm
        let said = String::from_utf8(lint.stdout).unwrap();
        let is_known = |line: &&str| line.contains("missing date") || line.contains("skipping paragraph macro");
        let said: Vec<&str> = said.lines().filter(|line| !is_known(line)).collect();
        assert!(said.is_empty(), "{name}: {said:#?}");
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"] {
            let headings = [format!(".SH {section}\n"), format!(".SH \"{section}\"\n")];
            assert!(headings.iter().any(|heading| page.contains(heading)), "{name}: no {section}");
        }
    }
    let add = &pages["flowctl-topology-add.1"];
    assert!(add.contains("flowctl topology add volume\\-aggregator \\-\\-after ttp\\-processor"), "{add}");
    assert!(pages["flowctl.1"].contains("FLOWCTL_PLUGINS"));
}

fn same() {
    let flowctl = Flowctl::new();
    flowctl.run("man --out a").success();
    let mut again = flowctl.command("man --out b");
    again.env("FLOWCTL_PLUGINS", "/somewhere").env("FLOWCTL_ENDPOINT", "elsewhere:1").env("COLUMNS", "40");
    Answer::of(again.output().unwrap()).success();
    assert_eq!(read(&flowctl, "a"), read(&flowctl, "b"));
    // what is there is written anew
    flowctl.run("man --out a").success();
    assert_eq!(read(&flowctl, "a"), read(&flowctl, "b"));
    flowctl.write("file", "");
    flowctl.run("man --out file").failure(&["cannot make `file`"]);
}

fn printed() {
    let flowctl = Flowctl::new();
    flowctl.run("man --out pages").success();
    assert_eq!(flowctl.run("man").success().stdout.trim_end(), flowctl.read("pages/flowctl.1").trim_end());
}
