//! Development commands of this repository: `cargo xtask --help`.
//!
//! One file a command. Continuous integration calls nothing else.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program talks to its terminal")]
#![allow(clippy::disallowed_macros, reason = "it draws no live lines, and whoever closes its stderr may see it end")]

mod bench;
mod checks;
mod cli;
mod demo;
mod guests;
mod python;
mod setup;
mod shell;
mod soak;
mod test;
mod tidy;
mod wit;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
