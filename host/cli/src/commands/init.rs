//! `flowctl init`.
//!
//! What is asked (`questions`, `settings`) and what is said by flags or a preset (`said`,
//! `presets`) become one set of answers (`wizard`), which one writer makes a file of (`writer`).
//! Invariant: whoever answers, the same questions are open, and the same checks hold.

mod chains;
mod place;
mod plugins;
pub(crate) mod presets;
mod questions;
mod said;
mod secrets;
mod settings;
mod talk;
mod values;
mod wizard;
mod writer;
mod yaml;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use flowctl_types::{EventType, NodeId, did_you_mean};

use self::plugins::Plugins;
use self::presets::{PRESETS, Preset};
use self::said::{Said, Setting, setting};
use self::talk::{Stop, Talk};
use self::wizard::{Ready, Wanted};
use crate::args::{PluginArgs, of_environment};
use crate::help::examples;
use crate::output::{self, Format};
use crate::report::Hinted;
use crate::{ask, status};

/// Write a pipeline file, question by question or from a preset
///
/// Asks where events come from, where they go and what they pass through, then for the settings that the nodes cannot do
/// without, and shows the file before it writes it. Esc goes one question back; Ctrl-C leaves, and nothing is written.
/// Every question has a flag. Without a terminal nobody is asked: what has no default and was not said is an error.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl init", "question by question"),
    ("flowctl init --preset transfers-stdout", "ready made; `--list-presets` lists them"),
    ("flowctl init orders.yaml --from example.order.v1 --source generate --to stdout", "no questions"),
]))]
pub(crate) struct Init {
    /// The file to write [default: the pipeline's name and `.yaml`]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Take a pipeline that is ready made
    #[arg(long, value_name = "PRESET", conflicts_with_all = ["from", "source", "to", "via", "types"])]
    preset: Option<String>,
    /// List the presets
    #[arg(long, conflicts_with_all = ["file", "preset"])]
    list_presets: bool,
    /// Event type that goes in
    #[arg(long, value_name = "TYPE")]
    from: Option<EventType>,
    /// Source that the events come from
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Sink that they go to
    #[arg(long, value_name = "SINK")]
    to: Option<String>,
    /// Processor to pass through; may be repeated, in this order
    #[arg(long, value_name = "PROCESSOR")]
    via: Vec<String>,
    /// Event types of your own: a file of WIT text, or a folder with a package; may be repeated
    #[arg(long, value_name = "FILE")]
    types: Vec<String>,
    /// A setting of a node, fields of fields joined with dots; may be repeated
    #[arg(long = "set", value_name = "NODE.KEY=VALUE", value_parser = SecretlyParsed)]
    settings: Vec<Setting>,
    /// The pipeline's name [default: that of the file]
    #[arg(long, value_name = "NAME")]
    name: Option<NodeId>,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
    /// Ask nothing, also on a terminal
    #[arg(long)]
    non_interactive: bool,
    #[command(flatten)]
    plugins: PluginArgs,
    /// How to print the presets
    #[arg(short, long, value_enum, default_value_t, requires = "list_presets")]
    output: Format,
}

impl Init {
    /// Writes the pipeline, and prints the paths of its files.
    pub(crate) fn run(self) -> Result<ExitCode> {
        if self.list_presets {
            let rows: Vec<_> = PRESETS.iter().map(Preset::row).collect();
            let cells: Vec<_> = rows.iter().map(presets::Row::cells).collect();
            output::value(self.output, &rows, || output::table(&["PRESET", "NEEDS", "WHAT IT DOES"], &cells))?;
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(file) = &self.file {
            place::check(file)?;
        }
        let said = self.said()?;
        let wanted = Wanted { file: self.file.as_deref(), is_forced: self.force };
        let plugins = Plugins::read(&self.plugins)?;
        let mut talk = Talk::new(if self.non_interactive { None } else { ask::asker() });
        let ready = loop {
            talk.restart();
            match wizard::run(&mut talk, &said, &wanted, &plugins) {
                Ok(ready) => break ready,
                Err(Stop::Again) => {}
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Left) => {
                    status::say("Nothing was written");
                    return Ok(ExitCode::FAILURE);
                }
            }
        };
        place::write(&ready.files, ready.existing)?;
        let paths: Vec<String> = ready.files.iter().map(|(path, _)| path.display().to_string()).collect();
        output::line(paths.join("\n"))?;
        self.say_next(&ready);
        Ok(ExitCode::SUCCESS)
    }

    /// What the flags say.
    fn said(&self) -> Result<Said> {
        let flags = Said {
            name: self.name.clone(),
            types: self.types.clone(),
            from: self.from.clone(),
            source: self.source.clone(),
            to: self.to.clone(),
            via: Some(self.via.clone()).filter(|via| !via.is_empty()),
            settings: self.settings.clone(),
            files: Vec::new(),
        };
        let Some(name) = &self.preset else { return Ok(flags) };
        let preset = Preset::find(name).ok_or_else(|| {
            let near = did_you_mean(name, PRESETS.iter().map(|preset| preset.name));
            let all = || "`flowctl init --list-presets` shows them".to_owned();
            Hinted::usage(format!("there is no preset `{name}`"), near.unwrap_or_else(all))
        })?;
        Ok(preset.said(self.file.as_deref()).with(flags))
    }

    fn say_next(&self, ready: &Ready) {
        let Some((file, _)) = ready.files.last() else { return };
        let mut run = format!("flowctl run {}", output::shell_word(file));
        if self.plugins.plugins != of_environment() {
            run.extend(self.plugins.plugins.iter().map(|folder| format!(" --plugins {}", output::shell_word(folder))));
        }
        status::say("Next:");
        for name in &ready.unset {
            let example = if name == "DATABASE_URL" { "postgres://USER:PASSWORD@HOST/DATABASE" } else { "…" };
            status::say(&format!("  export {name}='{example}'"));
        }
        status::say(&format!("  {run}"));
    }
}

/// Reads settings; what is wrong with one is said without its value, which may be a secret.
#[derive(Clone)]
struct SecretlyParsed;

impl clap::builder::TypedValueParser for SecretlyParsed {
    type Value = Setting;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Setting, clap::Error> {
        setting(&value.to_string_lossy()).map_err(|wrong| {
            let message = format!("a value of '--set <NODE.KEY=VALUE>' cannot be read: {wrong}\n");
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}
