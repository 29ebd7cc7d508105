//! One check: what was looked at, how it is, what was found, and how to mend it.

use std::fmt;

use flowctl_types::Code;
use serde::Serialize;

use crate::report::{self, Hinted};

/// What a check is about, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Group {
    Versions,
    Machine,
    Folders,
    ControlPlane,
    Registries,
    Plugins,
    State,
    Pipeline,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// As it may be; somebody may want to know.
    Note,
    /// It works, but not as well as it could, or not for long.
    Warning,
    /// Something that is asked for does not work.
    Failed,
    /// It was not looked at.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) state: State,
    /// The code of the error, where it was one that has a code.
    pub(super) code: Option<Code>,
    /// What was found.
    pub(super) found: String,
    /// How to mend it; a command where there is one.
    pub(super) remedy: Option<String>,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Versions => "Versions",
            Self::Machine => "Machine",
            Self::Folders => "Folders",
            Self::ControlPlane => "Control plane",
            Self::Registries => "Registries",
            Self::Plugins => "Plugins",
            Self::State => "State",
            Self::Pipeline => "Pipeline",
        })
    }
}

impl State {
    /// Its word.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Check {
    pub(super) fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Ok, code: None, found: found.into(), remedy: None }
    }

    pub(super) fn note(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { state: State::Note, ..Self::ok(name, found) }
    }

    pub(super) fn skipped(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { state: State::Skipped, ..Self::ok(name, why) }
    }

    pub(super) fn warning(name: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Warning, ..Self::ok(name, found) }.with(remedy)
    }

    pub(super) fn failed(name: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Failed, ..Self::ok(name, found) }.with(remedy)
    }

    /// An error as it would end a command, with its hint.
    pub(super) fn of_error(name: impl Into<String>, error: &anyhow::Error) -> Self {
        let remedy = error.downcast_ref::<Hinted>().map(|hinted| hinted.hint.clone());
        let mut found = String::new();
        let mut previous = String::new();
        for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
            if !previous.ends_with(&cause) {
                found.push_str(if found.is_empty() { "" } else { ": " });
                found.push_str(&cause);
            }
            previous = cause;
        }
        Self { state: State::Failed, code: report::code(error), remedy, ..Self::ok(name, found) }
    }

    /// The same, with how to mend it.
    pub(super) fn with(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

/// A number of bytes with three digits or so.
pub(super) fn bytes(n_bytes: u64) -> String {
    let mut value = n_bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "B" || value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// `1 file`, `2 files`.
pub(super) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(
            [0, 1023, 1 << 20, 4 << 40, 150 << 30].map(bytes),
            ["0 B", "1023 B", "1.0 MiB", "4.0 TiB", "150 GiB"]
        );
        assert_eq!((count(1, "file"), count(0, "file")), ("1 file".to_owned(), "0 files".to_owned()));
    }

    #[test]
    fn an_error_is_told_with_its_causes_and_its_hint() {
        let cause = std::io::Error::other("disk on fire");
        let error = anyhow::Error::new(cause).context(Hinted {
            message: "cannot read it".into(),
            hint: "run".into(),
            code: None,
        });
        let check = Check::of_error("disk", &error);
        assert_eq!((check.found.as_str(), check.remedy.as_deref()), ("cannot read it: disk on fire", Some("run")));
    }
}
