//! Help as the program prints it, and the tree of commands that it shows.

use std::path::Path;

use libtest_mimic::Trial;

use crate::fact;
use crate::flowctl::Flowctl;
use crate::terminal::Terminal;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("help::every_command_ends_in_examples", examples),
        fact("help::the_first_page_ends_in_the_environment", environment),
        fact("help::every_command_is_run_by_a_case", cases),
        fact("help::lists_print_json", lists),
        fact("help::without_colour_logs_have_none_on_a_terminal", colours),
    ]
}

/// Every command that help shows, and its help: `topology add`, and the program itself,
/// which is empty.
fn commands() -> Vec<(String, String)> {
    fn walk(flowctl: &Flowctl, path: &str, found: &mut Vec<(String, String)>) {
        let help = flowctl.run(&format!("{path} --help")).success();
        assert_eq!(help.stderr, "", "of `{path}`");
        let below = help.stdout.split_once("\nCommands:\n").map(|(_, after)| after.to_owned()).unwrap_or_default();
        found.push((path.to_owned(), help.stdout));
        for line in below.lines().take_while(|line| line.starts_with("  ")) {
            // what is deeper goes on with words of the command before
            let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) else { continue };
            let name = name.split_whitespace().next().unwrap();
            walk(flowctl, format!("{path} {name}").trim(), found);
        }
    }
    let mut found = Vec::new();
    walk(&Flowctl::new(), "", &mut found);
    assert!(found.len() > 50, "{found:?}");
    found
}

/// Those that have no commands below them.
fn leaves() -> Vec<String> {
    let all = commands();
    all.into_iter().filter(|(_, help)| !help.contains("\nCommands:\n")).map(|(path, _)| path).collect()
}

fn examples() {
    for (path, help) in commands() {
        let (_, after) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("no examples of `{path}`: {help}"));
        let mut lines = after.trim_end().lines();
        assert!(lines.clone().any(|line| line.contains(&format!("flowctl {path}"))), "of `{path}`: {after}");
        let is_last = path.is_empty() || lines.all(|line| line.starts_with("  "));
        assert!(is_last, "something follows the examples of `{path}`: {after}");
        let short = Flowctl::new().run(&format!("{path} -h")).success().stdout;
        assert!(short.contains("\nExamples:\n"), "{short}");
    }
}

fn environment() {
    let (_, help) = commands().swap_remove(0);
    let (_, after) = help.split_once("\nEnvironment:\n").unwrap();
    for variable in ["FLOWCTL_PLUGINS", "FLOWCTL_ENDPOINT", "FLOWCTL_TOKEN", "XDG_STATE_HOME", "DATABASE_URL"] {
        assert!(after.contains(&format!("  {variable} ")), "no {variable} in {after}");
    }
    assert!(help.trim_end().ends_with("Exit status: 0 done, 1 failed, 2 wrong usage"), "{help}");
}

/// A command that no case runs, by the texts of their sources, has no test.
fn cases() {
    fn read(folder: &Path, texts: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => read(&path, texts),
                path => texts.push(std::fs::read_to_string(path).unwrap()),
            }
        }
    }
    let mut texts = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/it"), &mut texts);
    for path in leaves() {
        // it is what something is called with, and not a word in a list
        let begins = [format!("(\"{path} "), format!("(\"{path}\""), format!("\"{path} {{")];
        let is_run = texts.iter().any(|text| begins.iter().any(|begin| text.contains(begin)));
        assert!(is_run, "no case in tests/it runs `flowctl {path}`");
    }
}

fn lists() {
    let all = commands();
    for name in ["list", "active", "runs", "history", "find", "search", "suggest"] {
        let of_name = all.iter().filter(|(path, _)| path.split(' ').next_back() == Some(name));
        let n_lists = of_name
            .inspect(|(path, help)| {
                let form = help.lines().find(|line| line.trim_start().starts_with("-o, --"));
                let (_, forms) = help.split_once(form.unwrap_or_else(|| panic!("no form of `{path}`"))).unwrap();
                let forms = forms.split("\n\n").take(4).collect::<String>();
                let has = |word: &str| forms.contains(&format!("- {word}:")) || forms.contains(&format!("{word},"));
                assert!(has("json") && has("table"), "`{path}`: {forms}");
            })
            .count();
        assert!(n_lists > 0, "no `{name}` in help");
    }
}

fn colours() {
    for (refusal, is_coloured) in [(None, true), (Some(""), true), (Some("1"), false)] {
        let flowctl = Flowctl::new();
        let mut command = flowctl.command("init --list-presets");
        // what cannot be used is logged before the command begins
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1").env("FLOWCTL_TRACE_EVERY", "often");
        command.envs(refusal.map(|value| ("NO_COLOR", value)));
        let terminal = Terminal::sized(&flowctl, (200, 24), "$TERM");
        terminal.start(&command);
        terminal.shows(&["no traces are exported"]);
        let screen = terminal.tmux(&["capture-pane", "-p", "-e"]);
        assert_eq!(screen.contains("\u{1b}["), is_coloured, "NO_COLOR={refusal:?}: {screen:?}");
    }
}
