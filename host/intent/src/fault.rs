//! A fault in a file, with its place and a hint, and how faults are printed.
//!
//! Invariant: what is printed is the text as it was written. Values that came from
//! the environment never get into a [`Fault`].

use std::fmt;

use flowctl_types::{Code, error_label};

/// Most faults of one file.
const MAX_FAULTS: usize = 500;

/// Most characters of a source line that are printed.
const MAX_LINE: usize = 120;

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault it is.
    pub code: Code,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// The file as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
    /// Characters that are at fault, on that line; at least 1.
    pub width: usize,
    /// The line as written; a long one is cut around the fault.
    pub source_line: String,
    /// How to put it right, where that is known.
    pub hint: Option<String>,
    /// Where the fault stands in `source_line`, in characters, from 0.
    pub(crate) caret: usize,
}

/// Every fault that was found in a file, in the file's order; at least one.
///
/// `Display` prints all of them, ready for stderr, without a newline at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub(crate) Vec<Fault>);

/// A fault before the file's text is put to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) span: Span,
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// A stretch of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 0.
    pub(crate) column: usize,
    /// In characters; at least 1.
    pub(crate) width: usize,
}

/// A file's name and text.
#[derive(Clone)]
pub(crate) struct Source {
    file: String,
    /// What marks the byte order before the text.
    mark: String,
    text: String,
    /// Where each line begins, in bytes: after LF, CR LF or CR, as YAML has it.
    lines: Vec<usize>,
}

impl Faults {
    /// Collects faults, those of several callers for instance, in the file's order.
    /// None where there is no fault.
    #[must_use]
    pub fn collect(faults: impl IntoIterator<Item = Fault>) -> Option<Self> {
        let mut faults: Vec<Fault> = faults.into_iter().collect();
        faults.sort_by_key(|fault| (fault.line, fault.column));
        faults.dedup();
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// The faults, in the file's order.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = self.line.to_string().len();
        writeln!(f, "{}: {}", error_label(Some(self.code)), self.message)?;
        writeln!(f, "{:gutter$}--> {}:{}:{}", "", self.file, self.line, self.column)?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{} | {}", self.line, self.source_line)?;
        write!(f, "{:gutter$} | {:caret$}{}", "", "", "^".repeat(self.width.max(1)), caret = self.caret)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl Problem {
    pub(crate) const fn new(span: Span, code: Code, message: String, hint: Option<String>) -> Self {
        Self { span, code, message, hint }
    }
}

impl Span {
    /// Where a file begins.
    pub(crate) const START: Self = Self::point(1, 0);

    pub(crate) const fn point(line: usize, column: usize) -> Self {
        Self { line, column, width: 1 }
    }

    /// The first character of the stretch alone.
    pub(crate) const fn first_column(self) -> Self {
        Self { width: 1, ..self }
    }
}

impl From<granit_parser::Span> for Span {
    fn from(span: granit_parser::Span) -> Self {
        let (start, end) = (span.start, span.end);
        let width = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { 1 };
        Self { line: start.line(), column: start.col(), width: width.max(1) }
    }
}

impl Source {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        let rest = text.trim_start_matches('\u{feff}');
        let (mark, text) = (text[..text.len() - rest.len()].to_owned(), rest.to_owned());
        let bytes = text.as_bytes();
        let ends_line = |at: &usize| bytes[*at] == b'\n' || bytes[*at] == b'\r' && bytes.get(at + 1) != Some(&b'\n');
        let lines = std::iter::once(0).chain((0..bytes.len()).filter(ends_line).map(|at| at + 1)).collect();
        Self { file: file.to_owned(), mark, text, lines }
    }

    /// The problems as faults, in the file's order. Very many are cut, for a fault of a
    /// hostile file costs more than the problem: a last one says how many.
    pub(crate) fn faults(&self, mut problems: Vec<Problem>) -> Vec<Fault> {
        problems.sort_by_key(|problem| (problem.span.line, problem.span.column));
        problems.dedup();
        let n_more = problems.len().saturating_sub(MAX_FAULTS);
        if n_more > 0 {
            problems.truncate(MAX_FAULTS);
            let span = problems.last().map_or(Span::START, |last| last.span);
            let hint = "correct these first".to_owned();
            problems.push(Problem::new(span, Code::TooLarge, format!("{n_more} more faults follow"), Some(hint)));
        }
        problems.into_iter().map(|problem| self.fault(problem)).collect()
    }

    pub(crate) fn fault(&self, problem: Problem) -> Fault {
        let Problem { span, code, message, hint } = problem;
        let line = self.line(span.line);
        let n_chars = line.chars().count();
        let start = if n_chars <= MAX_LINE { 0 } else { span.column.saturating_sub(MAX_LINE / 2).min(n_chars) };
        let clean = |c: char| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        };
        let mut source_line: String = line.chars().skip(start).take(MAX_LINE).map(clean).collect();
        let mut caret = span.column - start.min(span.column);
        if start > 0 {
            source_line.insert(0, '…');
            caret += 1;
        }
        if start + MAX_LINE < n_chars {
            source_line.push('…');
        }
        let shown = source_line.chars().count();
        caret = caret.min(shown);
        let width = span.width.min((shown - caret).max(1));
        let file = self.file.clone();
        Fault { code, message, file, line: span.line, column: span.column + 1, width, source_line, hint, caret }
    }

    /// The part of `span` that reads `part`, or all of it where the part does not
    /// stand there as such.
    pub(crate) fn narrow(&self, span: Span, part: &str) -> Span {
        let line = self.line(span.line);
        let start = line.char_indices().nth(span.column).map_or(line.len(), |(at, _)| at);
        match line[start..].find(part) {
            Some(at) => Span {
                column: span.column + line[start..start + at].chars().count(),
                width: part.chars().count().max(1),
                ..span
            },
            None => span,
        }
    }

    /// The text, without a byte order mark.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What marks the byte order before the text; mostly nothing.
    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// The byte that a stretch begins at.
    pub(crate) fn offset(&self, span: Span) -> usize {
        let line = self.line(span.line);
        let within = line.char_indices().nth(span.column).map_or(line.len(), |(at, _)| at);
        self.line_start(span.line) + within
    }

    /// The byte behind a stretch that stands on one line.
    pub(crate) fn end(&self, span: Span) -> usize {
        self.offset(Span { column: span.column + span.width, ..span })
    }

    /// The byte that a line begins at; past the last one the text's end.
    pub(crate) fn line_start(&self, number: usize) -> usize {
        let start = number.checked_sub(1).and_then(|index| self.lines.get(index));
        start.copied().unwrap_or(self.text.len())
    }

    /// What ends a line in this text.
    pub(crate) fn line_break(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    /// A line as written, without its end.
    pub(crate) fn line(&self, number: usize) -> &str {
        let start = number.checked_sub(1).and_then(|index| self.lines.get(index));
        let rest = start.map_or("", |start| &self.text[*start..]);
        rest.split(['\n', '\r']).next().unwrap_or("")
    }
}

impl std::error::Error for Fault {}
impl std::error::Error for Faults {}
