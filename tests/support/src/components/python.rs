//! The programs in Python, which share no code with flowctl.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::clean;

/// The folder of grpcio and protobuf, which the programs need: `FLOWCTL_TEST_PYTHON`, as
/// `cargo xtask test` sets it. None where it is not set.
pub fn python_packages() -> Option<PathBuf> {
    std::env::var_os("FLOWCTL_TEST_PYTHON").map(PathBuf::from)
}

/// What the client in Python saw when it called every method of the control plane at
/// `endpoint`, `HOST:PORT`: an object from the name of each step to what it gave.
///
/// # Panics
///
/// When the client fails, or [`python_packages`] is none.
pub fn client_answers(endpoint: &str) -> serde_json::Value {
    let mut client = command("client.py");
    let answer = client.env("FLOWCTL_ENDPOINT", endpoint).stdin(Stdio::null()).output();
    let answer = answer.expect("`python3` can be started");
    assert!(answer.status.success(), "the client failed: {}", String::from_utf8_lossy(&answer.stderr));
    serde_json::from_slice(&answer.stdout).expect("the client prints JSON")
}

/// The command of a program.
pub(super) fn command(script: &str) -> Command {
    let packages = python_packages().expect("`FLOWCTL_TEST_PYTHON` is set: run the tests with `cargo xtask test`");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components").join(script);
    let mut command = clean("python3");
    // no compiled copies beside the sources
    command.arg("-B").arg(script).env("PYTHONPATH", packages);
    command
}
