//! The `flowctl` command.

mod args;
mod artifacts;
mod catalog;
mod commands;
mod logs;
mod output;
mod paths;
mod pipeline;
mod plane;
mod report;
mod session;
mod state;
mod status;
mod traces;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    logs::start();
    if std::env::args_os().nth(1).is_some_and(|first| first == session::COMPILE) {
        return flowctl_engine::compile_child_main(std::env::args_os().skip(2));
    }
    let code = args::Arguments::parse().run().unwrap_or_else(|error| report::failure(&error));
    traces::finish();
    code
}
