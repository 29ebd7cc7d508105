//! Keeps one process running.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::lines::{Valve, copy};
use super::port::Port;
use super::{LineFrom, LineSink, Order, PORT, Running};

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A process that lived this long is started again after the first wait.
const LONG_LIFE: Duration = Duration::from_secs(60);
/// Time that is given to read what a process wrote last.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Starts one process, and starts it anew.
pub(super) struct Supervisor {
    pub(super) argv: Vec<String>,
    pub(super) dir: Option<PathBuf>,
    pub(super) env: Vec<(String, String)>,
    /// How it is told its port; none where its own variables say it.
    pub(super) port: Option<Port>,
    pub(super) log: Arc<dyn LineSink>,
    pub(super) orders: watch::Receiver<Order>,
    pub(super) running: Arc<Running>,
}

impl Supervisor {
    /// Runs until it is told to stop.
    pub(super) async fn run(mut self) {
        let mut wait = FIRST_WAIT;
        while *self.orders.borrow_and_update() == Order::Run {
            let started = Instant::now();
            let ended = self.live().await;
            if *self.orders.borrow() != Order::Run {
                return;
            }
            if let Some(port) = &mut self.port {
                port.lived(started.elapsed());
            }
            if started.elapsed() >= LONG_LIFE {
                wait = FIRST_WAIT;
            }
            self.log.line(LineFrom::Host, &format!("{ended}, started again in {} s", wait.as_secs()));
            tokio::select! {
                () = sleep(wait) => {}
                // fails where the owner is gone
                _ = self.orders.changed() => {}
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// One life of the process; answers how it ended.
    async fn live(&mut self) -> String {
        let (program, arguments) = self.argv.split_first().expect("checked when it was started");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.env.iter().cloned())
            .envs(self.port.iter().map(|port| (PORT, port.text())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let mut process = match command.spawn() {
            Ok(process) => process,
            Err(error) => return format!("it cannot be started: {error}"),
        };
        let pid = process.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        self.running.set(pid);
        let valve = Arc::new(Valve::new(Arc::clone(&self.log)));
        let outputs = (process.stdout.take(), process.stderr.take());
        let copying = {
            let (valve, (stdout, stderr)) = (Arc::clone(&valve), outputs);
            tokio::spawn(async move {
                tokio::join!(copy(stdout, LineFrom::Stdout, &valve), copy(stderr, LineFrom::Stderr, &valve));
            })
        };
        let status = tokio::select! {
            status = process.wait() => status,
            order = ordered(&mut self.orders) => {
                if let Order::Stop(grace) = order {
                    self.running.kill(Signal::TERM);
                    let mut orders = self.orders.clone();
                    tokio::select! {
                        _ = timeout(grace, process.wait()) => {}
                        _ = orders.wait_for(|order| *order == Order::Kill) => {}
                    }
                }
                self.running.kill(Signal::KILL);
                process.wait().await
            }
        };
        // what it started ends with it
        self.running.kill(Signal::KILL);
        self.running.set(None);
        let mut copying = copying;
        if timeout(LAST_LINES, &mut copying).await.is_err() {
            copying.abort();
        }
        valve.close();
        status.map_or_else(|error| format!("it cannot be waited for: {error}"), describe)
    }
}

/// Waits for the order to stop.
async fn ordered(orders: &mut watch::Receiver<Order>) -> Order {
    match orders.wait_for(|order| *order != Order::Run).await {
        Ok(order) => *order,
        Err(_) => Order::Kill,
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with status {code}"),
        (None, Some(signal)) => format!("it was killed by signal {signal}"),
        (None, None) => "it ended".to_owned(),
    }
}
