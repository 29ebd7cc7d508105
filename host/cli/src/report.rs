//! How errors are printed: `error[CODE]:`, `caused by:`, `hint:`; and which code one has.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use flowctl_client::ClientError;
use flowctl_connectors::ConnectorError;
use flowctl_engine::EngineError;
use flowctl_intent::Faults;
use flowctl_oci::{ArtifactError, LayoutError, OciError, PullError};
use flowctl_registry::{ChainError, LookupError};
use flowctl_runtime::Fault as RunFault;
use flowctl_schema::ContractError;
use flowctl_store::StateError;
use flowctl_types::{Code, error_label};

use crate::plane::RemoteFaults;
use crate::plane::reach::Denied;
use crate::status;

/// A message with what to do about it, as context of an error.
#[derive(Debug)]
pub(crate) struct Hinted {
    /// What went wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: String,
    /// Its code, where no cause has it.
    pub(crate) code: Option<Code>,
}

impl Hinted {
    /// An error of its own.
    pub(crate) fn error(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { message: message.into(), hint: hint.into(), code: None })
    }

    /// What the command line says cannot be done at all: the command ends as it does where an option
    /// is unknown.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        let message = message.into();
        let hinted = Self { message: message.clone(), hint: hint.into(), code: None };
        anyhow::Error::new(WrongUsage(message)).context(hinted)
    }

    /// An error of its own that has a code.
    pub(crate) fn coded(code: Code, message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { message: message.into(), hint: hint.into(), code: Some(code) })
    }
}

/// A command line that means nothing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUsage(String);

/// An error that has a code, and of which it is not known what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Coded {
    /// Its code.
    pub(crate) code: Code,
    /// What went wrong.
    pub(crate) message: String,
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
            error.context(Hinted { message, hint, code: None })
        }
        None => error,
    }
}

/// `error` with a code, where there is one, and what to do about it, where that is known.
pub(crate) fn told(code: Option<Code>, message: String, hint: Option<String>) -> anyhow::Error {
    match (code, hint) {
        (code, Some(hint)) => anyhow::Error::new(Hinted { message, hint, code }),
        (Some(code), None) => anyhow::Error::new(Coded { code, message }),
        (None, None) => anyhow::Error::msg(message),
    }
}

/// Several errors as one, each with its code, its text and its hint: the first hint closes.
///
/// # Errors
///
/// Unless there are none.
pub(crate) fn all(errors: impl IntoIterator<Item = (Option<Code>, String, Option<String>)>) -> anyhow::Result<()> {
    let mut errors = errors.into_iter();
    let Some((code, mut text, mut hint)) = errors.next() else { return Ok(()) };
    for (code, more, its_hint) in errors {
        text.push_str(&format!("\n{}: {more}", error_label(code)));
        hint = hint.or(its_hint);
    }
    Err(told(code, text, hint))
}

/// The code of `error`: its own, or that of a cause.
pub(crate) fn code(error: &anyhow::Error) -> Option<Code> {
    let own = error.downcast_ref::<Hinted>().and_then(|hinted| hinted.code);
    own.or_else(|| error.downcast_ref::<Coded>().map(|coded| coded.code)).or_else(|| error.chain().find_map(of_cause))
}

/// The code of an error, or that of a cause.
pub(crate) fn code_in(error: &(dyn Error + 'static)) -> Option<Code> {
    of_cause(error).or_else(|| code_in(error.source()?))
}

/// What to do about an error of a node, or about a cause of it, where that is known.
pub(crate) fn hint_in(error: &(dyn Error + 'static)) -> Option<String> {
    let hint = if let Some(error) = error.downcast_ref::<ConnectorError>() {
        error.hint()
    } else if let Some(EngineError::Contract { source, .. }) = error.downcast_ref() {
        source.hint()
    } else {
        None
    };
    hint.or_else(|| hint_in(error.source()?))
}

/// The code of an error alone.
fn of_cause(error: &(dyn Error + 'static)) -> Option<Code> {
    fn as_a<E: Error + 'static>(error: &(dyn Error + 'static), code: impl FnOnce(&E) -> Option<Code>) -> Option<Code> {
        error.downcast_ref::<E>().and_then(code)
    }
    as_a(error, |fault: &flowctl_intent::Fault| Some(fault.code))
        .or_else(|| as_a(error, |faults: &Faults| faults.iter().next().map(|fault| fault.code)))
        .or_else(|| as_a(error, |error: &ChainError| Some(error.code())))
        .or_else(|| as_a(error, |error: &LookupError| Some(error.code())))
        .or_else(|| as_a(error, |error: &StateError| error.code()))
        .or_else(|| as_a(error, |error: &ClientError| error.code()))
        .or_else(|| as_a(error, |error: &OciError| error.code()))
        .or_else(|| as_a(error, |error: &LayoutError| error.code()))
        .or_else(|| as_a(error, |_: &ArtifactError| Some(Code::NotAPlugin)))
        .or_else(|| as_a(error, |_: &ContractError| Some(Code::NotAPlugin)))
        .or_else(|| as_a(error, |error: &PullError| refused_pull(error)))
        .or_else(|| as_a(error, |error: &EngineError| error.code()))
        .or_else(|| as_a(error, |_: &Denied| Some(Code::PolicyViolation)))
        .or_else(|| as_a(error, |fault: &RunFault| crashed(fault)))
}

/// The policy, or a signature, is what an artifact is refused for.
fn refused_pull(error: &PullError) -> Option<Code> {
    matches!(error, PullError::Refused { .. }).then_some(Code::SignatureMissing)
}

fn crashed(fault: &RunFault) -> Option<Code> {
    matches!(fault, RunFault::Crashed { .. }).then_some(Code::PluginCrashed)
}

/// Prints `error` to stderr. Answers 2 for wrong usage, as the parser of the command line does, and
/// 1 for any other.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    if !is_closed_pipe(error) {
        status::say(&text(error));
    }
    let is_usage = error.chain().any(|cause| cause.is::<WrongUsage>());
    if is_usage { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// The whole report, without a line break at its end.
pub(crate) fn text(error: &anyhow::Error) -> String {
    if let Some(faults) = error.downcast_ref::<Faults>() {
        return faults.to_string();
    }
    if let Some(faults) = error.downcast_ref::<RemoteFaults>() {
        return faults.to_string();
    }
    format!("{}: {}", error_label(code(error)), with_causes(error))
}

/// Warns of what an error says: something was left out, and the command goes on.
pub(crate) fn warn(error: &anyhow::Error) {
    status::warn(&with_causes(error));
}

/// An error with its causes, and what to do about it.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    let mut previous = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.downcast_ref().map_or_else(|| cause.to_string(), RunFault::in_full);
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
    fn a_code_is_found_at_any_depth() {
        let found = |error: anyhow::Error| text(&error).lines().next().unwrap_or_default().to_owned();
        let held = || StateError::Held { pid: "7".into(), path: "lock".into() };
        assert_eq!(found(anyhow::Error::new(held()).context("no state")), "error[state-in-use]: no state");
        assert_eq!(found(hinted(Some("stop it".into()), held())).split(": ").next(), Some("error[state-in-use]"));
        assert_eq!(found(Hinted::coded(Code::LockMismatch, "other", "lock")), "error[lock-mismatch]: other");
        assert_eq!(found(Hinted::error("plain", "do")), "error: plain");
        assert_eq!(text(&Hinted::usage("plain", "do")), "error: plain\nhint: do");
        let several = [(Some(Code::NoChain), "a".to_owned(), None), (None, "b".to_owned(), Some("c".to_owned()))];
        assert_eq!(text(&all(several).unwrap_err()), "error[no-chain]: a\nerror: b\nhint: c");
    }

    #[test]
    fn causes_follow_and_the_hint_closes() {
        let result: Result<(), _> = Err(std::io::Error::other("disk on fire"));
        let error = result
            .context(Hinted {
                message: "cannot read `a.wasm`".into(),
                hint: "call the fire brigade".into(),
                code: None,
            })
            .unwrap_err();
        assert_eq!(text(&error), "error: cannot read `a.wasm`\n  caused by: disk on fire\nhint: call the fire brigade");
    }
}
