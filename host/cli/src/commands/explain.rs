//! `flowctl explain [CODE]`.
//!
//! The texts are files of the guide, `docs/errors/CODE.md`. Printed, they are plain:
//! paragraphs are broken for the terminal, examples stay as they are.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use flowctl_types::{Code, did_you_mean};
use serde::Serialize;

use crate::help::examples;
use crate::output::{self, Format};
use crate::report::Hinted;
use crate::terminal;

/// Least and most columns of a text, whatever the terminal has.
const MIN_WIDTH: usize = 40;
const MAX_WIDTH: usize = 100;

/// Explain the code of an error: what it means, why, and what to do
///
/// Errors that have a code begin with `error[CODE]:`. Without a code, all of them are listed.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl explain unknown-event-type", "what the code means"),
    ("flowctl explain", "all codes"),
]))]
pub(crate) struct Explain {
    /// The code, such as unknown-event-type
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Row {
    code: Code,
    summary: &'static str,
}

#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    row: Row,
    /// As Markdown.
    text: &'static str,
}

impl Row {
    fn of(code: Code) -> Self {
        Self { code, summary: code.summary() }
    }
}

impl Explain {
    /// Prints the text of one code, or the list of all.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match &self.code {
            Some(said) => {
                let code = find(said)?;
                let explained = Explained { row: Row::of(code), text: code.text() };
                let width = terminal::width(std::io::stdout()).clamp(MIN_WIDTH, MAX_WIDTH);
                output::value(self.output, &explained, || plain(code.text(), width))?;
            }
            None => {
                let rows: Vec<Row> = Code::ALL.iter().map(|code| Row::of(*code)).collect();
                output::value(self.output, &rows, || {
                    let cells: Vec<Vec<String>> =
                        rows.iter().map(|row| vec![row.code.to_string(), row.summary.to_owned()]).collect();
                    output::table(&["CODE", "MEANING"], &cells)
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The code that is meant: by its name, or as an error shows it.
fn find(said: &str) -> Result<Code> {
    let name = said.trim().trim_start_matches("error").trim_matches(['[', ']', ':']);
    Code::from_name(name).ok_or_else(|| {
        let near = did_you_mean(name, Code::ALL.iter().map(|code| code.name()));
        let all = || "`flowctl explain` lists them all".to_owned();
        Hinted::error(format!("there is no code `{said}`"), near.unwrap_or_else(all))
    })
}

/// A text of the guide without its marks: headings stand alone, examples are indented.
fn plain(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut paragraph = String::new();
    let mut is_example = false;
    let close = |paragraph: &mut String, lines: &mut Vec<String>| {
        if !paragraph.is_empty() {
            lines.extend(output::wrapped(paragraph, width));
            paragraph.clear();
        }
    };
    for line in text.lines() {
        if line.starts_with("```") {
            close(&mut paragraph, &mut lines);
            is_example = !is_example;
        } else if is_example {
            lines.push(format!("    {line}").trim_end().to_owned());
        } else if line.is_empty() {
            close(&mut paragraph, &mut lines);
            lines.push(String::new());
        } else if line.starts_with('#') {
            lines.push(line.trim_start_matches(['#', ' ']).to_owned());
        } else {
            paragraph.push_str(line);
            paragraph.push(' ');
        }
    }
    close(&mut paragraph, &mut lines);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_broken_and_examples_are_not() {
        let text =
            "# a-code\n\nOne two three\nfour.\n\n## Why\n\n```yaml\na: {b: a line that is longer}\n```\n\nEnd.\n";
        let wanted = "a-code\n\nOne two\nthree\nfour.\n\nWhy\n\n    a: {b: a line that is longer}\n\nEnd.";
        assert_eq!(plain(text, 10), wanted);
    }

    #[test]
    fn a_code_may_be_copied_as_an_error_shows_it() {
        assert_eq!(find("error[no-chain]:").unwrap(), Code::NoChain);
        assert_eq!(find("no-chain").unwrap(), Code::NoChain);
        let error = crate::report::text(&find("no-chian").unwrap_err());
        assert_eq!(error, "error: there is no code `no-chian`\nhint: did you mean `no-chain`?");
        assert!(crate::report::text(&find("xyzzy").unwrap_err()).contains("`flowctl explain` lists them all"));
    }
}
