//! The `flowctl` command.

mod args;
mod artifacts;
mod ask;
mod catalog;
mod commands;
mod complete;
mod help;
mod logs;
mod output;
mod paths;
mod pipeline;
mod plane;
mod report;
mod session;
mod state;
mod status;
mod terminal;
mod traces;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = complete::answer().or_else(session::compile_child) {
        return code;
    }
    logs::start();
    args::run()
}
