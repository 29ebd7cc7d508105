//! Completions: what a shell offers while a command line is typed.
//!
//! The script of `flowctl completions SHELL` calls this program with [`VARIABLE`] set and the
//! words behind `--`. Invariant: whatever is asked and whatever is not there, the answer
//! comes within [`LIMIT`] and the start of the process, nothing is said on stderr, nothing is
//! asked for, pulled or made. What a value may be is told by what help calls it: one table,
//! [`offer`], which every value in help has to be in.

mod bash;
mod line;
mod names;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::builder::ValueHint;
use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{CompleteEnv, Elvish, Fish, Powershell, Shells, Zsh};

use self::bash::Bash;
use self::line::Line;
use self::names::Names;
use crate::args::Arguments;
use crate::status;

/// Set by the scripts, to the shell's name.
const VARIABLE: &str = "FLOWCTL_COMPLETE";

/// The longest time that names are looked for; what is found later is not offered.
const LIMIT: Duration = Duration::from_millis(200);

const SHELLS: Shells<'static> = Shells(&[&Bash, &Elvish, &Fish, &Powershell, &Zsh]);

/// What is offered for a value.
enum Offer {
    /// Names that are known somewhere.
    Names(Names),
    /// Names, and files with one of these extensions.
    NamesOrFiles(Names, &'static [&'static str]),
    /// Files with one of these extensions; any where there is none.
    Files(&'static [&'static str]),
    /// Folders.
    Folders,
    /// Nothing: it is the user's own.
    Nothing,
}

/// Answers a shell, where one asks.
pub(crate) fn answer() -> Option<ExitCode> {
    std::env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    // whatever is said would stand between the letters that are typed
    status::mute();
    std::panic::set_hook(Box::new(|_| {}));
    let here = std::env::current_dir().ok();
    let arguments = bash::arguments().unwrap_or_else(|| std::env::args_os().collect());
    let line = Line::of(&arguments);
    let completer = CompleteEnv::with_factory(|| command(line.as_ref())).var(VARIABLE).shells(SHELLS);
    let answered = completer.try_complete(arguments, here.as_deref());
    Some(if answered.is_ok_and(|was_asked| was_asked) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The script that has a shell ask `program`.
///
/// # Errors
///
/// When the shell is one that cannot ask.
pub(crate) fn script(shell: Shell, program: &str) -> Result<String> {
    let name = shell.to_string();
    let completer = SHELLS.completer(&name).with_context(|| format!("`{name}` cannot ask for completions"))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "flowctl", "flowctl", program, &mut script)?;
    Ok(String::from_utf8_lossy(&script).trim().to_owned())
}

/// The command, with what is offered for its values on a line.
fn command(line: Option<&Line>) -> Command {
    fn with_offers(command: Command, line: Option<&Line>) -> Command {
        // what is hidden is offered where there is nothing else: options do not stand between names
        let hidden = |arg: Arg| if arg.is_positional() { arg } else { arg.hide(true) };
        command.mut_args(|arg| hidden(with_offer(arg, line))).mut_subcommands(|inner| with_offers(inner, line))
    }
    let mut command = Arguments::command();
    // with the options that clap adds
    command.build();
    with_offers(command, line)
}

fn with_offer(arg: Arg, line: Option<&Line>) -> Arg {
    let line = line.cloned();
    match offer(&arg) {
        Some(Offer::Names(names)) => {
            arg.add(ArgValueCompleter::new(move |current: &OsStr| known(names, line.as_ref(), current)))
        }
        Some(Offer::NamesOrFiles(names, extensions)) => arg.add(ArgValueCompleter::new(move |current: &OsStr| {
            let mut found = known(names, line.as_ref(), current);
            found.extend(files(extensions).complete(current));
            found
        })),
        Some(Offer::Files([])) => arg.value_hint(ValueHint::FilePath),
        Some(Offer::Files(extensions)) => arg.add(ArgValueCompleter::new(files(extensions))),
        Some(Offer::Folders) => arg.value_hint(ValueHint::DirPath),
        Some(Offer::Nothing) | None => arg,
    }
}

/// What is offered for the value of `arg`, by what help calls it; none where it has none, or
/// lists them itself, or help calls it something that is not known here.
fn offer(arg: &Arg) -> Option<Offer> {
    const PIPELINES: &[&str] = &["yaml", "yml", "json"];
    const PLUGINS: &[&str] = &["wasm"];
    let takes_value = arg.get_action().takes_values() && arg.get_possible_values().is_empty();
    let name = arg.get_value_names().and_then(|names| names.first()).filter(|_| takes_value)?;
    Some(match name.as_str() {
        "PIPELINE" => Offer::Names(Names::Pipelines),
        "RUN" => Offer::Names(Names::Runs),
        "NODE" => Offer::Names(Names::Nodes),
        "TYPE" => Offer::Names(Names::EventTypes),
        "SOURCE" => Offer::Names(Names::Sources),
        "PROCESSOR" => Offer::Names(Names::Processors),
        "SINK" => Offer::Names(Names::Sinks),
        "COMPONENT" => Offer::NamesOrFiles(Names::Components, PLUGINS),
        "REF" if arg.get_id() == "index" => Offer::Names(Names::Indexes),
        "REF" => Offer::Names(Names::Stored),
        "FILE.wasm | REF" => Offer::NamesOrFiles(Names::Stored, PLUGINS),
        "FILE.wasm" => Offer::Files(PLUGINS),
        "FILE | PIPELINE" => Offer::NamesOrFiles(Names::PipelinesWithState, PIPELINES),
        "FILE" if arg.is_positional() => Offer::Files(PIPELINES),
        "FILE" => Offer::Files(&[]),
        "DIR" | "PATH" => Offer::Folders,
        "EVENT" => Offer::Names(Names::Letters),
        "REVISION" => Offer::Names(Names::Revisions),
        "CASE" => Offer::Names(Names::Cases),
        "CODE" => Offer::Names(Names::Codes),
        "PRESET" => Offer::Names(Names::Presets),
        "TENANT" => Offer::Names(Names::Tenants),
        "TOKEN" => Offer::Names(Names::Tokens),
        "ADDR" | "HASH" | "HOST" | "ID" | "KEY=VALUE" | "N" | "NAME" | "NODE.KEY=VALUE" | "PORT" | "REGISTRY"
        | "SHARE" | "TEXT" | "TIME" | "WORD" => Offer::Nothing,
        _ => return None,
    })
}

/// The names that begin with what was typed; not those that no line can hold.
fn known(names: Names, line: Option<&Line>, current: &OsStr) -> Vec<CompletionCandidate> {
    let (Some(current), Some(line)) = (current.to_str(), line) else { return Vec::new() };
    let is_meant = |name: &str| name.starts_with(current) && !name.contains(char::is_control);
    let found = names::within(LIMIT, names, line).into_iter().filter(|(name, _)| is_meant(name));
    let candidate = |(name, words): (String, String)| {
        CompletionCandidate::new(name).help((!words.is_empty()).then(|| words.into()))
    };
    found.map(candidate).collect()
}

fn files(extensions: &'static [&'static str]) -> PathCompleter {
    let is_wanted = |path: &Path| {
        let extension = path.extension().and_then(OsStr::to_str);
        extension.is_some_and(|extension| extensions.contains(&extension)) && path.is_file()
    };
    PathCompleter::any().filter(is_wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_in_help_is_in_the_table() {
        fn check(path: &str, command: &Command) {
            for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
                let is_listed = !arg.get_possible_values().is_empty();
                let name = arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default();
                assert!(
                    is_listed || offer(arg).is_some(),
                    "`{path}`: nothing is said of `{name}` of `{}`",
                    arg.get_id()
                );
            }
            command.get_subcommands().for_each(|inner| check(&format!("{path} {}", inner.get_name()), inner));
        }
        check("flowctl", &Arguments::command());
    }

    #[test]
    fn a_script_asks_the_program_that_printed_it() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let text = script(shell, "/opt/flow/flowctl").unwrap();
            assert!(text.contains("/opt/flow/flowctl") && text.contains(VARIABLE), "{shell}: {text}");
        }
    }
}
