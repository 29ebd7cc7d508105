//! What help says beside a command's own words: examples, and the environment.
//!
//! Invariant: an example is a line for a shell, and the command takes it. A test parses each
//! of them with the parser itself, and looks its names up; another finds every variable that
//! the program reads among those that are listed here.

use clap::Command;

/// The widest that a line may be: help is at most as wide.
const MAX_WIDTH: usize = 100;

/// The variables that flowctl reads, and what for.
pub(crate) const ENVIRONMENT: [(&str, &str); 23] = [
    ("FLOWCTL_PLUGINS", "Folders of plugins and `.wasm` files, with `:` between"),
    ("FLOWCTL_ENDPOINT", "Address of the control plane; `none` looks for none"),
    ("FLOWCTL_TOKEN", "Token that the control plane is asked with"),
    ("FLOWCTL_CA", "File of authorities (PEM) that a control plane is trusted by"),
    ("FLOWCTL_CERT", "File of the caller's certificate (PEM), in place of a token"),
    ("FLOWCTL_KEY", "File of that certificate's key (PEM)"),
    ("FLOWCTL_CONFIG", "Settings [default: $XDG_CONFIG_HOME/flowctl/config.yaml]"),
    ("FLOWCTL_LOG", "What is logged, such as `flowctl_engine=debug` [default: warn]"),
    ("FLOWCTL_LOG_FORMAT", "`json` logs lines of JSON"),
    ("FLOWCTL_TRACE_EVERY", "Of so many batches one is traced [default: 100]"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "Collector of traces, over gRPC; without one none are sent"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "The same, which counts before it"),
    ("OTEL_SERVICE_NAME", "Name that traces are sent under [default: flowctl]"),
    ("OTEL_SDK_DISABLED", "`true` sends no traces"),
    ("XDG_STATE_HOME", "Folder of checkpoints, dead letters [default: ~/.local/state]"),
    ("XDG_DATA_HOME", "Folder of pulled plugins [default: ~/.local/share]"),
    ("XDG_CACHE_HOME", "Folder of compiled plugins, for speed [default: ~/.cache]"),
    ("XDG_CONFIG_HOME", "Folder of settings [default: ~/.config]"),
    ("DOCKER_CONFIG", "Folder of docker's logins for registries [default: ~/.docker]"),
    ("COSIGN_PASSWORD", "Password of a signing key that is encrypted"),
    ("SOURCE_DATE_EPOCH", "Time that pushed artifacts bear, seconds since 1970"),
    ("DATABASE_URL", "Where the sink `postgres` writes if it has no `url`"),
    ("NO_COLOR", "Any value that is not empty: no colours"),
];

/// What exit codes say.
pub(crate) const EXIT_STATUS: &str = "0 done, 1 failed, 2 wrong usage";

/// What stands before the examples of a command.
const HEADING: &str = "Examples:";

/// The examples of a command: lines for a shell, each with a few words or none.
pub(crate) fn examples(lines: &[(&str, &str)]) -> String {
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
    let mut text = HEADING.to_owned();
    for (line, words) in lines {
        let line = match *words {
            "" => (*line).to_owned(),
            words if width + words.chars().count() + 6 <= MAX_WIDTH => format!("{line:width$}  # {words}"),
            words => format!("{line}  # {words}"),
        };
        text.push_str(&format!("\n  {line}"));
    }
    text
}

/// The lines of a command's examples, as its help has them.
pub(crate) fn examples_of(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines = help.strip_prefix(HEADING).unwrap_or_default().lines();
    lines.filter(|line| !line.is_empty()).map(|line| line.trim().to_owned()).collect()
}

/// The first things that somebody does.
pub(crate) fn first_steps() -> String {
    examples(&[
        ("flowctl processors list", "what pipelines can be made of"),
        ("flowctl topology suggest --from stellar.ledger.v1 --to postgres", "the processors between"),
        ("flowctl run transfers.yaml", "run a pipeline"),
        ("flowctl status", "what a control plane runs"),
    ])
}

/// The environment variables, as the program's own help lists them.
pub(crate) fn environment() -> String {
    let width = ENVIRONMENT.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = ENVIRONMENT.iter().map(|(name, words)| format!("  {name:width$}  {words}\n"));
    format!("Environment:\n{}\nExit status: {EXIT_STATUS}", lines.collect::<String>())
}

#[cfg(test)]
mod tests;
