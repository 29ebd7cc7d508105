//! All that was found, as people and programs read it.

use std::process::ExitCode;

use serde::Serialize;

use super::check::{Check, Group, State};
use crate::output;

/// Columns of the report: it is pasted into mails and tickets.
const WIDTH: usize = 80;
/// Where the names of checks begin, and what was found.
const NAME_COLUMN: usize = 11;
const FOUND_COLUMN: usize = 29;

/// Everything that was found.
#[derive(Serialize)]
pub(super) struct Report {
    flowctl: &'static str,
    counts: Counts,
    checks: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    group: Group,
    #[serde(flatten)]
    check: Check,
}

#[derive(Default, Serialize)]
struct Counts {
    ok: usize,
    note: usize,
    warning: usize,
    failed: usize,
    skipped: usize,
}

impl Report {
    pub(super) fn new(groups: Vec<(Group, Vec<Check>)>) -> Self {
        let mut counts = Counts::default();
        let mut lines = Vec::new();
        for (group, check) in groups.into_iter().flat_map(|(group, checks)| checks.into_iter().map(move |c| (group, c)))
        {
            *match check.state {
                State::Ok => &mut counts.ok,
                State::Note => &mut counts.note,
                State::Warning => &mut counts.warning,
                State::Failed => &mut counts.failed,
                State::Skipped => &mut counts.skipped,
            } += 1;
            lines.push(Line { group, check });
        }
        Self { flowctl: env!("CARGO_PKG_VERSION"), counts, checks: lines }
    }

    /// The report for people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut group = None;
        for line in &self.checks {
            if group != Some(line.group) {
                text.push_str(&format!("{}{}\n", if group.is_some() { "\n" } else { "" }, line.group));
                group = Some(line.group);
            }
            text.push_str(&row(&line.check));
        }
        text
    }

    /// How many checks ended how, in a line.
    pub(super) fn summary(&self) -> String {
        let Counts { ok, note, warning, failed, skipped } = self.counts;
        let notes = super::check::count(note, "note");
        let warnings = super::check::count(warning, "warning");
        format!("{ok} ok, {notes}, {warnings}, {failed} failed, {skipped} skipped")
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        if self.counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// A check in as many lines as it needs. A remedy stays whole: it may be a command.
fn row(check: &Check) -> String {
    let Check { name, state, code: _, found, remedy } = check;
    let head = format!("  {:width$}{name}", state.word(), width = NAME_COLUMN - 2);
    let lines = output::wrapped(found, WIDTH - FOUND_COLUMN);
    let mut text = head.clone();
    // a long name has a line of its own
    if head.chars().count() + 2 > FOUND_COLUMN {
        text.push('\n');
    }
    for (index, line) in lines.iter().enumerate() {
        let is_beside = index == 0 && !text.ends_with('\n');
        let gap = FOUND_COLUMN - if is_beside { head.chars().count() } else { 0 };
        text.push_str(&format!("{:gap$}{line}\n", ""));
    }
    if let Some(remedy) = remedy {
        text.push_str(&format!("{:NAME_COLUMN$}remedy: {remedy}\n", ""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_stays_within_eighty_columns() {
        let found = "the limit is 64: each node of a pipeline needs some, and so does every connection that it makes";
        let checks = vec![
            Check::ok("address space", "no limit"),
            Check::failed("open files", found, "ulimit -n 4096"),
            Check::skipped("a name that has many words in it", "nothing"),
        ];
        let report = Report::new(vec![(Group::Machine, checks), (Group::State, vec![Check::note("database", "none")])]);
        let wanted = "\
Machine
  ok       address space     no limit
  failed   open files        the limit is 64: each node of a pipeline needs
                             some, and so does every connection that it makes
           remedy: ulimit -n 4096
  skipped  a name that has many words in it
                             nothing

State
  note     database          none
";
        assert_eq!(report.text(), wanted);
        assert_eq!(report.summary(), "1 ok, 1 note, 0 warnings, 1 failed, 1 skipped");
    }
}
