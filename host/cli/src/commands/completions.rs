//! `flowctl completions SHELL`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use crate::help::examples;
use crate::{complete, output};

/// Print what has a shell complete commands, options and names
///
/// The script asks flowctl itself whenever there is something to complete: pipelines, runs and nodes of the control
/// plane that runs, event types, plugins, connectors, files. What does not answer at once is left out.
#[derive(Args)]
#[command(after_help = examples(&[
    ("source <(flowctl completions bash)", "in ~/.bashrc"),
    ("source <(flowctl completions zsh)", "in ~/.zshrc, behind compinit"),
    ("flowctl completions fish | source", "in ~/.config/fish/config.fish"),
]))]
pub(crate) struct Completions {
    /// The shell to complete for
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub(crate) fn run(self) -> Result<ExitCode> {
        output::line(complete::script(self.shell, &program())?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// This program as the shell finds it, wherever it is asked from.
fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_else(|| "flowctl".into());
    let path = std::path::Path::new(&called);
    // a name alone is looked for in PATH, also after the program was replaced
    let found = if path.components().count() > 1 { std::path::absolute(path).ok() } else { None };
    found.unwrap_or_else(|| path.to_owned()).to_string_lossy().into_owned()
}
