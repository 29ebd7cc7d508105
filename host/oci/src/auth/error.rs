//! Why nobody could be logged in.

use std::path::PathBuf;
use std::time::Duration;

/// Why a login was not found or kept. Never holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The configuration file could not be read or written.
    #[error("cannot {action} `{path}`")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The configuration file is no JSON.
    #[error("`{path}` is not readable: no valid JSON at line {line}, column {column}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A part of the configuration file is not what docker writes.
    #[error("`{path}` is not readable: {place} {rule}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        place: String,
        /// What it must be.
        rule: &'static str,
    },
    /// A credential helper could not be started.
    #[error("cannot start the credential helper `{program}`, which `{path}` names for `{registry}`")]
    HelperStart {
        /// The helper's program.
        program: String,
        /// The configuration file.
        path: PathBuf,
        /// The registry.
        registry: String,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// A credential helper did not answer in time, and was killed.
    #[error("the credential helper `{program}` did not answer `{command}` for `{registry}` within {} s", limit.as_secs_f32())]
    HelperTimeout {
        /// The helper's program.
        program: String,
        /// What it was asked.
        command: &'static str,
        /// The registry.
        registry: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A credential helper failed.
    #[error("the credential helper `{program}` failed at `{command}` for `{registry}`: {message}")]
    HelperFailed {
        /// The helper's program.
        program: String,
        /// What it was asked.
        command: &'static str,
        /// The registry.
        registry: String,
        /// What it said, as far as that cannot hold a secret.
        message: String,
    },
    /// A credential helper answered what is no answer.
    #[error("the credential helper `{program}` gave no readable answer for `{registry}`: {rule}")]
    HelperAnswer {
        /// The helper's program.
        program: String,
        /// The registry.
        registry: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// This kind of login cannot be kept where logins are kept.
    #[error("a {kind} cannot be kept {place}")]
    Unkeepable {
        /// The kind of login.
        kind: &'static str,
        /// Where it should have been kept.
        place: String,
    },
}

impl AuthError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { path, .. } | Self::Content { path, .. } => {
                Some(format!("mend `{}`, or set DOCKER_CONFIG to another folder", path.display()))
            }
            Self::HelperStart { program, path, .. } => {
                Some(format!("install `{program}`, or remove it from `{}`", path.display()))
            }
            Self::HelperTimeout { program, .. } => {
                Some(format!("it may wait for a key or a prompt: try `{program} list` in a terminal"))
            }
            Self::Unkeepable { .. } => Some("log in with a user name and a password".to_owned()),
            _ => None,
        }
    }
}
