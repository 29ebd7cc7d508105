//! Processors as their authors make them: `flowctl processors init | build | test | dev`, with
//! the real cargo.

mod build;
mod cases;
mod dev;
mod init;

use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Trial;

use crate::flowctl::{Answer, Flowctl, target};

/// A checkout of flowctl: this one.
pub(crate) const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

pub(crate) fn trials() -> Vec<Trial> {
    [init::trials(), build::trials(), cases::trials(), dev::trials()].into_iter().flatten().collect()
}

/// Somebody who writes a processor, with a folder of their own.
pub(crate) struct Author {
    pub(crate) flowctl: Flowctl,
}

impl Author {
    pub(crate) fn new() -> Self {
        Self { flowctl: Flowctl::new() }
    }

    /// One who has the crate `name` of orders to orders.
    pub(crate) fn of_orders(name: &str) -> Self {
        let author = Self::new();
        author.init(name, "--input example.order.v1 --output example.order.v1").success();
        author
    }

    /// `flowctl` with these arguments, which finds the toolchain that built the tests.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_flowctl"));
        command.args(arguments.split_whitespace());
        command
    }

    /// A program that finds the toolchain.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = self.flowctl.program(program);
        let home = PathBuf::from(std::env::var_os("HOME").unwrap());
        for (variable, below_home) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            command.env(variable, std::env::var_os(variable).map_or_else(|| home.join(below_home), PathBuf::from));
        }
        command.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS").env("CARGO_NET_OFFLINE", "true");
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, arguments: &str) -> Answer {
        Answer::of(self.command(arguments).output().unwrap())
    }

    /// Makes a crate, which is then as [`Self::ready`] leaves it.
    pub(crate) fn init(&self, name: &str, arguments: &str) -> Answer {
        let answer = self.run(&format!("processors init {name} {arguments} --sdk {CHECKOUT}"));
        if answer.code == Some(0) {
            self.ready(name);
        }
        answer
    }

    /// Has a crate build with the versions that this repository is locked to, so that nothing
    /// new is fetched, into a folder that all cases share, so that its dependencies are built
    /// once. Two cases that run at one time need crates of different names.
    pub(crate) fn ready(&self, folder: &str) {
        let (folder, shared) = (self.flowctl.path(folder), target().join("authoring"));
        std::fs::write(folder.join("Cargo.lock"), include_str!("../../../Cargo.lock")).unwrap();
        std::fs::create_dir_all(&shared).unwrap();
        std::os::unix::fs::symlink(shared, folder.join("target")).unwrap();
    }

    /// Writes the processor of a crate of orders: `process` is what it does with each.
    pub(crate) fn write_processor(&self, name: &str, process: &str) {
        let module = name.replace('-', "_");
        let text = format!(
            "#[flowctl_sdk::processor(input = \"example.order.v1\", output = \"example.order.v1\")]\n\
             pub mod {module} {{\n    /// Of a test.\n    pub struct OfATest;\n\n    impl OfATest {{\n        \
             fn new() -> Self {{ Self }}\n\n        \
             fn process(&mut self, order: Order, out: &mut Emitter<Order>) -> Result<(), Reject> {{\n            \
             {process}\n            Ok(())\n        }}\n    }}\n}}\n"
        );
        self.flowctl.write(&format!("{name}/src/lib.rs"), text);
    }

    /// Runs `cargo` in a crate.
    pub(crate) fn cargo(&self, folder: &str, arguments: &[&str]) -> Answer {
        let mut cargo = Command::new("cargo");
        cargo.args(arguments).current_dir(self.flowctl.path(folder)).env_remove("CARGO_TARGET_DIR");
        Answer::of(cargo.env("CARGO_NET_OFFLINE", "true").output().unwrap())
    }
}
