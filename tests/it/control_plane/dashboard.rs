//! `flowctl dashboard` on a terminal: one that `tmux` emulates.

use flowctl_test_support::Certificates;
use libtest_mimic::Trial;

use super::policies::{everything_at, token};
use super::server::{Server, signal, until};
use super::tenants::secured;
use super::watches::endless;
use crate::fact;
use crate::flowctl::{Answer, Flowctl, guests, plugins};
use crate::terminal::Terminal;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("dashboard::an_operator_watches_changes_and_stops_a_pipeline", operate),
        fact("dashboard::a_viewer_looks_from_afar_and_changes_nothing", afar),
        fact("dashboard::keys_are_heard_while_the_control_plane_hangs", hanging),
        fact("dashboard::whatever_ends_it_gives_the_terminal_back", ended),
        fact("dashboard::without_a_terminal_it_says_so", no_terminal),
    ]
}

/// `flowctl serve`, and a pipeline of bytes that runs.
fn server(flowctl: &Flowctl) -> Server<'_> {
    flowctl.write("policy.yaml", everything_at(1_000_000));
    let server = Server::new(flowctl, "--policy policy.yaml");
    let server = server.env("FLOWCTL_PLUGINS", &plugins().display().to_string()).and_start();
    flowctl.write(
        "bytes.yaml",
        format!(
            "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: bytes}}
spec:
  checkpoint: {{interval: 100ms}}
  sources: [{{id: numbers, type: generate, config: {{type: test.bytes.v1, rate: 1000}}}}]
  processors: [{{id: guest, plugin: '{}', inputs: [numbers]}}]
  sinks: [{{id: out, type: blackhole, inputs: [guest]}}]
",
            guests().join("identity.wasm").display()
        ),
    );
    server.run("run bytes.yaml --detach").success();
    server
}

fn operate() {
    let flowctl = Flowctl::new();
    let mut server = server(&flowctl);
    let terminal = Terminal::new(&flowctl);
    terminal.start(&server.command_at("dashboard"));
    terminal.shows(&["● connected", "▸ bytes", "● running", "1 pipeline", "runs of bytes"]);
    terminal.press("?");
    terminal.shows(&["Help", "stop the pipeline; asked first"]);
    terminal.press("Escape");
    // a key right behind it would be one with Alt
    terminal.hides("asked first");
    terminal.press("Enter");
    terminal.shows(&["numbers", "guest", "out", "/s", "queue", "1 Node", "half ≤"]);

    // the plan comes first; what fails on trial is taken back
    terminal.press("Right");
    terminal.press("r");
    terminal.shows(&["Replace `guest`", "component"]);
    terminal.types(&guests().join("panics.wasm").display().to_string());
    terminal.press("Enter");
    terminal.shows(&["~ guest", "plan hash: ", "y make it"]);
    assert_eq!(server.json("topology history").as_array().unwrap().len(), 1, "a plan changes nothing");
    terminal.press("y");
    // where it fails before every node has taken it, that is told in front of the history
    let screen = terminal.shows_any(&["not done", "revision 2 was rolled back"]);
    if screen.contains("not done") {
        terminal.press("Escape");
        terminal.hides("not done");
    }
    terminal.shows(&["4 History", "rolled-back", "revision 2 was rolled back"]);
    terminal.press("a");
    terminal.types(&guests().join("identity.wasm").display().to_string());
    terminal.press("Enter");
    terminal.shows(&["Add a processor behind `guest`", "+ identity", "y make it"]);
    terminal.press("y");
    // the plan said that chain, too, and what was before is kept as well
    terminal.shows_line(&["kept", "guest → identity → out"]);

    terminal.press("3");
    terminal.shows(&["of guest", "\""]);
    server.kill();
    terminal.shows(&["reconnecting, try", "as it was", "guest"]);
    server.restart();
    terminal.shows(&["● connected"]);
    // the run that it had before is still shown as it was; the list has the one that can be stopped
    terminal.press("Escape");
    terminal.shows_line(&["▸ bytes", "● running"]);
    terminal.press("s");
    terminal.shows(&["Stop `bytes`?"]);
    terminal.press("y");
    terminal.shows(&["■ stopped"]);
    server.info_at("bytes", "stopped");
    terminal.press("q");
    let screen = terminal.shows(&["next>"]);
    assert!(!screen.contains("stopped"), "the screen is as it was before:\n{screen}");
}

fn afar() {
    let flowctl = Flowctl::new();
    let certificates = Certificates::make(&flowctl.path(""), &["localhost"]);
    let [operator, viewer] = ["operator", "viewer"].map(|role| token(&flowctl, "default", role, ""));
    let server = secured(&flowctl, &certificates);
    let port = server.address().rsplit(':').next().unwrap();
    let command_of = |token: &str, arguments: &str| {
        let mut command = flowctl.command(&format!("{arguments} --control-plane https://localhost:{port}"));
        command.env("FLOWCTL_CA", &certificates.authority).env("FLOWCTL_TOKEN", token);
        command
    };
    endless(&flowctl);
    Answer::of(command_of(&operator, "run endless.yaml --detach").output().unwrap()).success();
    let terminal = Terminal::new(&flowctl);
    terminal.start(&command_of(&viewer, "dashboard"));
    terminal.shows(&["● connected", "▸ endless", "● running"]);
    terminal.press("Enter");
    terminal.shows(&["endless ● running", "orders", "out", "/s"]);
    terminal.press("s");
    terminal.shows(&["Stop `endless`?"]);
    terminal.press("y");
    terminal.shows(&["the role `viewer` may not do that", "endless ● running"]);
}

fn hanging() {
    let flowctl = Flowctl::new();
    let server = server(&flowctl);
    let terminal = Terminal::new(&flowctl);
    terminal.start(&server.command_at("dashboard bytes"));
    terminal.shows(&["bytes ● running", "guest", "● connected"]);
    signal(server.pid(), "-STOP");
    terminal.press("2");
    terminal.shows(&["of numbers"]);
    terminal.press("?");
    terminal.shows(&["Help"]);
    terminal.press("Escape");
    terminal.shows(&["reconnecting, try", "the control plane does not answer", "guest"]);
    signal(server.pid(), "-CONT");
    terminal.shows(&["● connected"]);
}

fn ended() {
    let flowctl = Flowctl::new();
    let server = server(&flowctl);
    let terminal = Terminal::new(&flowctl);
    let is_cooked = || {
        until("it has ended", || terminal.children().is_empty().then_some(()));
        terminal.types("stty -a | grep -o '[-]*icanon'; echo state: $?");
        terminal.press("Enter");
        let screen = terminal.shows(&["state: 0"]);
        assert!(screen.lines().any(|line| line == "icanon"), "the terminal is still raw:\n{screen}");
        terminal.types("clear");
        terminal.press("Enter");
    };
    terminal.tmux(&["pipe-pane", &format!("cat > '{}'", flowctl.path("written").display())]);
    let written = || String::from_utf8_lossy(&std::fs::read(flowctl.path("written")).unwrap_or_default()).into_owned();
    terminal.start(&server.command_at("dashboard bytes"));
    terminal.shows(&["bytes ● running", "guest"]);
    // before it gets another size, for which it is drawn anew as well
    let n_cleared = || written().matches("\u{1b}[2J").count();
    let n_before = n_cleared();
    terminal.press("C-l");
    until("it is drawn anew", || (n_cleared() > n_before).then_some(()));
    for (width, height) in [("200", "50"), ("20", "5"), ("40", "10"), ("3", "1"), ("80", "24")] {
        terminal.tmux(&["resize-window", "-x", width, "-y", height]);
    }
    terminal.shows(&["bytes ● running", "guest", "1 Node"]);
    signal(terminal.children()[0], "-TERM");
    is_cooked();
    assert!(!written().contains("\u{1b}[6n"), "a terminal that does not say where its cursor is would be waited for");
    terminal.start(&server.command_at("dashboard bytes"));
    terminal.shows(&["bytes ● running"]);
    terminal.press("C-c");
    is_cooked();
    terminal.start(&server.command_at("dashboard nothing"));
    terminal.shows(&["error[not-there]: ", "no pipeline `nothing`"]);
}

fn no_terminal() {
    let flowctl = Flowctl::new();
    let answer = flowctl.run("dashboard");
    answer.failure(&["the dashboard needs a terminal", "hint: ", "flowctl status --watch"]);
}
