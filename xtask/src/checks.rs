//! The checks that are another program's: rustfmt, clippy, rustdoc, cargo-deny.

use std::process::Command;

use anyhow::Result;

use crate::guests::{self, TEST_GUESTS};
use crate::setup::{self, WASM_TARGET};
use crate::shell::{Workspace, run, succeeds};
use crate::test::TEST_SUPPORT;

/// Checks the formatting of every package.
pub(crate) fn fmt(workspace: &Workspace) -> Result<()> {
    run(&mut workspace.cargo(["fmt", "--all", "--check"]))
}

/// Runs clippy over the host's crates natively, over the plugins natively with their
/// tests, and over all guests for wasm.
///
/// For wasm only what runs in the sandbox is checked: the tests' dependencies hold C code,
/// which needs a compiler for that target.
pub(crate) fn clippy(workspace: &Workspace) -> Result<()> {
    setup::wasm_target(workspace)?;
    let plugins: Vec<String> =
        guests::plugins(workspace)?.into_iter().flat_map(|name| ["--package".to_owned(), name]).collect();
    let clippy = |arguments: &[&str], packages: &[String]| {
        let mut cargo = workspace.cargo(["clippy"]);
        run(cargo.args(arguments).args(packages).args(["--", "--deny", "warnings"]))
    };
    clippy(&["--all-targets"], &[])?;
    clippy(&["--all-targets"], &plugins)?;
    clippy(&["--all-targets", "--package", TEST_SUPPORT], &[])?;
    clippy(&["--target", WASM_TARGET, "--lib"], &plugins)?;
    clippy(&["--target", WASM_TARGET, "--package", TEST_GUESTS, "--examples"], &[])
}

/// Builds the documentation of the host and the SDK.
pub(crate) fn doc(workspace: &Workspace) -> Result<()> {
    run(workspace.cargo(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
}

/// Makes the guide's book, below the target directory.
pub(crate) fn book(workspace: &Workspace) -> Result<()> {
    let program = setup::mdbook(workspace)?;
    let book = workspace.target.join("book");
    run(Command::new(program).arg("build").arg("docs").arg("--dest-dir").arg(&book).current_dir(&workspace.root))?;
    println!("{}", book.join("index.html").display());
    Ok(())
}

/// Checks licences, bans and sources, and advisories where their database answers.
pub(crate) fn deny(workspace: &Workspace) -> Result<()> {
    let program = setup::cargo_deny(workspace)?;
    let deny = |checks: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["--log-level", "error", "check"]).args(checks).current_dir(&workspace.root);
        command
    };
    run(&mut deny(&["bans", "licenses", "sources"]))?;
    let mut fetch = Command::new(&program);
    fetch.args(["--log-level", "off", "fetch", "db"]).current_dir(&workspace.root);
    if succeeds(&mut fetch) {
        run(&mut deny(&["--disable-fetch", "advisories"]))
    } else {
        println!("advisories: not checked, their database cannot be reached from here");
        Ok(())
    }
}

/// Packages the SDK and its macros, each alone, and builds each from its package, as
/// authors get it.
pub(crate) fn package(workspace: &Workspace) -> Result<()> {
    for name in ["flowctl-sdk-macros", "flowctl-sdk"] {
        run(&mut workspace.cargo(["package", "--allow-dirty", "--package", name]))?;
    }
    Ok(())
}
