//! Processes of components.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowctl_remote::{Child, ChildError, ChildSettings, LineFrom, free_port};

use crate::support::{id, until};

/// The variable that makes [`helper_that_starts_a_process`] do what its name says.
const HELPER: &str = "FLOWCTL_TEST_CHILD_HELPER";

type Lines = Arc<Mutex<Vec<(LineFrom, String)>>>;

fn settings(script: &str) -> (ChildSettings, Lines) {
    let lines: Lines = Arc::default();
    let kept = Arc::clone(&lines);
    let settings = ChildSettings {
        node: id("p"),
        run: "r-1".to_owned(),
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        dir: None,
        env: vec![("GREETING".to_owned(), "hello".to_owned())],
        endpoint_env: "127.0.0.1:8080".to_owned(),
        port: 50_051,
        health_port: 8_088,
        log: Arc::new(move |from: LineFrom, text: &str| kept.lock().unwrap().push((from, text.to_owned()))),
    };
    (settings, lines)
}

fn has(lines: &Lines, from: LineFrom, text: &str) -> bool {
    lines.lock().unwrap().iter().any(|(by, line)| *by == from && line == text)
}

fn is_alive(pid: u32) -> bool {
    // one that nobody waited for has no command line any more
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The number that a process wrote as its first line.
async fn written(lines: &Lines) -> u32 {
    until("it wrote a line", || !lines.lock().unwrap().is_empty()).await;
    let (from, text) = lines.lock().unwrap()[0].clone();
    assert_eq!(from, LineFrom::Stdout);
    text.parse().unwrap()
}

#[tokio::test]
async fn a_process_is_told_what_is_documented_and_nothing_else() {
    let (settings, lines) = settings("env; echo done >&2; exec sleep 600");
    let child = Child::start(settings).unwrap();
    until("it wrote all", || has(&lines, LineFrom::Stderr, "done")).await;
    child.stop(Duration::from_secs(5)).await;
    let lines = lines.lock().unwrap();
    let told: Vec<_> =
        lines.iter().filter(|(from, _)| *from == LineFrom::Stdout).map(|(_, line)| line.as_str()).collect();
    for wanted in [
        "ENABLE_FLOWCTL=true",
        "FLOWCTL_ENDPOINT=127.0.0.1:8080",
        "FLOWCTL_COMPONENT_ID=p",
        "FLOWCTL_SERVICE_ID=p",
        "FLOWCTL_RUN_ID=r-1",
        "FLOWCTL_HEARTBEAT_INTERVAL=10s",
        "PORT=50051",
        "HEALTH_PORT=8088",
        "GREETING=hello",
    ] {
        assert!(told.contains(&wanted), "{wanted} is not among {told:?}");
    }
    let names = told.iter().map(|line| line.split('=').next().unwrap());
    // the shell sets the last three itself
    let known = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "PWD", "SHLVL", "_", "OLDPWD"];
    let other: Vec<_> = names
        .filter(|name| !known.contains(name) && !name.starts_with("FLOWCTL_"))
        .filter(|name| !["ENABLE_FLOWCTL", "PORT", "HEALTH_PORT", "GREETING"].contains(name))
        .collect();
    assert!(other.is_empty(), "{other:?}");
}

#[tokio::test]
async fn a_process_that_ends_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let (settings, lines) =
        settings(&format!("if [ -e {0} ]; then echo again; exec sleep 600; fi; touch {0}; exit 3", mark.display()));
    let child = Child::start(settings).unwrap();
    until("it runs again", || has(&lines, LineFrom::Stdout, "again")).await;
    assert!(has(&lines, LineFrom::Host, "it ended with status 3, started again in 1 s"));
    child.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_process_that_takes_no_number_for_its_port_is_told_an_address() {
    let (settings, lines) = settings("case $PORT in *:*) echo \"listens at $PORT\"; exec sleep 600;; *) exit 1;; esac");
    let child = Child::start(settings).unwrap();
    until("it listens", || has(&lines, LineFrom::Stdout, "listens at 127.0.0.1:50051")).await;
    child.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_port_of_its_own_variables_stays_as_it_is() {
    let (mut settings, lines) = settings("echo $PORT");
    settings.env.push(("PORT".to_owned(), ":7000".to_owned()));
    let child = Child::start(settings).unwrap();
    let n_told = || lines.lock().unwrap().iter().filter(|(from, _)| *from == LineFrom::Stdout).count();
    until("it was started twice", || n_told() >= 2).await;
    child.stop(Duration::from_secs(5)).await;
    let lines = lines.lock().unwrap();
    assert!(lines.iter().all(|(from, line)| *from == LineFrom::Host || line == ":7000"), "{lines:?}");
}

#[tokio::test]
async fn a_process_may_end_in_its_own_way_within_its_grace() {
    let (settings, lines) = settings("trap 'echo bye; exit' TERM; echo ready; while :; do sleep 0.01; done");
    let child = Child::start(settings).unwrap();
    until("it is ready", || has(&lines, LineFrom::Stdout, "ready")).await;
    child.stop(Duration::from_secs(60)).await;
    assert!(has(&lines, LineFrom::Stdout, "bye"));
}

#[tokio::test]
async fn a_process_that_does_not_end_is_killed_with_what_it_started() {
    let (settings, lines) = settings("trap '' TERM; sleep 600 & echo $!; while :; do sleep 0.01; done");
    let child = Child::start(settings).unwrap();
    let grandchild = written(&lines).await;
    let pid = child.pid().unwrap();
    assert!(is_alive(grandchild));
    child.stop(Duration::from_millis(50)).await;
    assert!(!is_alive(pid));
    until("what it started is gone", || !is_alive(grandchild)).await;
}

#[tokio::test]
async fn dropping_it_kills_the_process() {
    let (settings, lines) = settings("echo $$; exec sleep 600");
    let child = Child::start(settings).unwrap();
    let pid = written(&lines).await;
    assert_eq!(child.pid(), Some(pid), "nothing is between the host and the process");
    drop(child);
    until("it is gone", || !is_alive(pid)).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let (mut settings, _) = settings("");
    settings.argv = vec!["no-such-program".to_owned()];
    let error = Child::start(settings).unwrap_err();
    assert!(matches!(&error, ChildError::NotFound { program, .. } if program == "no-such-program"), "{error}");
}

#[test]
fn a_free_port_can_be_listened_on() {
    let port = free_port().unwrap();
    std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
}

/// Does nothing unless the test below starts it in a process of its own: then it starts a
/// process, says its number, and waits to be killed.
#[tokio::test]
async fn helper_that_starts_a_process() {
    if std::env::var_os(HELPER).is_none() {
        return;
    }
    let (settings, lines) = settings("echo $$; exec sleep 600");
    let _child = Child::start(settings).unwrap();
    let pid = written(&lines).await;
    let file = std::env::var_os(HELPER).unwrap();
    std::fs::write(file, format!("{pid}\n")).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_process_does_not_outlive_a_host_that_is_killed() {
    let has_setpriv = Command::new("setpriv").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !has_setpriv.is_ok_and(|status| status.success()) {
        // the one exception that is documented
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::helper_that_starts_a_process"])
        .env(HELPER, &file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let read = || {
        let line = BufReader::new(std::fs::File::open(&file).ok()?).lines().next()?.ok()?;
        line.parse::<u32>().ok()
    };
    until("the process runs", || read().is_some()).await;
    let pid = read().unwrap();
    assert!(is_alive(pid));
    host.kill().unwrap();
    host.wait().unwrap();
    until("the process is gone", || !is_alive(pid)).await;
}
