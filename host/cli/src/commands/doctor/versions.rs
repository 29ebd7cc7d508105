//! What this is, and the tools that authors of processors need.

use std::process::Stdio;

use flowctl_engine::WASMTIME_VERSION;
use flowctl_schema::CONTRACT_VERSION;
use tokio::process::Command;

use super::check::Check;
use super::within;

const TARGET: &str = "wasm32-wasip2";

pub(super) async fn check() -> Vec<Check> {
    let (rust, target) = tokio::join!(said(&["--version"]), said(&["--print", "target-libdir", "--target", TARGET]));
    let system = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    vec![
        Check::ok("flowctl", format!("{}, {system}", env!("CARGO_PKG_VERSION"))),
        Check::ok("wasmtime", WASMTIME_VERSION),
        Check::ok("contract", format!("runs plugins of `flowctl:processor@{CONTRACT_VERSION}`")),
        toolchain(rust.as_deref()),
        wasm_target(rust.is_ok(), target.ok().as_deref()),
    ]
}

/// What `rustc` answers, or why it does not.
async fn said(arguments: &[&str]) -> Result<String, String> {
    if !has_rustup_home() {
        return Err("rustup has no toolchain".to_owned());
    }
    let mut command = Command::new("rustc");
    // rustup's own would install the toolchain that a file of this folder names
    command.env("RUSTUP_AUTO_INSTALL", "0");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    match within(command.output()).await {
        None => Err("`rustc` does not answer".to_owned()),
        Some(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Err("`rustc` is not installed".to_owned()),
        Some(Err(error)) => Err(format!("`rustc` cannot be started: {error}")),
        Some(Ok(output)) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Some(Ok(output)) => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            Err(format!("`rustc` fails: {}", complaint.lines().next().unwrap_or_default()))
        }
    }
}

/// Whether `rustc` can be asked: rustup's own would make its folder first.
fn has_rustup_home() -> bool {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let compiler = std::env::split_paths(&search).map(|folder| folder.join("rustc")).find(|path| path.is_file());
    let is_of_rustup = compiler.is_some_and(|path| path.with_file_name("rustup").is_file());
    let named = std::env::var_os("RUSTUP_HOME").map(std::path::PathBuf::from);
    let home = named.or_else(|| Some(std::path::PathBuf::from(std::env::var_os("HOME")?).join(".rustup")));
    !is_of_rustup || home.is_some_and(|home| home.is_dir())
}

fn toolchain(said: Result<&str, &String>) -> Check {
    let needed = env!("CARGO_PKG_RUST_VERSION");
    match said {
        Ok(version) if is_older(version, needed) => {
            Check::note("Rust", format!("{version}; processors need {needed}")).with("rustup update")
        }
        Ok(version) => Check::ok("Rust", version),
        Err(why) => Check::note("Rust", format!("{why}; only authors of processors need it"))
            .with("install rustup, then `rustup toolchain install stable`"),
    }
}

fn wasm_target(has_rust: bool, folder: Option<&str>) -> Check {
    match folder {
        Some(folder) if std::path::Path::new(folder).is_dir() => {
            Check::ok("wasm target", format!("{TARGET} is installed"))
        }
        _ if has_rust => {
            Check::note("wasm target", format!("{TARGET} is not installed; only authors of processors need it"))
                .with(format!("rustup target add {TARGET}"))
        }
        _ => Check::skipped("wasm target", "there is no Rust"),
    }
}

/// Whether `rustc 1.80.0 (…)` is older than `1.95`. What cannot be read is not.
fn is_older(said: &str, needed: &str) -> bool {
    let numbers =
        |version: &str| -> Option<Vec<u32>> { version.split('.').take(2).map(|part| part.parse().ok()).collect() };
    let found = said.split_whitespace().nth(1).and_then(numbers);
    found.zip(numbers(needed)).is_some_and(|(found, needed)| found < needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(is_older("rustc 1.9.0 (abc 2020-01-01)", "1.80"));
        assert!(!is_older("rustc 1.95.0 (abc 2026-01-01)", "1.95"));
        assert!(!is_older("something else", "1.95"));
    }
}
