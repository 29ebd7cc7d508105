//! How errors are printed: `error:`, `caused by:`, `hint:`.

use std::fmt;
use std::process::ExitCode;

use flowctl_intent::Faults;

use crate::plane::RemoteFaults;
use crate::status;

/// A message with what to do about it, as context of an error.
#[derive(Debug)]
pub(crate) struct Hinted {
    /// What went wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: String,
}

impl Hinted {
    /// An error of its own.
    pub(crate) fn error(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { message: message.into(), hint: hint.into() })
    }
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Hinted {}

/// `error`, with what to do about it where that is known.
pub(crate) fn hinted(hint: Option<String>, error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    match hint {
        // the message is said once: a cause that repeats it is left out
        Some(hint) => {
            let message = error.to_string();
            error.context(Hinted { message, hint })
        }
        None => error,
    }
}

/// Prints `error` to stderr.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        return ExitCode::FAILURE;
    }
    status::say(&text(error));
    ExitCode::FAILURE
}

/// The whole report, without a line break at its end.
pub(crate) fn text(error: &anyhow::Error) -> String {
    if let Some(faults) = error.downcast_ref::<Faults>() {
        return faults.to_string();
    }
    if let Some(faults) = error.downcast_ref::<RemoteFaults>() {
        return faults.to_string();
    }
    let mut text = format!("error: {error}");
    let mut previous = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // an error that only passes its cause on says nothing of its own
        if cause != previous {
            text.push_str(&format!("\n  caused by: {}", cause.replace('\n', "\n    ")));
        }
        previous = cause;
    }
    if let Some(hinted) = error.downcast_ref::<Hinted>() {
        text.push_str(&format!("\nhint: {}", hinted.hint));
    }
    text
}

/// Whether the reader of stdout went away: `flowctl … | head` is no failure to report.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn causes_follow_and_the_hint_closes() {
        let result: Result<(), _> = Err(std::io::Error::other("disk on fire"));
        let error = result
            .context(Hinted { message: "cannot read `a.wasm`".into(), hint: "call the fire brigade".into() })
            .unwrap_err();
        assert_eq!(text(&error), "error: cannot read `a.wasm`\n  caused by: disk on fire\nhint: call the fire brigade");
    }
}
