//! Options of commands that talk to registries.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use flowctl_oci::auth::{Login, Secret};

use crate::artifacts::basic;
use crate::report::Hinted;

/// Longest password or token that is read.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// How registries are reached.
#[derive(Args, Clone, Default)]
pub(crate) struct RegistryArgs {
    /// Speak plain HTTP with the registries that this command names; this machine's own need no flag
    #[arg(long, help_heading = "Registry")]
    pub(crate) insecure: bool,
    /// File of certificates (PEM) to trust beside those of the system; may be repeated
    #[arg(long, value_name = "FILE", help_heading = "Registry")]
    pub(crate) ca_file: Vec<PathBuf>,
    /// Name to log in with, for this command alone
    #[arg(short, long, value_name = "NAME", requires = "password_stdin", help_heading = "Registry")]
    username: Option<String>,
    /// Read the password of `--username` from standard input
    #[arg(long, requires = "username", conflicts_with = "token_stdin", help_heading = "Registry")]
    password_stdin: bool,
    /// Read a bearer token from standard input, for this command alone
    #[arg(long, help_heading = "Registry")]
    token_stdin: bool,
    /// Public key (PEM) of which plugins must have a signature; may be repeated, one of them is enough
    #[arg(long, value_name = "FILE", help_heading = "Registry")]
    pub(crate) verify_key: Vec<PathBuf>,
}

/// In which indexes plugins are looked for that are not here.
#[derive(Args, Clone, Default)]
pub(crate) struct IndexArgs {
    /// Index of plugins to look in; may be repeated [default: those of the settings]
    #[arg(long, value_name = "REF", help_heading = "Registry")]
    pub(crate) index: Vec<String>,
}

impl RegistryArgs {
    /// Only how registries are reached.
    pub(crate) fn reaching(insecure: bool, ca_file: Vec<PathBuf>) -> Self {
        Self { insecure, ca_file, ..Self::default() }
    }

    /// The login that the command line gives.
    pub(crate) fn login(&self) -> Result<Option<Login>> {
        match &self.username {
            Some(username) => Ok(Some(basic(username, secret_from_stdin("password")?))),
            None if self.token_stdin => Ok(Some(Login::Bearer(secret_from_stdin("token")?))),
            None => Ok(None),
        }
    }

    /// Whether standard input holds a secret.
    pub(crate) const fn reads_stdin(&self) -> bool {
        self.password_stdin || self.token_stdin
    }
}

/// Reads a secret from standard input, without the line break at its end.
pub(crate) fn secret_from_stdin(what: &str) -> Result<Secret> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_SECRET_BYTES).read_to_string(&mut text);
    read.with_context(|| format!("cannot read the {what} from standard input"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Hinted::error(
            format!("standard input holds no {what}"),
            format!("write it there: `printf %s \"$SECRET\" | flowctl … --{what}-stdin`"),
        ));
    }
    Ok(Secret::new(text.to_owned()))
}
