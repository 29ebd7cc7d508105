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

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    logs::start();
    if std::env::args_os().nth(1).is_some_and(|first| first == session::COMPILE) {
        return flowctl_engine::compile_child_main(std::env::args_os().skip(2));
    }
    match args::Arguments::parse().run() {
        Ok(code) => code,
        Err(error) => report::failure(&error),
    }
}
