//! A shell that somebody types into, command by command.
//!
//! Owns one `bash`, and everything that was started from it, in process groups of their own;
//! dropped, all of it ends. What a command says goes into a file of its number.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::control_plane::server::{kill_with_descendants, within_patience};

/// A shell. What it is told is done in order.
pub(super) struct Shell {
    bash: Child,
    input: ChildStdin,
    /// Where it writes down what commands said and how they ended.
    notes: PathBuf,
    n_commands: usize,
    /// Whether the last command still runs.
    is_busy: bool,
    /// Where it is.
    here: PathBuf,
}

/// How a command ended.
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) said: String,
}

impl Shell {
    /// Starts one in `here`, with the environment of `command`, which is a `bash`.
    pub(super) fn start(mut command: Command, notes: PathBuf, here: PathBuf) -> Self {
        std::fs::create_dir_all(&notes).unwrap();
        command.args(["--noprofile", "--norc"]).current_dir(&here);
        let mut bash = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let input = bash.stdin.take().unwrap();
        let mut shell = Self { bash, input, notes, n_commands: 0, is_busy: false, here };
        // jobs have groups of their own, and are not deaf to Ctrl-C
        shell.tell("set -m");
        shell
    }

    /// Where it is.
    pub(super) fn here(&self) -> &Path {
        &self.here
    }

    /// Runs a command to its end.
    pub(super) fn run(&mut self, command: &str) -> Ended {
        self.start_command(command, "");
        self.ended()
    }

    /// Starts a command that goes on until it is interrupted.
    pub(super) fn leave_running(&mut self, command: &str) {
        self.start_command(command, "& running=$!");
        self.is_busy = true;
    }

    /// Presses Ctrl-C, where a command runs; answers how it ended.
    pub(super) fn interrupt(&mut self) -> Option<Ended> {
        if !std::mem::take(&mut self.is_busy) {
            return None;
        }
        self.tell("kill -INT -- -$running; wait $running");
        self.note_end();
        Some(self.ended())
    }

    /// What the last command has said so far.
    pub(super) fn said(&self) -> String {
        std::fs::read_to_string(self.note("said")).unwrap_or_default()
    }

    fn start_command(&mut self, command: &str, behind: &str) {
        self.n_commands += 1;
        let said = self.note("said");
        self.tell(&format!("{{\n{command}\n}} < /dev/null > '{}' 2>&1 {behind}", said.display()));
        if behind.is_empty() {
            self.note_end();
        }
    }

    /// Has it write down how the command ended, and where it is, all at once.
    fn note_end(&mut self) {
        let (part, end) = (self.note("part"), self.note("end"));
        self.tell(&format!("echo \"$? $PWD\" > '{0}'; mv '{0}' '{1}'", part.display(), end.display()));
    }

    fn ended(&mut self) -> Ended {
        // it may be cargo, which builds
        let end = (0..5).find_map(|_| within_patience(|| std::fs::read_to_string(self.note("end")).ok()));
        let end = end.unwrap_or_else(|| panic!("a command does not end: {}", self.said()));
        let (code, here) = end.trim_end().split_once(' ').unwrap();
        self.here = here.into();
        Ended { code: code.parse().unwrap(), said: self.said() }
    }

    fn note(&self, what: &str) -> PathBuf {
        self.notes.join(format!("{}.{what}", self.n_commands))
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // one that waits for a command does not listen
        kill_with_descendants(&mut self.bash);
    }
}
