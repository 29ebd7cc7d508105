//! The commands and their help.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::guests::languages;
use crate::shell::Workspace;
use crate::{bench, checks, demo, guests, setup, soak, test, tidy, wit};

/// Development commands of flowctl.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building and testing need: the wasm target, cargo-deny, wkg, servers, Python, Node
    Setup,
    /// Build the guests; leave the first-party plugins in one folder and print its path
    Guests,
    /// Build the example processors in JavaScript and Python; print their folder's path
    Languages,
    /// Run everything that continuous integration runs
    Test,
    /// Run the flagship pipeline: Stellar ledgers to token transfers
    Demo {
        /// Number of ledgers to generate where there are no real ones
        #[arg(long, default_value_t = 200)]
        ledgers: u32,
    },
    /// Measure the data path against native functions in the same binary
    Bench {
        /// Also write the rows as JSON to this file
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Run only the benchmarks whose name contains this text
        filter: Option<String>,
    },
    /// Kill pipelines and their database over and over, and count what was lost or doubled
    Soak {
        /// How often each pipeline is killed
        #[arg(long, default_value_t = 50)]
        kills: u64,
        /// Also write the figures as JSON to this file
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Compare the SDKs' copies of the WIT packages with wit/
    Wit {
        /// Write the copies anew
        #[arg(long)]
        update: bool,
    },
    /// Check the rules of this code base that no compiler knows
    Tidy,
    /// Check the formatting
    Fmt,
    /// Run clippy over hosts and guests, warnings denied
    Clippy,
    /// Run the tests alone
    Tests,
    /// Build the documentation, warnings denied
    Doc,
    /// Make a book of the guide in docs/; print its first page's path
    Book,
    /// Check licences, bans and sources of dependencies; advisories where reachable
    Deny,
    /// Package the SDK as an author would get it, and build the package
    Package,
}

/// Runs the command of this process's arguments.
pub(crate) fn run() -> Result<()> {
    let arguments = Arguments::parse();
    let workspace = Workspace::find()?;
    match arguments.command {
        Command::Setup => setup::run(&workspace),
        Command::Guests => {
            let folder = guests::build(&workspace)?;
            println!("{}", folder.display());
            Ok(())
        }
        Command::Languages => {
            let folder = languages::build(&workspace)?;
            println!("{}", folder.display());
            Ok(())
        }
        Command::Test => test::everything(&workspace),
        Command::Demo { ledgers } => demo::run(&workspace, ledgers),
        Command::Bench { json, filter } => bench::run(&workspace, json.as_deref(), filter.as_deref()),
        Command::Soak { kills, json } => soak::run(&workspace, kills, json.as_deref()),
        Command::Wit { update: true } => wit::update(&workspace),
        Command::Wit { update: false } => wit::check(&workspace),
        Command::Tidy => tidy::check(&workspace),
        Command::Fmt => checks::fmt(&workspace),
        Command::Clippy => checks::clippy(&workspace),
        Command::Tests => test::tests(&workspace),
        Command::Doc => checks::doc(&workspace),
        Command::Book => checks::book(&workspace),
        Command::Deny => checks::deny(&workspace),
        Command::Package => checks::package(&workspace),
    }
}
