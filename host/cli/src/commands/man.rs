//! `flowctl man`: the manual, one page a command, made of what help says.
//!
//! Invariant: the same program makes the same pages, whatever the environment.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::Arguments;
use crate::help::{self, ENVIRONMENT, EXIT_STATUS, examples};
use crate::{output, status};

/// Defines the apostrophe. Every section brings it, and a page needs it once.
const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// Write the manual's pages, or print that of flowctl itself
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl man | man -l -", "read the first page"),
    ("flowctl man --out ~/.local/share/man/man1", "all pages; `man flowctl-run` shows one"),
]))]
pub(crate) struct Man {
    /// Write the page of every command into this folder, which is made
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    /// Writes or prints.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let mut command = Arguments::command();
        // gives every command its full name
        command.build();
        let Some(folder) = &self.out else {
            output::line(page(&command, None)?.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        };
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        let n_pages = write(&command, None, folder)?;
        status::say(&format!("Wrote {n_pages} pages to `{}`", folder.display()));
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the pages of a command and of those below it; answers how many.
fn write(command: &Command, above: Option<&str>, folder: &Path) -> Result<usize> {
    let path = folder.join(format!("{}.1", name(command)));
    let text = page(command, above)?;
    std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    let shown = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    shown.map(|inner| write(inner, Some(name(command)), folder)).sum::<Result<usize>>().map(|below| below + 1)
}

/// The page of a command.
fn page(command: &Command, above: Option<&str>) -> Result<String> {
    let page = Page::new(command.clone());
    let mut text = Vec::new();
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    let mut rest = Roff::default();
    if above.is_none() {
        rest.control("SH", ["ENVIRONMENT"]);
        for (variable, words) in ENVIRONMENT {
            rest.control("TP", []);
            rest.text([bold(variable)]);
            rest.text([roman(words)]);
        }
    }
    rest.control("SH", ["EXIT STATUS"]);
    rest.text([roman(EXIT_STATUS)]);
    rest.control("SH", ["EXAMPLES"]);
    rest.control("EX", []);
    for line in help::examples_of(command) {
        rest.text([roman(line)]);
    }
    rest.control("EE", []);
    if let Some(above) = above {
        rest.control("SH", ["SEE ALSO"]);
        rest.text([bold(above), roman("(1)")]);
    }
    rest.to_writer(&mut text)?;
    let text = String::from_utf8(text).context("a page is no text")?;
    // a page has no date, which would be another at every build
    let title = name(command).to_uppercase();
    let title = format!(".TH \"{title}\" 1 \"\" \"flowctl {}\" \"flowctl\"\n", env!("CARGO_PKG_VERSION"));
    Ok(format!("{APOSTROPHE}{title}{}", text.replace(APOSTROPHE, "")))
}

/// `flowctl-topology-add`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}
