//! The compiler's process: does its work, and is stopped at its limits.
//!
//! This test is its own compiler: started with `__compile`, it becomes one.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod support;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use flowctl_engine::{CompileLimits, Compiler, Engine, EngineConfig, compile_child_main};
use flowctl_runtime::Stage as _;
use libtest_mimic::{Arguments, Failed, Trial};

use support::{batch, chain, guest, node, stage};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if std::env::args_os().nth(1).is_some_and(|arg| arg == "__compile") {
        args.next();
        return compile_child_main(args);
    }
    if std::env::args_os().nth(1).is_some_and(|arg| arg == "__silent") {
        return ExitCode::SUCCESS;
    }
    let trials = vec![
        Trial::test("child_compiles_what_this_process_runs", child_compiles),
        Trial::test("compiler_that_takes_too_long_is_stopped", too_long),
        Trial::test("compiler_that_takes_too_much_is_stopped", too_much),
        Trial::test("bytes_that_are_no_code_are_refused_in_words", refused),
        Trial::test("compiler_that_says_nothing_is_not_believed", silent),
        Trial::test("compiler_that_is_not_there_is_named", missing),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn compiler(argument: &str) -> Compiler {
    Compiler::Child { program: std::env::current_exe().unwrap(), args: vec![OsString::from(argument)] }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Why a file cannot be made ready; empty when it can and then works.
fn load(path: &Path, compiler: Compiler, compile: CompileLimits) -> String {
    let config = EngineConfig { compiler, compile, max_instances: 10, ..EngineConfig::default() };
    let engine = Engine::new(config).unwrap();
    runtime().block_on(async {
        match stage(&engine, &node("echo", path)).await {
            Err(error) => chain(&error),
            Ok(stage) => {
                let outcome = stage.instantiate().await.unwrap().process(&batch(["one"])).await.unwrap();
                assert_eq!(outcome.outputs[0].columns.payload(0), b"one");
                assert_eq!(engine.stats().n_compiled, 1);
                String::new()
            }
        }
    })
}

fn expect(found: &str, want: &str) -> Result<(), Failed> {
    if found.contains(want) { Ok(()) } else { Err(format!("expected `{want}`, found `{found}`").into()) }
}

fn child_compiles() -> Result<(), Failed> {
    assert_eq!(load(&guest("identity"), compiler("__compile"), CompileLimits::default()), "");
    Ok(())
}

fn too_long() -> Result<(), Failed> {
    let limits = CompileLimits { time: Duration::from_millis(1), ..CompileLimits::default() };
    expect(
        &load(&guest("identity"), compiler("__compile"), limits),
        "cannot prepare node `echo`: `identity` did not compile within 0.001 s; the compiler was stopped",
    )
}

fn too_much() -> Result<(), Failed> {
    let limits = CompileLimits { memory_bytes: 16 << 20, ..CompileLimits::default() };
    let found = load(&guest("identity"), compiler("__compile"), limits);
    expect(&found, "cannot prepare node `echo`: `identity` does not compile: ")?;
    expect(&found, "memory")
}

fn refused() -> Result<(), Failed> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("odd.wasm");
    // a component with the contract's types around a function that is none
    let mut bytes = fs::read(guest("identity")).unwrap();
    let code = bytes.windows(4).rposition(|window| window == [0x20, 0x00, 0x41, 0x10]).unwrap_or(bytes.len() / 2);
    bytes[code..code + 4].fill(0xff);
    fs::write(&path, bytes).unwrap();
    let found = load(&path, compiler("__compile"), CompileLimits::default());
    expect(&found, "cannot prepare node `echo`: `odd` ")
}

fn silent() -> Result<(), Failed> {
    let found = load(&guest("identity"), compiler("__silent"), CompileLimits::default());
    expect(&found, "`identity` does not compile: the compiler's output is incomplete")
}

fn missing() -> Result<(), Failed> {
    let compiler = Compiler::Child { program: PathBuf::from("/no/such/program"), args: vec![] };
    let found = load(&guest("identity"), compiler, CompileLimits::default());
    expect(&found, "cannot run the compiler `/no/such/program`: No such file")
}
