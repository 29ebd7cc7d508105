//! The commands, and the options that several of them share.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum as _};
use flowctl_types::{EventType, EventTypeError, units};

use crate::commands::{
    completions, dashboard, dead_letters, doctor, explain, index, init, inspect, lock, login, man, pipelines, plugins,
    processors, pull, push, run, search, serve, status, tap, tokens, topology, validate,
};
use crate::output::Format;
use crate::plane::ControlPlaneArgs;
use crate::{help, report, traces};

/// A host for event pipelines made of WebAssembly components
///
/// flowctl reads a pipeline file, finds the chain of processors from the event type that goes in to the sink that
/// takes what comes out, and runs them in a sandbox.
#[derive(Parser)]
#[command(name = "flowctl", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = help::first_steps(), after_long_help = help::first_steps() + "\n\n" + &help::environment())]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(Box<init::Init>),
    Run(run::Run),
    Serve(serve::Serve),
    Validate(validate::Validate),
    Status(status::Status),
    Dashboard(dashboard::Dashboard),
    /// List, show and stop the pipelines of a control plane
    #[command(subcommand)]
    Pipelines(pipelines::Pipelines),
    Tap(tap::Tap),
    /// Make, list and revoke the tokens that open a control plane
    #[command(subcommand)]
    Tokens(tokens::Tokens),
    Inspect(inspect::Inspect),
    /// Find and show the graph of nodes that a pipeline becomes
    #[command(subcommand)]
    Topology(topology::Topology),
    /// List, find and show what can be a node; make, build and test processors
    #[command(subcommand)]
    Processors(processors::Processors),
    /// List, show and put back the events that a pipeline set aside
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetters),
    Push(push::Push),
    Pull(pull::Pull),
    Lock(lock::Lock),
    Login(login::Login),
    Logout(login::Logout),
    /// List and remove the plugins of the local store
    #[command(subcommand)]
    Plugins(plugins::Plugins),
    Search(search::Search),
    /// Change an index, in which others find plugins
    #[command(subcommand)]
    Index(index::Index),
    Doctor(doctor::Doctor),
    Explain(explain::Explain),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Where plugins, and components of other processes, are looked for.
#[derive(Args)]
pub(crate) struct PluginArgs {
    /// Folder of plugins, or a single `.wasm` file; may be repeated [default: those of the
    /// environment variable FLOWCTL_PLUGINS, with `:` between]
    #[arg(long, value_name = "DIR", default_values_os_t = of_environment(), hide_default_value = true)]
    pub(crate) plugins: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) plane: ControlPlaneArgs,
}

/// The parts of `FLOWCTL_PLUGINS` that name something. Not for clap to read: it refuses
/// an empty value, and takes a variable for an option that was given.
pub(crate) fn of_environment() -> Vec<PathBuf> {
    let Some(said) = std::env::var_os("FLOWCTL_PLUGINS") else { return Vec::new() };
    std::env::split_paths(&said).filter(|part| !part.as_os_str().is_empty()).collect()
}

/// Reads the command line, and does what it says. An error is said, and traces are sent
/// before it ends.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| with_tip(error, std::env::args_os()).exit());
    let code = arguments.run().unwrap_or_else(|error| report::failure(&error));
    traces::finish();
    code
}

impl Arguments {
    /// Does what the arguments say.
    fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Init(init) => init.run(),
            Command::Run(run) => run.run(),
            Command::Serve(serve) => serve.run(),
            Command::Validate(validate) => validate.run(),
            Command::Status(status) => status.run(),
            Command::Dashboard(dashboard) => dashboard.run(),
            Command::Pipelines(pipelines) => pipelines.run(),
            Command::Tap(tap) => tap.run(),
            Command::Tokens(tokens) => tokens.run(),
            Command::Inspect(inspect) => inspect.run(),
            Command::Topology(topology) => topology.run(),
            Command::Processors(processors) => processors.run(),
            Command::DeadLetters(letters) => letters.run(),
            Command::Push(push) => push.run(),
            Command::Pull(pull) => pull.run(),
            Command::Lock(lock) => lock.run(),
            Command::Login(login) => login.run(),
            Command::Logout(logout) => logout.run(),
            Command::Plugins(plugins) => plugins.run(),
            Command::Search(search) => search.run(),
            Command::Index(index) => index.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Explain(explain) => explain.run(),
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
        }
    }
}

/// `error`; where a command line has `help` for a command, with what to write in place of it.
fn with_tip(mut error: clap::Error, words: impl IntoIterator<Item = OsString>) -> clap::Error {
    let unknown = error.get(ContextKind::InvalidSubcommand);
    if matches!(unknown, Some(ContextValue::String(word)) if word == "help") {
        let tip = format!("help is an option: '{}'", help_of(words));
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The command line that shows the help which `flowctl … help …` asks for.
fn help_of(words: impl IntoIterator<Item = OsString>) -> String {
    let all = Arguments::command();
    let (mut command, mut line) = (&all, all.get_name().to_owned());
    for word in words.into_iter().skip(1).filter(|word| word != "help") {
        let Some(inner) = command.find_subcommand(&word) else { break };
        line.push_str(&format!(" {}", inner.get_name()));
        command = inner;
    }
    line + " --help"
}

/// Reads `--output` of what finds components by it, which is the format everywhere else.
pub(crate) fn emitted_type(text: &str) -> Result<EventType, String> {
    if Format::from_str(text, true).is_ok() {
        return Err(format!("here it names an event type; for the format write `-o {text}` or `--format {text}`"));
    }
    text.parse().map_err(|error: EventTypeError| error.to_string())
}

/// Splits `KEY=VALUE`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Reads a length of time.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    units::parse_duration(text).ok_or_else(|| "write a number and a unit, such as `30s` or `2m`".to_owned())
}

/// Reads a length of time that is not zero.
pub(crate) fn period(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| if time.is_zero() { Err("it must be longer than 0s".to_owned()) } else { Ok(time) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_help_with_a_word_is_told_the_option() {
        for (words, wanted) in [
            ("help", "flowctl --help"),
            ("help run", "flowctl run --help"),
            ("help topology add", "flowctl topology add --help"),
            ("topology help", "flowctl topology --help"),
            ("topology help show", "flowctl topology show --help"),
            ("help nothing run", "flowctl --help"),
        ] {
            let words = || std::iter::once("flowctl").chain(words.split(' ')).map(OsString::from);
            let Err(error) = Arguments::try_parse_from(words()) else { panic!("{wanted}: there is a command") };
            let text = with_tip(error, words()).to_string();
            assert!(text.contains(&format!("tip: help is an option: '{wanted}'\n")), "{text}");
        }
        let words = || ["flowctl", "hepl"].map(OsString::from);
        let Err(error) = Arguments::try_parse_from(words()) else { panic!("there is a command") };
        assert!(!with_tip(error, words()).to_string().contains("help is an option"));
    }
}
