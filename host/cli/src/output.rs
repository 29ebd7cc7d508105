//! What commands print to stdout: tables for people, JSON and YAML for programs.

use std::io::Write as _;

use anyhow::{Context, Result};
use clap::ValueEnum;
pub(crate) use flowctl_client::plain;
use serde::Serialize;

/// How a list or an object is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, for people
    #[default]
    Table,
    /// One JSON value
    Json,
    /// One YAML document
    Yaml,
}

/// Writes `text` and a line break to stdout.
///
/// # Errors
///
/// When stdout is closed, which `println!` would make a panic of.
pub(crate) fn line(text: impl AsRef<str>) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_ref().as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    Ok(())
}

/// Prints `value` as `format` says; `table` makes the form for people.
pub(crate) fn value<T: Serialize>(format: Format, value: &T, table: impl FnOnce() -> String) -> Result<()> {
    match format {
        Format::Table => line(plain(table().trim_end())),
        Format::Json => line(serde_json::to_string_pretty(value).context("cannot write JSON")?),
        Format::Yaml => line(serde_saphyr::to_string(value).context("cannot write YAML")?.trim_end()),
    }
}

/// Breaks `text` at spaces into lines of at most `width` characters; a longer word stays
/// whole. At least one line.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one from the start");
        let n_taken = line.chars().count();
        if n_taken == 0 {
            line.push_str(word);
        } else if n_taken + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Aligns `rows` below `header`, two spaces between columns.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let body = rows.iter().map(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    std::iter::once(line(header)).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["→ ttp".to_owned(), "x".to_owned()], vec!["a".to_owned(), "longer".to_owned()]];
        assert_eq!(table(&["ID", "TYPE"], &rows), "ID     TYPE\n→ ttp  x\na      longer\n");
    }
}
