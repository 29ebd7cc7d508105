//! `flowctl login REGISTRY` and `logout REGISTRY`.

use std::io::{BufRead, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use flowctl_oci::auth::{AuthError, Kept, Login as Credential, Secret};

use crate::artifacts::args::{RegistryArgs, secret_from_stdin};
use crate::artifacts::{Artifacts, basic, credentials, refused};
use crate::help::examples;
use crate::output::shell_word;
use crate::report::{Hinted, hinted};
use crate::status;

/// What Ctrl-C types where it is no signal.
const CTRL_C: u8 = 3;

/// Keep the login for a registry
///
/// It is tried first, then kept where docker keeps it: by the credential helper of its configuration, or in
/// `config.json`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl login registry.example --username ada", "the password is asked for"),
    ("printf %s \"$PASSWORD\" | flowctl login registry.example -u ada --password-stdin", ""),
]))]
pub(crate) struct Login {
    /// The registry's host, and its port where it has one
    #[arg(value_name = "REGISTRY")]
    registry: String,
    /// The user's name
    #[arg(short, long, value_name = "NAME", required_unless_present = "identity_token_stdin")]
    username: Option<String>,
    /// Read the password, or a token that stands for it, from standard input
    #[arg(long, conflicts_with = "identity_token_stdin")]
    password_stdin: bool,
    /// Read an identity token (OAuth2 refresh token) from standard input
    #[arg(long)]
    identity_token_stdin: bool,
    /// Speak plain HTTP
    #[arg(long)]
    insecure: bool,
    /// File of certificates (PEM) to trust beside those of the system; may be repeated
    #[arg(long, value_name = "FILE")]
    ca_file: Vec<std::path::PathBuf>,
}

/// Forget the login for a registry
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl logout registry.example", ""),
]))]
pub(crate) struct Logout {
    /// The registry's host, and its port where it has one
    #[arg(value_name = "REGISTRY")]
    registry: String,
}

impl Login {
    /// Tries the login, and keeps it.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let login = match &self.username {
            _ if self.identity_token_stdin => Credential::Identity(secret_from_stdin("identity-token")?),
            Some(username) if self.password_stdin => basic(username, secret_from_stdin("password")?),
            Some(username) => basic(username, ask(username, &self.registry)?),
            None => return Err(anyhow!("no name was given")),
        };
        let args = RegistryArgs::reaching(self.insecure, self.ca_file);
        let artifacts = Artifacts::new(args)?.with_login(login.clone());
        let client = artifacts.client(&[&self.registry])?;
        let kept = artifacts.wait(async {
            client.check_login(&self.registry).await.map_err(refused)?;
            credentials().keep(&self.registry, &login).await.map_err(unkept)
        })??;
        match kept {
            Kept::Helper(name) => status::say(&format!("Logged in to {}; `{name}` keeps it", self.registry)),
            Kept::File(path) => {
                status::say(&format!("Logged in to {}", self.registry));
                status::warn(&format!(
                    "the login lies unencrypted in `{}`; a credential helper would keep it safer",
                    path.display()
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Logout {
    /// Forgets it.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let artifacts = Artifacts::new(RegistryArgs::default())?;
        let was_there = artifacts.wait(credentials().forget(&self.registry))?.map_err(unkept)?;
        status::say(&match was_there {
            true => format!("Logged out of {}", self.registry),
            false => format!("No login for {} was kept", self.registry),
        });
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks for the password at the terminal, without showing it.
fn ask(username: &str, registry: &str) -> Result<Secret> {
    if !std::io::stdin().is_terminal() {
        let login = format!("flowctl login {} -u {} --password-stdin", shell_word(registry), shell_word(username));
        return Err(Hinted::error(
            "there is no terminal to ask for the password at",
            format!("pipe it in: `printf %s \"$PASSWORD\" | {login}`"),
        ));
    }
    // from before it is asked for: some type at once
    let hidden = Hidden::start();
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "Password of {username} at {registry}: ");
    let _ = stderr.flush();
    let read = secret_from_line(std::io::stdin().lock());
    drop(hidden);
    let _ = writeln!(stderr);
    read
}

/// Reads what was typed until Enter, or until nothing comes.
///
/// # Errors
///
/// When that is nothing, or Ctrl-C took it back.
fn secret_from_line(input: impl BufRead) -> Result<Secret> {
    let mut line = Vec::new();
    for byte in input.bytes() {
        match byte.context("cannot read the password")? {
            b'\n' => break,
            CTRL_C => {
                line.clear();
                break;
            }
            byte => line.push(byte),
        }
    }
    let line = String::from_utf8(line).map_err(|_| anyhow!("the password is not UTF-8"))?;
    match line.trim_end_matches('\r') {
        "" => Err(Hinted::error("no password was given", "type it, or pipe it in with `--password-stdin`")),
        password => Ok(Secret::new(password.to_owned())),
    }
}

/// The terminal does not show what is typed, while this lives. Ctrl-C ends a line then, and no
/// process: one that is ended would leave it so.
struct Hidden(Option<rustix::termios::Termios>);

impl Hidden {
    fn start() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
        let stdin = std::io::stdin();
        let Ok(before) = tcgetattr(&stdin) else { return Self(None) };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        let _ = tcsetattr(&stdin, OptionalActions::Now, &silent);
        Self(Some(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, before);
        }
    }
}

fn unkept(error: AuthError) -> anyhow::Error {
    hinted(error.hint(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_what_ctrl_c_takes_back_is_no_password() {
        let read = |typed: &str| secret_from_line(typed.as_bytes()).map(|secret| secret.expose().to_owned());
        for (typed, wanted) in [("open sesame\nrest", "open sesame"), (" x \r\n", " x "), ("unended", "unended")] {
            assert_eq!(read(typed).unwrap(), wanted, "{typed:?}");
        }
        for typed in ["", "\n", "\u{3}", "begun\u{3}\n", "begun\u{3}"] {
            assert_eq!(read(typed).unwrap_err().to_string(), "no password was given", "{typed:?}");
        }
    }
}
