//! Several chains are equally short: `run` asks on a terminal, and nowhere else.

use std::process::Command;

use flowctl_test_support::screens;
use libtest_mimic::Trial;

use super::two_ways;
use crate::control_plane::server::Server;
use crate::fact;
use crate::flowctl::{Answer, Flowctl};
use crate::terminal::Terminal;

const PIPELINE: &str = "\
apiVersion: flowctl/v2
kind: Topology
metadata: {name: transfers}
spec:
  from: stellar.ledger.v1   # a few

  # into a file
  to: sqlite
  config:
    stellar-ledgers: {generate: {ledgers: 5}, network: testnet}
    ttp-transfers: {network: testnet}
    sqlite: {path: rows.db}
";

/// What is said where nobody is asked.
const LIST: [&str; 4] = [
    "2 chains from `stellar.ledger.v1` to `sqlite` are equally short:",
    "\n  stellar-ledgers → ttp-processor → sqlite",
    "\n  stellar-ledgers → ttp-transfers → sqlite",
    "hint: choose one with `via: [ttp-processor]`",
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("init::a_chain_is_chosen_and_written_into_the_file", written),
        fact("init::a_chain_is_chosen_for_one_run", once),
        fact("init::a_chain_is_chosen_for_a_control_plane", submitted),
        fact("init::nobody_is_asked_in_a_pipe_or_quietly", unasked),
        fact("init::whoever_leaves_the_choice_sees_the_list", left),
        fact("init::the_guide_shows_what_is_asked", pictured),
    ]
}

fn pipeline() -> Flowctl {
    let flowctl = Flowctl::new();
    two_ways(&flowctl);
    flowctl.write("p.yaml", PIPELINE);
    flowctl
}

fn run(flowctl: &Flowctl, arguments: &str) -> Command {
    let mut command = flowctl.command(arguments);
    command.env("FLOWCTL_PLUGINS", flowctl.path("plugins"));
    command
}

/// Chooses the second chain.
fn choose(terminal: &Terminal<'_>) {
    terminal.asks("Which chain is meant?");
    terminal.shows(&["▸ stellar-ledgers → ttp-processor → sqlite"]);
    terminal.press("Down");
    terminal.shows(&["▸ stellar-ledgers → ttp-transfers → sqlite"]);
    terminal.press("Enter");
    terminal.asks("Is it to stay?");
    terminal.shows(&["▸ write `via: [ttp-transfers]` into p.yaml", "take it for this run only"]);
}

/// The pipeline with the second chain.
fn chosen() -> String {
    PIPELINE.replace("  # into a file\n", "  via: [ttp-transfers]\n  # into a file\n")
}

fn n_rows(flowctl: &Flowctl) -> i64 {
    let database = rusqlite::Connection::open(flowctl.path("rows.db")).unwrap();
    database.query_row("SELECT count(*) FROM stellar_token_transfer_v1", [], |row| row.get(0)).unwrap()
}

fn written() {
    let flowctl = pipeline();
    let terminal = Terminal::new(&flowctl);
    terminal.start(&run(&flowctl, "run p.yaml"));
    choose(&terminal);
    // a step back leads to the chains
    terminal.press("Escape");
    terminal.asks("Which chain is meant?");
    terminal.shows(&["▸ stellar-ledgers → ttp-transfers → sqlite"]);
    terminal.press("Enter");
    terminal.asks("Is it to stay?");
    terminal.press("Enter");
    terminal.shows(&["Wrote `via` into `p.yaml`", "Discovered chain: stellar-ledgers → ttp-transfers → sqlite"]);
    terminal.has_ended();
    assert_eq!(flowctl.read("p.yaml"), chosen());
    assert!(n_rows(&flowctl) > 0);
    Answer::of(run(&flowctl, "run p.yaml").output().unwrap()).success();
}

fn once() {
    let flowctl = pipeline();
    let terminal = Terminal::new(&flowctl);
    terminal.start(&run(&flowctl, "run p.yaml"));
    choose(&terminal);
    terminal.press("Down");
    terminal.shows(&["▸ take it for this run only"]);
    terminal.press("Enter");
    terminal.shows(&["Discovered chain: stellar-ledgers → ttp-transfers → sqlite"]);
    terminal.has_ended();
    assert_eq!(flowctl.read("p.yaml"), PIPELINE);
    assert!(n_rows(&flowctl) > 0);
}

fn submitted() {
    let flowctl = pipeline();
    let server = Server::new(&flowctl, "--plugins plugins").and_start();
    server.run("run p.yaml").failure(&LIST);
    let terminal = Terminal::new(&flowctl);
    terminal.start(&server.command_at("run p.yaml"));
    choose(&terminal);
    terminal.press("Down");
    terminal.shows(&["▸ take it for this run only"]);
    terminal.press("Enter");
    terminal.shows(&["Discovered chain: stellar-ledgers → ttp-transfers → sqlite", "Completed `transfers`"]);
    terminal.has_ended();
    assert_eq!(flowctl.read("p.yaml"), PIPELINE);
    terminal.clear();
    terminal.start(&server.command_at("run p.yaml --fresh"));
    choose(&terminal);
    terminal.press("Enter");
    terminal.shows(&["Wrote `via` into `p.yaml`", "Completed `transfers`"]);
    terminal.has_ended();
    assert_eq!(flowctl.read("p.yaml"), chosen());
}

fn unasked() {
    let flowctl = pipeline();
    Answer::of(run(&flowctl, "run p.yaml").output().unwrap()).failure(&LIST);
    let terminal = Terminal::sized(&flowctl, (120, 30), "$TERM");
    for (arguments, behind) in
        [("run p.yaml", " 2>&1 | cat"), ("run p.yaml", " </dev/null"), ("run p.yaml --quiet", "")]
    {
        terminal.start_and(&run(&flowctl, arguments), behind);
        let screen = terminal.shows(&["2 chains from", "hint: choose one", "p.yaml:8:7"]);
        assert!(!screen.contains("Which chain"), "{screen}");
        terminal.has_ended();
        terminal.clear();
    }
    assert_eq!(flowctl.read("p.yaml"), PIPELINE);
}

fn left() {
    let flowctl = pipeline();
    let terminal = Terminal::sized(&flowctl, (120, 30), "$TERM");
    terminal.start_and(&run(&flowctl, "run p.yaml"), "; echo \"code: $?\"");
    terminal.asks("Which chain is meant?");
    terminal.press("C-c");
    terminal.shows(&["2 chains from", "hint: choose one", "code: 1"]);
    assert_eq!(flowctl.read("p.yaml"), PIPELINE);
}

fn pictured() {
    let [start, chains, stay] = screens("init").try_into().expect("the guide has three pictures of questions");
    let whole = |terminal: &Terminal<'_>, question| terminal.shows(&[question, "ctrl-c leaves]"]);
    let flowctl = Flowctl::new();
    two_ways(&flowctl);
    flowctl.write("transfers.yaml", PIPELINE);
    let terminal = Terminal::sized(&flowctl, (100, 30), "$TERM");
    terminal.start(&run(&flowctl, "init"));
    start.is_in(&whole(&terminal, "What is to be made?"));
    terminal.press("C-c");
    terminal.has_ended();
    terminal.clear();
    terminal.start(&run(&flowctl, "run transfers.yaml"));
    chains.is_in(&whole(&terminal, "Which chain is meant?"));
    terminal.press("Enter");
    stay.is_in(&whole(&terminal, "Is it to stay?"));
}
