//! `flowctl processors list | find | show`, and what makes processors: `init | build | test | dev`.

mod build;
mod cargo;
mod cases;
mod compare;
mod dev;
mod init;
mod rig;
mod rust_form;
mod scaffold;
mod test;
mod watch;
pub(super) mod workbench;

use std::borrow::Borrow;
use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgGroup, Args, Subcommand};
use flowctl_registry::{Accepts, Declarations, Entry};
use flowctl_schema::Schema;
use flowctl_types::{Code, EventType, did_you_mean};
use serde::Serialize;

use self::build::Build;
use self::dev::Dev;
use self::init::Init;
use self::test::Test;
use crate::args::{PluginArgs, emitted_type, key_value};
use crate::artifacts::Artifacts;
use crate::artifacts::args::RegistryArgs;
use crate::catalog::{self, Shown};
use crate::commands::describe::Description;
use crate::help::examples;
use crate::output::{self, Format};
use crate::report::{Hinted, told};
use crate::status;

/// The commands below `processors`.
#[derive(Subcommand)]
#[command(after_help = examples(&[
    ("flowctl processors list", "what there is"),
    ("flowctl processors show ttp-processor", "types and configuration"),
    ("flowctl processors build", "the crate here"),
]))]
pub(crate) enum Processors {
    /// List the sources, processors and sinks that pipelines can use
    List(List),
    /// Find what reads or emits an event type
    Find(Find),
    /// Show all that is known of one
    Show(Show),
    /// Make the crate of a new processor
    ///
    /// The crate builds, and its tests pass: a processor that passes events on, or makes others of them, with what both
    /// types have in common; a native test; a golden case below `cases/`; and a pipeline that runs it on events that
    /// flowctl makes up. Types that the SDK has not built in become files of WIT in it. Nothing is ever overwritten.
    Init(Box<Init>),
    /// Build a processor to a component
    ///
    /// What is missing of the toolchain, or wrong in Cargo.toml, is named with what mends it.
    Build(Build),
    /// Run a processor's golden cases, in the sandbox
    ///
    /// The crate is built, and its component run on each folder below `cases/`: `input.jsonl` has the events that go in,
    /// `expected.jsonl` what has to come of them, `config.yaml` the configuration, if any. A refused event is a line
    /// `{"$rejected": "the reason", "line": 2}` behind those that came out. Event times are 0, 1, 2, … ns, and nothing is
    /// granted, so that what comes out depends on the case alone.
    Test(Test),
    /// Run a pipeline, and its processors anew whenever their source changes
    ///
    /// The crates are built, and the pipeline is run in this process. When the source of a crate changes, it is built
    /// again and takes its place in the pipeline while events flow, without losing one, and with the state of the one
    /// before. A crate that does not build changes nothing; one that traps, stalls or refuses most of its events on trial
    /// is taken back. Changes of the pipeline's file take effect as well. Ctrl-C drains the pipeline, a second one stops
    /// it at once.
    ///
    /// A node runs a crate where it names the crate's processor, or a file of the name that the component has.
    Dev(Box<Dev>),
}

/// Arguments of `processors list`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl processors list", ""),
    ("flowctl processors list --plugins ./plugins --output json", "with plugins of a folder"),
]))]
pub(crate) struct List {
    /// Also components of other processes that are not healthy
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    plugins: PluginArgs,
    /// How to print the list
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Arguments of `processors find`.
#[derive(Args)]
#[command(group(ArgGroup::new("wanted").args(["input", "output", "metadata"]).required(true).multiple(true)))]
#[command(after_help = examples(&[
    ("flowctl processors find --input stellar.ledger.v1", "who reads it"),
    ("flowctl processors find --input stellar.ledger.v1 --output stellar.token.transfer.v1", ""),
    ("flowctl processors find --output stellar.ledger.v1 --metadata network=pubnet -o json", ""),
]))]
pub(crate) struct Find {
    /// Event type that it reads
    #[arg(long, value_name = "TYPE")]
    input: Option<EventType>,
    /// Event type that it emits
    #[arg(long, value_name = "TYPE", value_parser = emitted_type)]
    output: Option<EventType>,
    /// Metadata that it must not contradict, `network=pubnet`; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    metadata: Vec<(String, String)>,
    #[command(flatten)]
    plugins: PluginArgs,
    /// How to print the list
    #[arg(short = 'o', long, value_enum, default_value_t)]
    format: Format,
}

/// Arguments of `processors show`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl processors show postgres", "a connector"),
    ("flowctl processors show ttp-processor --output yaml", "a plugin, for a program"),
]))]
pub(crate) struct Show {
    /// Its name, as `processors list` prints it
    #[arg(value_name = "COMPONENT")]
    id: String,
    #[command(flatten)]
    plugins: PluginArgs,
    /// How to print it; where a source and a sink share the name, a list of both
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Row {
    id: String,
    role: String,
    input_types: Vec<String>,
    output_types: Vec<String>,
    status: String,
    version: Option<String>,
    origin: String,
}

impl Processors {
    /// Prints what was asked for.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::List(list) => {
                let artifacts = Artifacts::new(RegistryArgs::default())?;
                let registry = catalog::load(
                    &list.plugins.plugins,
                    &artifacts,
                    &list.plugins.plane.live()?,
                    Declarations::default(),
                )?;
                for conflict in registry.conflicts() {
                    status::warn(&format!("{conflict}; {}", conflict.hint()));
                }
                print(list.output, registry.all_entries().filter(|entry| list.all || entry.is_healthy()))
            }
            Self::Find(find) => {
                let artifacts = Artifacts::new(RegistryArgs::default())?;
                let registry = catalog::load(
                    &find.plugins.plugins,
                    &artifacts,
                    &find.plugins.plane.live()?,
                    Declarations::default(),
                )?;
                let known = |wanted: &EventType| match registry.event_type(wanted) {
                    Ok(schema) => Ok(schema),
                    Err(error) => Err(told(Some(error.code()), error.to_string(), error.hint())),
                };
                let input = find.input.as_ref().map(known).transpose()?;
                find.output.as_ref().map(known).transpose()?;
                print(find.format, registry.all_entries().filter(|entry| find.matches(entry, input)))
            }
            Self::Show(show) => {
                let artifacts = Artifacts::new(RegistryArgs::default())?;
                let registry = catalog::load(
                    &show.plugins.plugins,
                    &artifacts,
                    &show.plugins.plane.live()?,
                    Declarations::default(),
                )?;
                let found: Vec<Description> = registry.named(&show.id).map(Description::of).collect();
                if found.is_empty() {
                    let near = did_you_mean(&show.id, registry.entries().map(|entry| entry.name.as_str()));
                    let all = || "`flowctl processors list` shows all; --plugins DIR adds plugins".to_owned();
                    let message = format!("there is no `{}`", show.id);
                    return Err(Hinted::coded(Code::UnknownComponent, message, near.unwrap_or_else(all)));
                }
                // a source and a sink may share a name
                match found.as_slice() {
                    [one] => output::value(show.output, one, || one.text())?,
                    all => output::value(show.output, &all, || {
                        all.iter().map(Description::text).collect::<Vec<_>>().join("\n")
                    })?,
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Init(init) => init.run(),
            Self::Build(build) => build.run(),
            Self::Test(test) => test.run(),
            Self::Dev(dev) => dev.run(),
        }
    }
}

impl Find {
    fn matches(&self, entry: &Entry, input: Option<&Schema>) -> bool {
        let reads = |wanted: &Schema| match &entry.accepts {
            Accepts::Nothing => false,
            Accepts::Types(types) => types.iter().any(|schema| schema.event_type() == wanted.event_type()),
            Accepts::Any => true,
            Accepts::AnyRecord => !wanted.is_opaque(),
        };
        let agrees = |(key, value): &(String, String)| entry.metadata.get(key).is_none_or(|said| said == value);
        input.is_none_or(reads)
            && entry.is_healthy()
            && self.output.as_ref().is_none_or(|wanted| entry.emits_type(wanted))
            && self.metadata.iter().all(agrees)
    }
}

impl Row {
    fn of(entry: &Entry) -> Self {
        let Shown { input_types, output_types, status, origin } = Shown::of(entry);
        Self {
            id: entry.name.clone(),
            role: entry.role.to_string(),
            input_types,
            output_types,
            status,
            version: entry.version().map(str::to_owned),
            origin,
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.role.clone(),
            cell(&self.input_types),
            cell(&self.output_types),
            self.status.to_owned(),
            self.origin.clone(),
        ]
    }
}

/// Several names in one cell.
pub(super) fn cell<T: Borrow<str>>(names: &[T]) -> String {
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

fn print<'a>(format: Format, entries: impl Iterator<Item = &'a Entry>) -> Result<ExitCode> {
    let rows: Vec<Row> = entries.map(Row::of).collect();
    output::value(format, &rows, || {
        let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
        output::table(&["ID", "ROLE", "INPUT TYPES", "OUTPUT TYPES", "STATUS", "ORIGIN"], &cells)
    })?;
    Ok(ExitCode::SUCCESS)
}
