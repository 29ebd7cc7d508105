//! Starts the `flowctl` under test, each time in a folder of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A folder with an environment of its own, and the commands run in it.
pub(crate) struct Flowctl {
    folder: TempDir,
}

/// What a command printed, and how it ended.
pub(crate) struct Answer {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
}

impl Flowctl {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// Puts a file in the place of one that somebody may be reading: it is there whole at once.
    pub(crate) fn replace(&self, name: &str, contents: impl AsRef<[u8]>) {
        let new = self.write(&format!("{name}.new"), contents);
        std::fs::rename(new, self.path(name)).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// `flowctl` with these arguments, split at white space.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_flowctl"));
        command.args(arguments.split_whitespace());
        command
    }

    /// A program in the environment that `flowctl` is given here.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // what a developer has set must not matter
        for name in [
            "FLOWCTL_PLUGINS",
            "FLOWCTL_CONFIG",
            "FLOWCTL_TOKEN",
            "FLOWCTL_CA",
            "FLOWCTL_CERT",
            "FLOWCTL_KEY",
            "FLOWCTL_LOG",
            "FLOWCTL_LOG_FORMAT",
            "FLOWCTL_TRACE_EVERY",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_SERVICE_NAME",
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "DOCKER_CONFIG",
            "COSIGN_PASSWORD",
            "SOURCE_DATE_EPOCH",
        ] {
            command.env_remove(name);
        }
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_STATE_HOME", self.path("state"))
            // nor that a control plane runs on the default port
            .env("FLOWCTL_ENDPOINT", "none")
            // compiled once for all cases: compiling is not what they are about
            .env("XDG_CACHE_HOME", cache())
            .stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, arguments: &str) -> Answer {
        Answer::of(self.command(arguments).output().unwrap())
    }

    /// Runs to the end, with `text` on standard input.
    pub(crate) fn run_with_input(&self, arguments: &str, text: &str) -> Answer {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // one that reads none of it closes its end
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        Answer::of(child.wait_with_output().unwrap())
    }

    /// Runs with the first-party plugins.
    pub(crate) fn run_with_plugins(&self, arguments: &str) -> Answer {
        Answer::of(self.command(arguments).env("FLOWCTL_PLUGINS", plugins()).output().unwrap())
    }

    /// Starts with the first-party plugins, stdin and stdout piped.
    pub(crate) fn start(&self, arguments: &str) -> Child {
        let mut command = self.command(arguments);
        command.env("FLOWCTL_PLUGINS", plugins()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }
}

impl Answer {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }

    /// The answer of a command that must have succeeded.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "stderr: {}\nstdout: {}", self.stderr, first(&self.stdout));
        self
    }

    /// The answer of a command that must have failed with exit code 1 and each of
    /// these texts on stderr, without a panic.
    #[track_caller]
    pub(crate) fn failure(self, wanted: &[&str]) -> Self {
        self.ended(1, wanted)
    }

    /// As [`Self::failure`], with exit code 2: the command line means nothing.
    #[track_caller]
    pub(crate) fn misuse(self, wanted: &[&str]) -> Self {
        self.ended(2, wanted)
    }

    #[track_caller]
    fn ended(self, code: i32, wanted: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "stderr: {}\nstdout: {}", self.stderr, first(&self.stdout));
        // a plugin's own panic is told behind this
        let of_host = self.stderr.split("last lines of its log:").next().unwrap_or_default();
        assert!(!of_host.contains("panicked"), "stderr: {}", self.stderr);
        for text in wanted {
            assert!(self.stderr.contains(text), "no `{text}` in stderr: {}", self.stderr);
        }
        self
    }
}

/// The folder of the first-party plugins.
pub(crate) fn plugins() -> PathBuf {
    built("FLOWCTL_TEST_PLUGINS", "plugins", "cargo xtask guests")
}

/// The folder of the misbehaving guests.
pub(crate) fn guests() -> PathBuf {
    built("FLOWCTL_TEST_GUESTS", "wasm32-wasip2/guest/examples", "cargo xtask guests")
}

/// A folder that `command` builds below the target directory, or that the variable names.
pub(crate) fn built(variable: &str, below_target: &str, command: &str) -> PathBuf {
    let folder = std::env::var_os(variable).map_or_else(|| target().join(below_target), PathBuf::from);
    assert!(folder.is_dir(), "`{}` is missing: run `{command}`", folder.display());
    folder
}

fn cache() -> PathBuf {
    target().join("test-cache")
}

/// The folder that cargo builds the tests in, which is kept from run to run.
pub(crate) fn target() -> PathBuf {
    // target/debug/flowctl
    Path::new(env!("CARGO_BIN_EXE_flowctl")).ancestors().nth(2).unwrap().to_owned()
}

fn first(text: &str) -> &str {
    &text[..text.floor_char_boundary(2000)]
}
