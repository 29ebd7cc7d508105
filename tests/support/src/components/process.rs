//! A component's process: started, listened to, and ended.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{LEASH, Role, python};

/// Longest time that a line is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const LISTENING: &str = "listening on :";
const REGISTERED: &str = "registered as ";

/// A component that runs, or did. Dropped, it is killed; it also ends when the test's
/// process does.
#[derive(Debug)]
pub struct Component {
    child: Child,
    output: Arc<Output>,
    address: SocketAddr,
    health_address: SocketAddr,
    service_id: Option<String>,
}

#[derive(Debug, Default)]
struct Output {
    said: Mutex<Said>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    /// Of stdout and stderr, those at their end.
    n_ended: usize,
}

impl Component {
    /// Starts a component with these variables in its environment, beside PATH and HOME alone,
    /// and waits until it listens; where it is to register, until it is registered.
    ///
    /// It takes a free port where `PORT` is not among the variables.
    ///
    /// # Panics
    ///
    /// When it ends before, or takes longer than a minute.
    pub fn start<K: AsRef<OsStr>, V: AsRef<OsStr>>(role: Role, settings: impl IntoIterator<Item = (K, V)>) -> Self {
        let program = std::env::current_exe().expect("the test's program has a path");
        let (name, value) = role.variable();
        let mut command = clean(program);
        command.env(name, value);
        Self::run(command, settings)
    }

    /// Starts a component in Python: `source.py`, `processor.py` or `sink.py`.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start) does, and where [`python_packages`](super::python_packages) is none.
    pub fn start_python<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        script: &str,
        settings: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self::run(python::command(script), settings)
    }

    /// The variables of a component that registers at `endpoint`, `HOST:PORT`, and says
    /// four times a second that it lives.
    pub fn registers_at(endpoint: impl std::fmt::Display) -> [(&'static str, String); 3] {
        [
            ("ENABLE_FLOWCTL", "true".to_owned()),
            ("FLOWCTL_ENDPOINT", endpoint.to_string()),
            ("FLOWCTL_HEARTBEAT_INTERVAL", "250ms".to_owned()),
        ]
    }

    fn run<K: AsRef<OsStr>, V: AsRef<OsStr>>(mut command: Command, settings: impl IntoIterator<Item = (K, V)>) -> Self {
        command.envs(settings).env(LEASH, "1");
        let registers = command.get_envs().any(|(name, value)| {
            name == "ENABLE_FLOWCTL" && value.is_some_and(|value| value == "true" || value == "1")
        });
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a component's process can be started");
        let output = Arc::new(Output::default());
        output.follow(child.stdout.take());
        output.follow(child.stderr.take());
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut component = Self { child, output, address: nowhere, health_address: nowhere, service_id: None };
        let line = component.wait_for(LISTENING);
        let mut ports =
            line.split(':').skip(1).map(|text| text.chars().take_while(char::is_ascii_digit).collect::<String>());
        for address in [&mut component.address, &mut component.health_address] {
            let port = ports.next().and_then(|port| port.parse().ok());
            address.set_port(port.unwrap_or_else(|| panic!("`{line}` names no two ports")));
        }
        if registers {
            let line = component.wait_for(REGISTERED);
            component.service_id = line.split(REGISTERED).nth(1).map(str::to_owned);
        }
        component
    }

    /// Where it serves its service.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers `/health`.
    pub const fn health_address(&self) -> SocketAddr {
        self.health_address
    }

    /// What the control plane calls it, where it is registered.
    pub fn service_id(&self) -> Option<&str> {
        self.service_id.as_deref()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said on stdout and stderr so far, line by line.
    pub fn lines(&self) -> Vec<String> {
        self.output.said().lines.clone()
    }

    /// Waits for a line that has these words, and answers the first. It may have been said
    /// before.
    ///
    /// # Panics
    ///
    /// When the component ends without it, or a minute passes.
    pub fn wait_for(&self, words: &str) -> String {
        self.wait_for_nth(words, 1)
    }

    /// Waits for the `n`th line that has these words, counted from 1.
    ///
    /// # Panics
    ///
    /// As [`wait_for`](Self::wait_for) does.
    pub fn wait_for_nth(&self, words: &str, n: usize) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.output.said();
        loop {
            let found = said.lines.iter().filter(|line| line.contains(words)).nth(n - 1).cloned();
            let left = deadline.saturating_duration_since(Instant::now());
            match found {
                Some(line) => return line,
                None if said.n_ended == 2 => panic!("it ended without `{words}`: {:#?}", said.lines),
                None if left.is_zero() => panic!("it has not said `{words}`: {:#?}", said.lines),
                None => said = self.output.news.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0,
            }
        }
    }

    /// Kills it, as `kill -9` does, and answers how it ended.
    pub fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::KILL);
        self.wait()
    }

    /// Tells it to end, as `kill` does, and answers how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it has ended of itself, and answers how. All that it said can be had
    /// then.
    ///
    /// # Panics
    ///
    /// When it was lost to somebody else.
    pub fn wait(&mut self) -> ExitStatus {
        let mut said = self.output.said();
        while said.n_ended < 2 {
            said = self.output.news.wait(said).unwrap_or_else(PoisonError::into_inner);
        }
        drop(said);
        // its stdin is kept open until here: to close it would end it
        self.child.wait().expect("a child can be waited for")
    }

    fn signal(&self, signal: Signal) {
        // one that has ended already is just as well
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        // one that was waited for has no process any more
        if let Ok(None) = self.child.try_wait() {
            self.kill();
        }
    }
}

impl Output {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a pipe brings, on a thread of its own, until it ends.
    fn follow(self: &Arc<Self>, pipe: Option<impl Read + Send + 'static>) {
        let (output, pipe) = (Arc::clone(self), pipe.expect("the child's output is piped"));
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                output.said().lines.push(String::from_utf8_lossy(&line).into_owned());
                output.news.notify_all();
            }
            output.said().n_ended += 1;
            output.news.notify_all();
        });
    }
}

/// A command whose environment is where programs and the user's files are, and nothing else.
pub(super) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    let kept = ["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.envs(kept);
    command
}
