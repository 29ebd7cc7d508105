//! What commands print to stdout: tables for people, JSON and YAML for programs; and how a
//! text becomes a line, several of them, or a word.

use std::ffi::OsStr;
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

/// `text` on one line: what white space is in it is single spaces.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first sentence of `text` on one line, without its full stop.
pub(crate) fn first_sentence(text: &str) -> String {
    let line = one_line(text);
    let end = line.find(". ").unwrap_or(line.len());
    line[..end].trim_end_matches('.').to_owned()
}

/// `word` as a shell takes it, in quotes where it has to be. What acts on a terminal or ends
/// a line is replaced: a command is shown, and pasted.
pub(crate) fn shell_word(word: impl AsRef<OsStr>) -> String {
    let shown = plain(&word.as_ref().to_string_lossy()).replace(['\n', '\t'], "\u{fffd}");
    shlex::try_quote(&shown).expect("it has no NUL, which acts on a terminal").into_owned()
}

/// `text` in at most `width` characters, but one; where it is longer, the last one says so.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
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
    fn a_text_that_is_too_long_is_cut() {
        assert_eq!(cut("längst", 6), "längst");
        assert_eq!(cut("längste", 6), "längs…");
        assert_eq!(cut("äö", 2), "äö");
        assert_eq!(cut("äöü", 2), "ä…");
        assert_eq!(cut("a", 0), "…");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["→ ttp".to_owned(), "x".to_owned()], vec!["a".to_owned(), "longer".to_owned()]];
        assert_eq!(table(&["ID", "TYPE"], &rows), "ID     TYPE\n→ ttp  x\na      longer\n");
    }

    #[test]
    fn a_sentence_ends_at_its_full_stop_and_not_within_a_word() {
        for (text, wanted) in [
            ("Reads a.b\n  and c. Then stops.", "Reads a.b and c"),
            ("One\r\nalone.", "One alone"),
            ("none", "none"),
            ("", ""),
        ] {
            assert_eq!(first_sentence(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_shell_reads_a_word_as_it_was() {
        for (word, wanted) in [
            ("sub/orders.yaml", "sub/orders.yaml"),
            ("my orders.yaml", "'my orders.yaml'"),
            ("a;b", "'a;b'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(word), wanted);
        }
        for word in ["it's $(here)", "a\\b", "!x", "ä~"] {
            assert_eq!(shlex::split(&shell_word(word)).unwrap(), [word]);
        }
        assert_eq!(shell_word("a\nb\u{1b}[2J\0"), "'a\u{fffd}b\u{fffd}[2J\u{fffd}'");
    }
}
