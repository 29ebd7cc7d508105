//! Completions: what is offered, in real shells too, and what never happens meanwhile.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::control_plane::server::{Server, within_patience};
use crate::fact;
use crate::flowctl::{Answer, Flowctl, plugins};
use crate::terminal::Terminal;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("completions::there_is_a_script_for_each_shell", scripts),
        fact("completions::names_of_what_runs_are_offered", running),
        fact("completions::names_of_what_is_known_here_are_offered", known_here),
        fact("completions::nothing_is_said_made_or_waited_for_where_nothing_is", nothing),
        fact("completions::a_control_plane_that_hangs_is_not_waited_for", hanging),
        fact("completions::a_token_is_needed_and_never_asked_for", tokens),
        fact("completions::bash_runs_its_script", bash),
        fact("completions::zsh_and_fish_run_their_scripts", others),
        fact("completions::shells_complete_what_is_typed", typed),
        fact("completions::what_is_completed_is_one_word_and_runs_nothing", odd),
    ]
}

/// What bash is offered for the last word of a line, where `command` is `flowctl` without
/// arguments.
fn offered(mut command: Command, line: &str) -> Vec<String> {
    // bash takes words apart at these, and puts what it gets in place of the last part
    let part = line.rsplit([' ', ':', '=', '@']).next().unwrap();
    command.arg("--").stdin(Stdio::null());
    command.env("FLOWCTL_COMPLETE", "bash").env("_FLOWCTL_TYPED", line).env("_FLOWCTL_PART", part);
    let answer = Answer::of(command.output().unwrap()).success();
    assert_eq!(answer.stderr, "", "{line}");
    answer.stdout.lines().map(str::to_owned).collect()
}

/// Has a shell complete what is typed, until that is `wanted`: what is found late is not offered.
#[track_caller]
fn completes(terminal: &Terminal<'_>, typed: &str, wanted: &str) {
    let mut screen = String::new();
    let completed = within_patience(|| {
        screen = terminal.completes(typed);
        let is_wanted = screen.contains(wanted);
        if !is_wanted {
            terminal.press("C-u");
        }
        is_wanted.then_some(())
    });
    assert!(completed.is_some(), "`{typed}` does not become `{wanted}`:\n{screen}");
}

/// Runs a script that completes, until it prints `wanted`: what is found late is not offered.
#[track_caller]
fn prints(mut script: impl FnMut() -> Command, wanted: &str) {
    let mut last = None;
    let printed = within_patience(|| {
        let Answer { stdout, stderr, code } = Answer::of(script().output().unwrap());
        let is_wanted = stdout == wanted && stderr.is_empty() && code == Some(0);
        last = Some((stdout, stderr, code));
        is_wanted.then_some(())
    });
    assert!(printed.is_some(), "not {wanted:?}, but {last:?}");
}

/// Lines, and what has to be offered for each.
fn check(command: impl Fn() -> Command, cases: &[(&str, &[&str])]) {
    for (line, wanted) in cases {
        let mut last = Vec::new();
        // what is found late is not offered: on a busy machine somebody asks again
        let all = within_patience(|| {
            last = offered(command(), line);
            wanted.iter().all(|name| last.iter().any(|found| found == name)).then_some(())
        });
        assert!(all.is_some(), "`{line}` is not offered all of {wanted:?}: {last:?}");
        assert!(!wanted.is_empty() || last.is_empty(), "`{line}` is offered {last:?}");
    }
}

fn scripts() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Flowctl::new().run(&format!("completions {shell}")).success().stdout;
        assert!(script.contains("FLOWCTL_COMPLETE"), "{shell}: {script}");
        assert!(script.contains(env!("CARGO_BIN_EXE_flowctl")), "{shell}: {script}");
    }
}

/// Writes a pipeline with names of its own, which goes on until it is stopped.
pub(crate) fn shop(flowctl: &Flowctl) {
    let text = "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: shop}
spec:
  sources: [{id: orders, type: generate, config: {type: example.order.v1, rate: 100}}]
  processors: [{id: filter, plugin: order-filter, inputs: [orders]}]
  sinks: [{id: out, type: blackhole, inputs: [filter]}]
";
    flowctl.write("shop.yaml", text);
}

fn running() {
    let flowctl = Flowctl::new();
    let server = Server::start_with_plugins(&flowctl);
    shop(&flowctl);
    server.run("run shop.yaml --detach").success();
    let run = server.json("pipelines info shop")["id"].as_str().unwrap().to_owned();
    let of_run = format!("flowctl pipelines logs {run} --node ");
    let late = format!("flowctl pipelines info {}", &run[..run.len() - 4]);
    check(
        || server.command_at(""),
        &[
            ("flowctl pipelines info ", &["shop", &run]),
            (&late, &[&run]),
            ("flowctl pipelines runs s", &["shop"]),
            ("flowctl pipelines runs x", &[]),
            ("flowctl tap ", &["shop"]),
            ("flowctl tap shop ", &["orders", "filter", "out"]),
            ("flowctl tap shop o", &["orders", "out"]),
            ("flowctl tap nope ", &["--limit"]),
            ("flowctl dashboard s", &["shop"]),
            ("flowctl topology remove f", &["filter"]),
            ("flowctl topology remove --pipeline ", &["shop"]),
            ("flowctl topology remove --pipeline=s", &["shop"]),
            ("flowctl topology add order-filter --after or", &["orders"]),
            ("flowctl topology add order-filter --after orders --before ", &["filter", "out"]),
            ("flowctl topology rollback ", &["1"]),
            ("flowctl pipelines logs shop --node ", &["orders", "filter", "out"]),
            (&of_run, &["orders", "filter", "out"]),
            ("flowctl tokens list --tenant ", &["default"]),
        ],
    );
    let elsewhere = format!("flowctl tap --control-plane {} s", server.address());
    check(|| flowctl.command(""), &[(&elsewhere, &["shop"]), ("flowctl tap s", &[])]);
}

fn known_here() {
    let flowctl = Flowctl::new();
    shop(&flowctl);
    flowctl.write("cases/refunds/input.jsonl", "{}\n");
    flowctl.write("notes.txt", "");
    let letter = "{\"time\":\"2026-01-01T00:00:00Z\",\"node\":\"filter\",\"event_id\":\"orders/7\",\"reason\":\"bad\",\
                  \"attempts\":1,\"payload\":{}}\n";
    flowctl.write("state/flowctl/shop/dead-letters.jsonl", letter);
    flowctl.write("state/flowctl/warehouse/state.db", "");
    // of the control planes, and no pipeline's
    flowctl.write("state/flowctl/hosts/lock", "");
    flowctl.write("config.yaml", "indexes: [registry.example/index:latest]\n");
    let plugin = plugins().join("order-filter.wasm");
    flowctl.run(&format!("push {} oci-layout:shelf:1", plugin.display())).success();
    flowctl.run("pull oci-layout:shelf:1 --no-compile").success();
    flowctl.run("tokens create --tenant acme --role viewer --state-dir host").success();
    let stored = format!("oci-layout:{}:1", flowctl.path("shelf").display());
    let begun = format!("flowctl plugins remove {}", stored.rsplit_once(':').unwrap().0);
    let behind_colon = flowctl.path("shelf").display().to_string();
    let command = || {
        let mut command = flowctl.command("");
        command.env("FLOWCTL_PLUGINS", plugins()).env("FLOWCTL_CONFIG", flowctl.path("config.yaml"));
        command
    };
    check(
        command,
        &[
            ("flowctl ru", &["run"]),
            ("flowctl pipelines ", &["list", "info", "logs"]),
            ("flowctl run ", &["shop.yaml"]),
            ("flowctl run --lo", &["--locked"]),
            ("flowctl validate n", &[]),
            ("flowctl processors list --output ", &["table", "json", "yaml"]),
            ("flowctl processors show ttp", &["ttp-processor"]),
            ("flowctl processors show post", &["postgres"]),
            ("flowctl processors find --input stellar.l", &["stellar.ledger.v1"]),
            ("flowctl topology suggest --from ", &["stellar.ledger.v1", "example.order.v1", "stellar.volume.v1"]),
            ("flowctl topology suggest --source ", &["generate", "stellar-ledgers"]),
            ("flowctl topology suggest --via ", &["ttp-processor", "volume-aggregator"]),
            ("flowctl topology suggest --to s", &["stdout", "sqlite", "stellar.volume.v1"]),
            ("flowctl processors test --case r", &["refunds"]),
            ("flowctl tokens create --role ", &["viewer", "operator", "admin"]),
            ("flowctl tokens create --state-dir host --tenant a", &["acme"]),
            ("flowctl dead-letters list s", &["shop", "shop.yaml"]),
            ("flowctl dead-letters list w", &["warehouse"]),
            ("flowctl dead-letters list hosts", &[]),
            ("flowctl dead-letters replay s", &["shop.yaml"]),
            ("flowctl dead-letters show shop ", &["orders/7"]),
            ("flowctl dead-letters list shop --node f", &["filter"]),
            ("flowctl plugins remove oci", &[&stored]),
            (&begun, &[&format!("{behind_colon}:1")]),
            ("flowctl search --index reg", &["registry.example/index:latest"]),
            ("flowctl completions ", &["bash", "zsh", "fish"]),
            ("flowctl login ", &["--username"]),
        ],
    );
}

fn nothing() {
    let flowctl = Flowctl::new();
    flowctl.write("plugins/broken.wasm", "nothing");
    let before = contents(&flowctl.path(""));
    for (name, value) in [("FLOWCTL_PLUGINS", "plugins:nowhere"), ("FLOWCTL_CONFIG", "nowhere"), ("HOME", "")] {
        let command = || {
            let mut command = flowctl.command("");
            command.env(name, value);
            command
        };
        check(
            command,
            &[
                ("flowctl pipelines info ", &["--output"]),
                ("flowctl pipelines info x", &[]),
                ("flowctl tap a b", &[]),
                ("flowctl topology rollback 1", &[]),
                ("flowctl plugins remove x", &[]),
                ("flowctl tokens revoke x", &[]),
                ("flowctl dead-letters show nope x", &[]),
                ("flowctl dead-letters list nope --node x", &[]),
                ("flowctl processors show post", &["postgres"]),
                ("flowctl processors test --case x", &[]),
                ("flowctl no-such-command x", &[]),
                ("flowctl run --no-such-option x", &[]),
                ("flowctl login registry.example --username ", &[]),
            ],
        );
    }
    assert_eq!(contents(&flowctl.path("")), before, "completing made something");
}

fn contents(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<String> = entries
        .flat_map(|path| if path.is_dir() { contents(&path) } else { vec![path.display().to_string()] })
        .collect();
    all.sort();
    all
}

fn hanging() {
    let flowctl = Flowctl::new();
    // takes connections, and never answers
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let line = format!("flowctl tap --control-plane {address} ");
    // it may come late where much is going on, but not each time; a client that waits does so for longer
    let in_time = within_patience(|| {
        let started = Instant::now();
        assert_eq!(offered(flowctl.command(""), &format!("{line}x")), Vec::<String>::new());
        (started.elapsed() < Duration::from_secs(2)).then_some(())
    });
    assert!(in_time.is_some(), "it is waited for each time");
    check(|| flowctl.command(""), &[(&format!("{line}--li"), &["--limit"])]);
}

fn tokens() {
    let flowctl = Flowctl::new();
    let server = Server::start_with_plugins(&flowctl);
    shop(&flowctl);
    server.run("run shop.yaml --detach").success();
    let token = flowctl.run("tokens create --tenant default --role viewer --state-dir host").success().stdout;
    let with_token = || {
        let mut command = server.command_at("");
        command.env("FLOWCTL_TOKEN", token.trim());
        command
    };
    check(with_token, &[("flowctl tap s", &["shop"])]);
    // that there are tokens by now is known within a second
    crate::control_plane::server::until("a credential is needed", || {
        offered(server.command_at(""), "flowctl tap s").is_empty().then_some(())
    });
}

/// Shells that somebody types into: arguments, and what has them complete.
const SHELLS: [(&str, &[&str], &str); 3] = [
    ("bash", &["--noprofile", "--norc", "-i"], "source <(flowctl completions bash)"),
    ("zsh", &["-f", "-i"], "autoload -U compinit; compinit -u -D; source <(flowctl completions zsh)"),
    ("fish", &["--no-config", "-i"], "flowctl completions fish | source"),
];

/// A shell with `flowctl` in its PATH.
fn shell(program: &str, arguments: &[&str], flowctl: &Command) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(flowctl.get_current_dir().unwrap()).stdin(Stdio::null());
    for (name, value) in flowctl.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let folder = Path::new(env!("CARGO_BIN_EXE_flowctl")).parent().unwrap();
    command.env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
    command
}

fn bash() {
    let flowctl = Flowctl::new();
    let server = Server::start_with_plugins(&flowctl);
    shop(&flowctl);
    server.run("run shop.yaml --detach").success();
    // as bash itself calls it: the words, which of them, and what is typed of that
    let script = "set -u; source <(flowctl completions bash)
        ask() { COMP_LINE=$1; COMP_POINT=${#COMP_LINE}
                _flowctl_complete flowctl \"$2\" before; echo \"${COMPREPLY[*]-}\"; }
        ask 'flowctl tap sh' sh; ask 'flowctl tap shop o' o; ask 'flowctl topology remove --pipeline=s' s
        ask 'flowctl tap nope x' x; complete -p flowctl | grep -o '[-]F .*'";
    let wanted = "shop\norders out\nshop\n\n-F _flowctl_complete flowctl\n";
    prints(|| shell("bash", &["--noprofile", "--norc", "-c", script], &server.command_at("")), wanted);
}

fn others() {
    let flowctl = Flowctl::new();
    let server = Server::start_with_plugins(&flowctl);
    shop(&flowctl);
    server.run("run shop.yaml --detach").success();
    let script = "flowctl completions fish | source; complete -C 'flowctl tap shop o'";
    prints(|| shell("fish", &["--no-config", "-c", script], &server.command_at("")), "orders\tsource\nout\tsink\n");
    // what belongs to the line editor stands in for it here
    let script = "compdef() {}; _describe() { print -rl -- ${(P)3} }
        source <(flowctl completions zsh); words=(flowctl tap shop o); CURRENT=4; _clap_dynamic_completer_flowctl";
    prints(|| shell("zsh", &["-f", "-c", script], &server.command_at("")), "orders:source\nout:sink\n");
}

fn typed() {
    let flowctl = Flowctl::new();
    let server = Server::start_with_plugins(&flowctl);
    shop(&flowctl);
    server.run("run shop.yaml --detach").success();
    for (program, arguments, setup) in SHELLS {
        let desk = Flowctl::new();
        let terminal = Terminal::new(&desk);
        terminal.start(&shell(program, arguments, &server.command_at("")));
        terminal.types(&format!("{setup}; printf 'ready-%s\\n' 42"));
        terminal.press("Enter");
        terminal.shows(&["ready-42"]);
        completes(&terminal, "flowctl pipelines runs sh", "flowctl pipelines runs shop");
        terminal.press("C-u");
        completes(&terminal, "flowctl topology remove --pipeline=sh", "remove --pipeline=shop");
        terminal.press("C-u");
        completes(&terminal, "flowctl topology history --pipeline=", "history --pipeline=shop");
    }
}

/// Names that a shell would take apart, or run.
fn odd() {
    let flowctl = Flowctl::new();
    let server = Server::start_with_plugins(&flowctl);
    shop(&flowctl);
    server.run("run shop.yaml --detach").success();
    let elsewhere = format!("flowctl tap --control-plane {} sh", server.address());
    for (program, arguments, setup) in SHELLS {
        let desk = Flowctl::new();
        desk.write("my orders;touch ran.yaml", "");
        let terminal = Terminal::new(&desk);
        // the control plane is the one of the line
        terminal.start(&shell(program, arguments, &desk.command("")));
        terminal.types(&format!("{setup}; printf 'ready-%s\\n' 42"));
        terminal.press("Enter");
        terminal.shows(&["ready-42"]);
        completes(&terminal, &elsewhere, &format!("{elsewhere}op"));
        terminal.press("C-u");
        completes(&terminal, "cd . ; flowctl validate my", "flowctl validate my\\ orders\\;touch\\ ran.yaml");
        terminal.press("Enter");
        terminal.shows(&["error", "my orders;touch ran.yaml"]);
        assert!(!desk.path("ran.yaml").exists());
        if program == "bash" {
            completes(&terminal, "flowctl validate \"my", "flowctl validate \"my orders;touch ran.yaml\"");
            terminal.press("C-u");
            completes(&terminal, "flowctl validate ~/my", "flowctl validate ~/my\\ orders\\;touch\\ ran.yaml");
        }
    }
}
