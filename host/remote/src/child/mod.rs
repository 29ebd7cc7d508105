//! The process of a component that a pipeline starts itself.
//!
//! Invariant: it is started anew when it ends, until it is stopped; what it writes costs
//! no more memory than a line; and it does not outlive whoever started it, with one
//! exception: where there is no `setpriv`, a host that is killed leaves it behind.
//!
//! Each process has a thread of its own, which starts it: the system ties its life to
//! that thread's.

mod lines;
mod port;
mod supervisor;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use flowctl_types::NodeId;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::sync::watch;

use self::port::Port;
use self::supervisor::Supervisor;

/// What a component is told of the environment that it runs in, and no more.
const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"];

/// Where it is to listen.
const PORT: &str = "PORT";

/// How often it is to beat, well within the time after which it counts as unhealthy.
const HEARTBEAT_INTERVAL: &str = "10s";

/// How the process of a component is started.
pub struct ChildSettings {
    /// The node that it is. It is told as `FLOWCTL_COMPONENT_ID` and `FLOWCTL_SERVICE_ID`.
    pub node: NodeId,
    /// The id of the run that it is part of: `FLOWCTL_RUN_ID`.
    pub run: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where it runs; none for where the host does.
    pub dir: Option<PathBuf>,
    /// Its own variables. They go before all others.
    pub env: Vec<(String, String)>,
    /// Where the control plane is, `host:port`: `FLOWCTL_ENDPOINT`.
    pub endpoint_env: String,
    /// Where it is to listen, on the loopback interface: `PORT`. Some programs read a number
    /// and some an address, so that it is this number at first, `127.0.0.1:` and this
    /// after a life of less than five seconds, and so on in turn until it lives longer.
    pub port: u16,
    /// Where it is to serve its health by HTTP: `HEALTH_PORT`.
    pub health_port: u16,
    /// Takes what it writes.
    pub log: Arc<dyn LineSink>,
}

/// Takes lines. Called from a thread of its own; it may wait, which holds the process back.
pub trait LineSink: Send + Sync {
    /// Takes one line, without its end.
    fn line(&self, from: LineFrom, text: &str);
}

impl<F: Fn(LineFrom, &str) + Send + Sync> LineSink for F {
    fn line(&self, from: LineFrom, text: &str) {
        self(from, text);
    }
}

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFrom {
    /// The process, on its standard output.
    Stdout,
    /// The process, on its standard error.
    Stderr,
    /// The host, of the process: that it ended, or that lines were dropped.
    Host,
}

/// Why a process cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// There is no program to start.
    #[error("node `{0}`: `command` is empty")]
    Empty(NodeId),
    /// The program is not there.
    #[error("node `{node}`: there is no program `{program}`")]
    NotFound {
        /// The node.
        node: NodeId,
        /// What was looked for.
        program: String,
    },
    /// The system refused.
    #[error("node `{node}`: cannot start a process")]
    Start {
        /// The node.
        node: NodeId,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The process of a component. Dropping it kills the process and what that started.
#[derive(Debug)]
pub struct Child {
    order: watch::Sender<Order>,
    running: Arc<Running>,
    thread: Option<thread::JoinHandle<()>>,
    has_ended: watch::Receiver<bool>,
}

/// What a supervisor is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Run,
    Stop(Duration),
    Kill,
}

/// The process that runs, where one does: also the number of its group.
#[derive(Debug, Default)]
struct Running(Mutex<Option<Pid>>);

impl Child {
    /// Starts the process, and keeps it running.
    ///
    /// Its environment is `PATH`, `HOME`, `LANG`, `TZ` and `TMPDIR` of the host's,
    /// `ENABLE_FLOWCTL=true`, `FLOWCTL_HEARTBEAT_INTERVAL=10s`, what the settings say, and
    /// nothing else.
    ///
    /// # Errors
    ///
    /// [`ChildError`] where there is no such program, or no thread to watch it. That it
    /// starts and ends at once is none: it is said in the log.
    pub fn start(settings: ChildSettings) -> Result<Self, ChildError> {
        let node = settings.node.clone();
        let env = environment(&settings);
        let Some(program) = settings.argv.first() else { return Err(ChildError::Empty(node)) };
        let path = env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
        let Some(file) = find(program, path.as_deref(), settings.dir.as_deref()) else {
            return Err(ChildError::NotFound { node, program: program.clone() });
        };
        let mut argv = settings.argv;
        if argv[0].contains('/') {
            // a relative one is relative to where the process runs
            argv[0] = std::path::absolute(&file).unwrap_or(file).to_string_lossy().into_owned();
        }
        let is_own = settings.env.iter().any(|(name, _)| name == PORT);
        let (order, orders) = watch::channel(Order::Run);
        let (ended, has_ended) = watch::channel(false);
        let running = Arc::new(Running::default());
        let supervisor = Supervisor {
            argv: tied(argv, path.as_deref()),
            dir: settings.dir,
            env,
            port: if is_own { None } else { Some(Port::new(settings.port)) },
            log: settings.log,
            orders,
            running: Arc::clone(&running),
        };
        let start_error = |source| ChildError::Start { node: node.clone(), source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(start_error)?;
        let thread = thread::Builder::new()
            .name("flowctl-child".to_owned())
            .spawn(move || {
                runtime.block_on(supervisor.run());
                ended.send_replace(true);
            })
            .map_err(start_error)?;
        Ok(Self { order, running, thread: Some(thread), has_ended })
    }

    /// The number of the process that runs, where one does.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let pid = *self.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        pid.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok())
    }

    /// Asks the process to end, and kills it when `grace` is over. It has ended when this
    /// returns.
    pub async fn stop(mut self, grace: Duration) {
        self.order.send_replace(Order::Stop(grace));
        // fails where the supervisor is gone: so is the process then
        let _ = self.has_ended.wait_for(|has_ended| *has_ended).await;
        self.thread = None;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.order.send_replace(Order::Kill);
        if self.thread.take().is_some() {
            self.running.kill(Signal::KILL);
        }
    }
}

impl Running {
    fn set(&self, pid: Option<Pid>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pid;
    }

    /// Signals the process and what it started.
    fn kill(&self, signal: Signal) {
        let pid = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = pid {
            // fails where nothing of the group is left
            let _ = kill_process_group(pid, signal);
        }
    }
}

/// A port of the loopback interface on which nobody listens at the moment.
///
/// # Errors
///
/// The system's, where it has none.
pub fn free_port() -> io::Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr().map(|address| address.port())
}

fn environment(settings: &ChildSettings) -> Vec<(String, String)> {
    let inherited = INHERITED.into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
    let told = [
        ("ENABLE_FLOWCTL", "true".to_owned()),
        ("FLOWCTL_ENDPOINT", settings.endpoint_env.clone()),
        ("FLOWCTL_COMPONENT_ID", settings.node.to_string()),
        ("FLOWCTL_SERVICE_ID", settings.node.to_string()),
        ("FLOWCTL_RUN_ID", settings.run.clone()),
        ("FLOWCTL_HEARTBEAT_INTERVAL", HEARTBEAT_INTERVAL.to_owned()),
        ("HEALTH_PORT", settings.health_port.to_string()),
    ];
    let told = told.into_iter().map(|(name, value)| (name.to_owned(), value));
    inherited.chain(told).chain(settings.env.iter().cloned()).collect()
}

/// The command with which the process ends when the thread that started it does, where
/// the system has a program for that.
fn tied(argv: Vec<String>, path: Option<&str>) -> Vec<String> {
    match find("setpriv", path, None) {
        Some(setpriv) => {
            let tie =
                [setpriv.to_string_lossy().into_owned(), "--pdeathsig".to_owned(), "KILL".to_owned(), "--".to_owned()];
            tie.into_iter().chain(argv).collect()
        }
        None => argv,
    }
}

/// The file of a program: as it is where it is a path, else in the folders of `path`.
fn find(program: &str, path: Option<&str>, dir: Option<&Path>) -> Option<PathBuf> {
    if program.contains('/') {
        let file = dir.map_or_else(|| PathBuf::from(program), |dir| dir.join(program));
        return file.is_file().then_some(file);
    }
    let folders = std::env::split_paths(path.unwrap_or("/usr/local/bin:/usr/bin:/bin"));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}
