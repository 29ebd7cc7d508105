//! `init` on a terminal: questions, steps back, and ways out.

use std::process::Command;

use libtest_mimic::Trial;

use super::is_expected;
use crate::fact;
use crate::flowctl::{Flowctl, plugins};
use crate::terminal::Terminal;

/// What leaves the file, its name and whether it is written to be asked for.
const ORDERS: &str = "init --from example.order.v1 --source generate --to stdout --set generate.count=2";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("init::questions_lead_to_a_pipeline_that_runs", whole),
        fact("init::a_preset_is_chosen_and_shown_before_it_is_written", preset),
        fact("init::an_event_type_of_ones_own_is_read_from_its_file", own_type),
        fact("init::ctrl_c_leaves_nothing_behind", leaving),
        fact("init::a_file_that_is_there_is_asked_about", replacing),
        fact("init::whoever_was_asked_for_the_file_can_name_another", another),
        fact("init::a_password_is_refused_where_it_is_typed", password),
        fact("init::without_colour_there_is_none", colours),
        fact("init::a_terminal_that_only_prints_lines_is_asked_by_lines", lines),
    ]
}

fn command(flowctl: &Flowctl, arguments: &str) -> Command {
    let mut command = flowctl.command(arguments);
    command.env("FLOWCTL_PLUGINS", plugins());
    command
}

/// Without plugins there is one chain of orders, which is not asked about.
fn orders(flowctl: &Flowctl, more: &str) -> Command {
    flowctl.command(&format!("{ORDERS} {more}"))
}

/// Answers what is asked.
#[track_caller]
fn answer(terminal: &Terminal<'_>, question: &str, text: &str) {
    terminal.asks(question);
    terminal.types(text);
    if !text.is_empty() {
        // an answer is taken as it is shown
        terminal.shows(&[text]);
    }
    terminal.press("Enter");
}

fn whole() {
    let flowctl = Flowctl::new();
    let terminal = Terminal::sized(&flowctl, (200, 50), "$TERM");
    terminal.start(&command(&flowctl, "init"));
    answer(&terminal, "What is to be made?", "");
    answer(&terminal, "Which events go in?", "");
    // one step back, and another answer
    terminal.asks("Which source do they come from?");
    terminal.press("Escape");
    answer(&terminal, "Which events go in?", "stellar.ledger");
    terminal.asks("Which source do they come from?");
    terminal.press("Down");
    terminal.shows(&["▸ stellar-rpc"]);
    terminal.press("Up");
    terminal.shows(&["▸ stellar-ledgers"]);
    terminal.press("Enter");
    answer(&terminal, "Where do they go?", "sqlite");
    terminal.asks("What do they pass through?");
    terminal.shows(&["▸ ttp-processor", "ttp-processor → volume-aggregator", "stellar.volume.v1 arrives"]);
    terminal.press("Enter");
    answer(&terminal, "`network` of `stellar-ledgers`?", "testnet");
    terminal.asks("What is set for `stellar-ledgers`?");
    terminal.shows(&["`path` is missing", "▸ path"]);
    terminal.press("Down");
    terminal.shows(&["▸ generate"]);
    terminal.press("Enter");
    // what another node has is offered
    terminal.asks("`network` of `ttp-processor`? (testnet)");
    terminal.press("Enter");
    answer(&terminal, "`path` of `sqlite`?", "");
    terminal.shows(&["this has to be said"]);
    terminal.types("rows.db");
    terminal.shows(&["rows.db"]);
    terminal.press("Enter");
    terminal.asks("What is the pipeline called? (ledger-to-sqlite)");
    terminal.press("Escape");
    terminal.asks("`path` of `sqlite`? (rows.db)");
    terminal.press("Enter");
    answer(&terminal, "What is the pipeline called?", "mine");
    terminal.asks("Which file is it written to? (mine.yaml)");
    terminal.press("Enter");
    terminal.asks("Write it?");
    terminal.shows(&["  name: mine", "      path: rows.db"]);
    assert!(!flowctl.path("mine.yaml").exists(), "it is written when that was said");
    terminal.press("Enter");
    terminal.shows(&["Next:", "flowctl run mine.yaml"]);
    terminal.has_ended();
    is_expected("mine.yaml", &flowctl.read("mine.yaml"));
    flowctl.run_with_plugins("validate mine.yaml").success();
    flowctl.run_with_plugins("run mine.yaml").success();
    assert!(flowctl.path("rows.db").exists());
}

fn preset() {
    let flowctl = Flowctl::new();
    let terminal = Terminal::sized(&flowctl, (80, 50), "$TERM");
    terminal.start(&command(&flowctl, "init"));
    answer(&terminal, "What is to be made?", "orders-json");
    terminal.asks("Write it?");
    terminal.shows(&["── orders-json.yaml ──", "type: shop.order.v1"]);
    terminal.press("Down");
    terminal.shows(&["▸ no, go back"]);
    terminal.press("Enter");
    answer(&terminal, "What is to be made?", "orders-json");
    terminal.asks("Write it?");
    terminal.press("Enter");
    terminal.shows(&["flowctl run orders-json.yaml"]);
    terminal.has_ended();
    assert_eq!(flowctl.run("run orders-json.yaml").success().stdout.lines().count(), 3);
}

fn own_type() {
    let flowctl = Flowctl::new();
    flowctl.write("refund.wit", "package shop:refund@1.0.0; interface event { record refund { id: string } }");
    let terminal = Terminal::new(&flowctl);
    terminal.start(&flowctl.command("init refunds.yaml --source stdin --to stdout"));
    answer(&terminal, "Which events go in?", "a type of your own");
    answer(&terminal, "Which file says what an event is?", "nowhere.wit");
    terminal.shows(&["✗ cannot read `nowhere.wit`"]);
    for _ in 0.."nowhere.wit".len() {
        terminal.press("BSpace");
    }
    answer(&terminal, "Which file says what an event is?", "refund.wit");
    terminal.asks("What is the pipeline called? (refunds)");
    terminal.press("Enter");
    answer(&terminal, "Write it?", "");
    terminal.has_ended();
    let run = flowctl.run_with_input("run refunds.yaml", "{\"id\": \"r-1\"}\n").success();
    assert_eq!(run.stdout, "{\"id\":\"r-1\"}\n");
}

fn leaving() {
    let flowctl = Flowctl::new();
    let terminal = Terminal::new(&flowctl);
    let left = |terminal: &Terminal<'_>| {
        terminal.press("C-c");
        terminal.shows(&["Nothing was written", "code: 1"]);
        let is_yaml = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            name.contains("yaml") || name.contains("orders")
        };
        assert!(!std::fs::read_dir(flowctl.path("")).unwrap().any(is_yaml));
        terminal.clear();
    };
    let questions =
        ["What is to be made?", "Which events go in?", "Which source do they come from?", "Where do they go?"];
    for answers in [&[][..], &[""], &["", "", ""]] {
        terminal.start_and(&command(&flowctl, "init"), "; echo \"code: $?\"");
        answers.iter().zip(questions).for_each(|(text, question)| answer(&terminal, question, text));
        // between two questions the key would be a signal
        terminal.asks(questions[answers.len()]);
        left(&terminal);
    }
    terminal.start_and(&orders(&flowctl, ""), "; echo \"code: $?\"");
    answer(&terminal, "What is the pipeline called?", "");
    answer(&terminal, "Which file is it written to?", "");
    terminal.asks("Write it?");
    left(&terminal);
}

fn replacing() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.yaml", "mine");
    let terminal = Terminal::new(&flowctl);
    let ask = || {
        terminal.start(&orders(&flowctl, "--name orders orders.yaml"));
        terminal.asks("`orders.yaml` is there already. Replace it?");
        terminal.shows(&["▸ no, leave it"]);
    };
    ask();
    terminal.press("Enter");
    terminal.shows(&["Nothing was written"]);
    terminal.has_ended();
    assert_eq!(flowctl.read("orders.yaml"), "mine");
    terminal.clear();
    ask();
    terminal.press("Down");
    terminal.shows(&["▸ yes, replace it"]);
    terminal.press("Enter");
    terminal.shows(&["flowctl run orders.yaml"]);
    terminal.has_ended();
    assert_eq!(flowctl.run("run orders.yaml").success().stdout.lines().count(), 2);
}

fn another() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.yaml", "mine");
    let terminal = Terminal::new(&flowctl);
    terminal.start(&orders(&flowctl, ""));
    answer(&terminal, "What is the pipeline called?", "orders");
    answer(&terminal, "Which file is it written to? (orders.yaml)", "");
    answer(&terminal, "Write it?", "");
    terminal.asks("`orders.yaml` is there already. Replace it?");
    terminal.shows(&["▸ no, name another file"]);
    terminal.press("Enter");
    answer(&terminal, "Which file is it written to? (orders.yaml)", "others.yaml");
    answer(&terminal, "Write it?", "");
    terminal.shows(&["flowctl run others.yaml"]);
    terminal.has_ended();
    assert_eq!(flowctl.read("orders.yaml"), "mine");
    assert!(flowctl.read("others.yaml").contains("  name: orders\n"));
}

fn password() {
    let flowctl = Flowctl::new();
    let terminal = Terminal::new(&flowctl);
    let orders = ORDERS.replace("stdout", "postgres");
    terminal.start(&flowctl.command(&format!("{orders} --name orders orders.yaml")));
    terminal.asks("`url` of `postgres`? (${DATABASE_URL})");
    terminal.types("postgres://flow:hunter2@db/flow");
    terminal.press("Enter");
    terminal.shows(&["✗ `url` holds a secret", "write `${NAME}`"]);
    for _ in 0.."postgres://flow:hunter2@db/flow".len() {
        terminal.press("BSpace");
    }
    terminal.asks("`url` of `postgres`? (${DATABASE_URL})");
    terminal.press("Enter");
    terminal.asks("Write it?");
    terminal.press("Enter");
    terminal.shows(&["export DATABASE_URL='postgres://", "flowctl run orders.yaml"]);
    terminal.has_ended();
    assert!(!flowctl.read("orders.yaml").contains("hunter2"));
}

fn colours() {
    for (variable, is_coloured) in [(None, true), (Some(""), true), (Some("1"), false)] {
        let flowctl = Flowctl::new();
        let terminal = Terminal::new(&flowctl);
        let mut init = command(&flowctl, "init");
        if let Some(value) = variable {
            init.env("NO_COLOR", value);
        }
        terminal.start(&init);
        let plain = terminal.asks("What is to be made?");
        assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
        terminal.shows(&["▸ a pipeline of your own", "orders-json", "↑↓ choose", "ctrl-c leaves"]);
        let screen = terminal.tmux(&["capture-pane", "-p", "-e"]);
        let has_colour = screen.split("\u{1b}[").skip(1).any(|code| code.starts_with(['3', '9', '4', '1']));
        assert_eq!(has_colour, is_coloured, "NO_COLOR={variable:?}: {screen:?}");
        terminal.press("C-c");
    }
}

fn lines() {
    let flowctl = Flowctl::new();
    let terminal = Terminal::sized(&flowctl, (80, 50), "dumb");
    let mut init = orders(&flowctl, "");
    init.env("TERM", "dumb");
    terminal.start(&init);
    terminal.shows(&["What is the pipeline called?", "Type it, nothing for `order-to-stdout`, or `back`:"]);
    let type_line = |text: &str| {
        terminal.types(text);
        terminal.press("Enter");
    };
    type_line("Not A Name");
    terminal.shows(&["`Not A Name` is not a name"]);
    type_line("lines");
    terminal.shows(&["Which file is it written to?", "nothing for `lines.yaml`"]);
    type_line("back");
    terminal.shows(&["Type it, nothing for `lines`, or `back`:"]);
    type_line("");
    type_line("");
    terminal.shows(&["Write it?", "   1  yes", "Type a number, nothing for 1, or `back`:"]);
    type_line("3");
    terminal.shows(&["`3` is no number from 1 to 2:"]);
    type_line("1");
    terminal.shows(&["flowctl run lines.yaml"]);
    terminal.has_ended();
    flowctl.run("validate lines.yaml").success();
}
