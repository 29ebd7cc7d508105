//! A control plane that is started, watched, ended in every way, and started again.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use flowctl_test_support::Port;
use serde_json::Value;

use super::policies::everything_at;
use crate::flowctl::{Answer, Flowctl, plugins};

/// Longest time that something is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks at something that can only be asked for.
const PAUSE: Duration = Duration::from_millis(20);

/// `flowctl serve` over the folder `host` of a [`Flowctl`]. Dropped, it is killed.
pub(crate) struct Server<'f> {
    flowctl: &'f Flowctl,
    arguments: String,
    variables: Vec<(String, String)>,
    /// Where it listens, or is to.
    address: String,
    process: Option<Process>,
    // nobody else is given it while this is not running
    _port: Port,
}

struct Process {
    child: Child,
    lines: Receiver<String>,
    /// What it said so far.
    said: String,
}

impl<'f> Server<'f> {
    /// Starts one that knows no plugins, and waits until it listens.
    pub(crate) fn start(flowctl: &'f Flowctl) -> Self {
        Self::new(flowctl, "").and_start()
    }

    /// Starts one that knows the first-party plugins.
    pub(crate) fn start_with_plugins(flowctl: &'f Flowctl) -> Self {
        Self::new(flowctl, "").env("FLOWCTL_PLUGINS", &plugins().display().to_string()).and_start()
    }

    /// Starts one that knows the first-party plugins, and whose sources read so many events
    /// a second.
    pub(crate) fn start_at(flowctl: &'f Flowctl, events_per_second: u64) -> Self {
        flowctl.write("policy.yaml", everything_at(events_per_second));
        let server = Self::new(flowctl, "--policy policy.yaml");
        server.env("FLOWCTL_PLUGINS", &plugins().display().to_string()).and_start()
    }

    /// One with these arguments, which is not started.
    pub(crate) fn new(flowctl: &'f Flowctl, arguments: &str) -> Self {
        let (arguments, port) = (arguments.to_owned(), Port::take());
        let address = port.address().to_string();
        Self { flowctl, arguments, variables: Vec::new(), address, process: None, _port: port }
    }

    /// With a variable in its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// To listen at another address.
    pub(crate) fn listen(mut self, address: &str) -> Self {
        self.address = address.to_owned();
        self
    }

    /// Starts it.
    pub(crate) fn and_start(mut self) -> Self {
        self.restart();
        self
    }

    /// Starts it, again where it listened before.
    pub(crate) fn restart(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let mut command = self.command();
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            // who listens no more has heard enough; the pipe is read to its end all the same
            stderr.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        self.process = Some(Process { child, lines, said: String::new() });
        let line = self.wait_for("Control plane running on ");
        self.address = line.rsplit(' ').next().unwrap().to_owned();
    }

    /// The command that starts it, for one that is not to start.
    pub(crate) fn command(&self) -> Command {
        let line = format!("serve --listen {} --state-dir host {}", self.address, self.arguments);
        let mut command = self.flowctl.command(&line);
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).stdout(Stdio::null());
        command
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().child.id()
    }

    /// Waits for a line of its status that has these words, said from its start on.
    pub(crate) fn wait_for(&mut self, words: &str) -> String {
        let process = self.process.as_mut().unwrap();
        let deadline = Instant::now() + PATIENCE;
        if let Some(line) = process.said.lines().find(|line| line.contains(words)) {
            return line.to_owned();
        }
        loop {
            match process.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let _ = writeln!(process.said, "{line}");
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("it has not said `{words}`: {}", process.said),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended without `{words}`: {}", process.said),
            }
        }
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// Tells it to end, and waits until it has; answers how, and all that it said.
    pub(crate) fn terminate(&mut self) -> (ExitStatus, String) {
        let mut process = self.process.take().unwrap();
        signal(process.child.id(), "-TERM");
        process.lines.iter().for_each(|line| process.said += &(line + "\n"));
        (process.child.wait().unwrap(), process.said)
    }

    /// `flowctl` with these arguments, at this control plane.
    pub(crate) fn command_at(&self, arguments: &str) -> Command {
        let mut command = self.flowctl.command(arguments);
        command.env("FLOWCTL_ENDPOINT", &self.address);
        command
    }

    /// Runs a command at it, to the end.
    pub(crate) fn run(&self, arguments: &str) -> Answer {
        Answer::of(self.command_at(arguments).output().unwrap())
    }

    /// What a command that prints JSON prints.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &str) -> Value {
        let answer = self.run(&format!("{arguments} --output json")).success();
        serde_json::from_str(&answer.stdout).unwrap()
    }

    /// What `pipelines info` says of a run, once `is_so`.
    #[track_caller]
    pub(crate) fn info_when(&self, run: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = within_patience(|| {
            last = self.json(&format!("pipelines info {run}"));
            is_so(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("it did not come to this: {last:#}"))
    }

    /// What `pipelines info` says of a run, once it has this status.
    #[track_caller]
    pub(crate) fn info_at(&self, run: &str, status: &str) -> Value {
        self.info_when(run, |info| info["status"] == status)
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// Looks until there is something.
#[track_caller]
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within_patience(look).unwrap_or_else(|| panic!("waited in vain: {what}"))
}

/// Looks until there is something; none where that takes too long.
pub(crate) fn within_patience<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Some(found) => return Some(found),
            None if Instant::now() > deadline => return None,
            None => std::thread::park_timeout(PAUSE),
        }
    }
}

/// Signals a process.
pub(crate) fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// The processes that a process started, and those that they did.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let of_thread = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().map_while(Result::ok);
    let children: Vec<u32> = tasks
        .flat_map(|task| of_thread(task).split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
        .collect();
    children.iter().flat_map(|child| [vec![*child], descendants(*child)].concat()).collect()
}

/// Kills a process, where it has not ended, and all that was started from it.
pub(crate) fn kill_with_descendants(child: &mut Child) {
    let Ok(None) = child.try_wait() else { return };
    let started = descendants(child.id());
    // it goes first, and starts no others
    let _ = child.kill();
    let _ = child.wait();
    for pid in started {
        // one that has ended meanwhile is just as well
        let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
    }
}
