//! The server's process: started, watched by its log, and ended.
//!
//! Invariant: a thread of its own starts the process and outlives it. So the kernel's
//! "your parent has ended" comes when this whole program ends, not when the test's
//! thread does; and when that thread has read the log to its end, every process that
//! could write to it is gone.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

/// Lines of the log that are kept for the message of a start that failed.
const MAX_LINES: usize = 40;

/// A server that is ready, or was.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    /// What ends it at once, and leaves nothing behind.
    stop: Signal,
    keeper: Option<JoinHandle<()>>,
}

enum News {
    Started(Pid),
    Ready,
    Ended(String),
}

impl Process {
    /// Starts the server and waits until its log, which is its stderr, has the words
    /// `ready`. Answers the whole log where the server ends instead.
    pub(crate) fn start(command: Command, ready: &'static str, stop: Signal) -> Result<Self, String> {
        let (news, heard) = sync_channel(4);
        let keeper = std::thread::spawn(move || keep(command, ready, &news));
        let mut pid = None;
        loop {
            match heard.recv() {
                Ok(News::Started(started)) => pid = Some(started),
                Ok(News::Ready) => {
                    let pid = pid.expect("a process is started before it is ready");
                    return Ok(Self { pid, stop, keeper: Some(keeper) });
                }
                Ok(News::Ended(log)) => return Err(log),
                Err(_) => return Err("it could not be watched".to_owned()),
            }
        }
    }

    /// Kills the server and all that it started.
    pub(crate) fn kill(mut self) {
        let children = format!("/proc/{0}/task/{0}/children", self.pid.as_raw_nonzero());
        let children = std::fs::read_to_string(children).unwrap_or_default();
        self.signal(Signal::KILL);
        // one that is started meanwhile sees that its parent is gone, and ends
        for child in children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
            // gone already is just as well
            let _ = kill_process(child, Signal::KILL);
        }
        self.wait();
    }

    fn signal(&self, signal: Signal) {
        let _ = kill_process(self.pid, signal);
    }

    fn wait(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.keeper.is_some() {
            self.signal(self.stop);
            self.wait();
        }
    }
}

fn keep(mut command: Command, ready: &str, news: &SyncSender<News>) {
    let spawned = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
    let log = match spawned {
        Ok(mut child) => {
            let pid = Pid::from_child(&child);
            let _ = news.send(News::Started(pid));
            let log = child.stderr.take().map(|stderr| watch(stderr, ready, news)).unwrap_or_default();
            reap(child);
            log
        }
        Err(error) => format!("cannot start `{}`: {error}", command.get_program().to_string_lossy()),
    };
    // nobody listens any more where the server was ready before
    let _ = news.send(News::Ended(log));
}

/// Reads the log until no process is left that could write to it.
fn watch(stderr: ChildStderr, ready: &str, news: &SyncSender<News>) -> String {
    let mut lines = VecDeque::new();
    let mut is_ready = false;
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if !is_ready && line.contains(ready) {
            is_ready = true;
            let _ = news.send(News::Ready);
        }
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
    Vec::from(lines).join("\n")
}

fn reap(mut child: Child) {
    let _ = child.wait();
}
