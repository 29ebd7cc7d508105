//! Credential helpers: programs `docker-credential-NAME` that keep logins.
//!
//! The protocol is docker's: `get`, `store` and `erase` are the argument, a server or a
//! JSON object is the standard input, a JSON object or a message the standard output.
//!
//! Invariant: a helper is bounded in time and in what it writes; it is killed when either
//! runs out, or when nobody waits for it any more. Secrets go by standard input.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{AuthError, Login, Secret};

/// Most bytes of what a helper answers, or says when it fails.
const MAX_ANSWER_BYTES: u64 = 64 << 10;
/// Most characters of a helper's message that are repeated.
const MAX_MESSAGE_CHARS: usize = 300;
/// The user name by which helpers mark an identity token.
const TOKEN_USER: &str = "<token>";
/// What helpers say of a registry that they do not know: part of docker's protocol.
const NOT_FOUND: &str = "credentials not found";

/// A helper, and whom it is asked about.
pub(super) struct Helper<'a> {
    /// What stands behind `docker-credential-`.
    pub(super) name: &'a str,
    /// Where programs are looked for, written as `PATH` is.
    pub(super) search_path: Option<&'a OsString>,
    /// How long it may take.
    pub(super) limit: Duration,
    /// The configuration that names it, for messages.
    pub(super) config: &'a Path,
    /// The registry, for messages.
    pub(super) registry: &'a str,
    /// The registry, as helpers know it.
    pub(super) server: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Secret,
}

#[derive(Serialize)]
struct Question<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    #[serde(rename = "Username")]
    username: &'a str,
    #[serde(rename = "Secret")]
    secret: &'a str,
}

struct Output {
    is_success: bool,
    stdout: Zeroizing<Vec<u8>>,
    stderr: Zeroizing<Vec<u8>>,
}

/// The path of the helper `name`. The working directory is not searched, whatever `PATH` says.
pub(super) fn find(name: &str, search_path: Option<&OsString>) -> Option<PathBuf> {
    let folders = search_path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
    let mut candidates = folders.into_iter().filter(|folder| folder.is_absolute()).map(|f| f.join(program(name)));
    candidates.find(|path| path.is_file())
}

fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

impl Helper<'_> {
    /// The login that the helper keeps, where it keeps one.
    pub(super) async fn get(&self) -> Result<Option<Login>, AuthError> {
        let output = self.run("get", self.server.as_bytes()).await?;
        if !output.is_success {
            return if output.is_not_found() { Ok(None) } else { Err(self.failed("get", &output, None)) };
        }
        let answer: Answer = serde_json::from_slice(&output.stdout)
            .map_err(|_| self.answer("it must be a JSON object with the texts `Username` and `Secret`"))?;
        Ok(match answer {
            Answer { secret, .. } if secret.expose().is_empty() => None,
            Answer { username, secret } if username == TOKEN_USER => Some(Login::Identity(secret)),
            Answer { username, secret } => Some(Login::Basic { username, password: secret }),
        })
    }

    /// Hands `login` to the helper.
    pub(super) async fn store(&self, login: &Login) -> Result<(), AuthError> {
        let (username, secret) = match login {
            Login::Basic { username, password } => (username.as_str(), password),
            Login::Identity(token) => (TOKEN_USER, token),
            Login::Bearer(_) => return Err(self.unkeepable("bearer token")),
            Login::Anonymous => return Err(self.unkeepable("login without a user")),
        };
        let question = Question { server_url: self.server, username, secret: secret.expose() };
        let input = Zeroizing::new(serde_json::to_vec(&question).expect("texts are JSON"));
        let output = self.run("store", &input).await?;
        if output.is_success { Ok(()) } else { Err(self.failed("store", &output, Some(secret))) }
    }

    /// Has the helper forget the login, and tells whether it kept one.
    pub(super) async fn erase(&self) -> Result<bool, AuthError> {
        let output = self.run("erase", self.server.as_bytes()).await?;
        match output {
            Output { is_success: true, .. } => Ok(true),
            output if output.is_not_found() => Ok(false),
            output => Err(self.failed("erase", &output, None)),
        }
    }

    fn program(&self) -> String {
        program(self.name)
    }

    fn find(&self) -> io::Result<PathBuf> {
        find(self.name, self.search_path)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no folder of PATH holds it"))
    }

    async fn run(&self, command: &'static str, input: &[u8]) -> Result<Output, AuthError> {
        let start = |source| AuthError::HelperStart {
            program: self.program(),
            path: self.config.to_owned(),
            registry: self.registry.to_owned(),
            source,
        };
        let mut child = Command::new(self.find().map_err(start)?)
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(start)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let work = async {
            let feed = async {
                if let Some(mut stdin) = stdin {
                    // a helper need not read what it does not want to know
                    let _ = stdin.write_all(input).await;
                }
            };
            let ((), stdout, stderr) = tokio::join!(feed, read(stdout), read(stderr));
            let (stdout, stderr) = (stdout?, stderr?);
            let is_success = child.wait().await?.success();
            Ok::<_, io::Error>(Output { is_success, stdout, stderr })
        };
        match tokio::time::timeout(self.limit, work).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(self.answer("it is longer than 64 KiB"))
            }
            Ok(Err(_)) => Err(self.answer("it ended early")),
            Err(_) => Err(AuthError::HelperTimeout {
                program: self.program(),
                command,
                registry: self.registry.to_owned(),
                limit: self.limit,
            }),
        }
    }

    fn failed(&self, command: &'static str, output: &Output, secret: Option<&Secret>) -> AuthError {
        let message = output.message(secret);
        AuthError::HelperFailed { program: self.program(), command, registry: self.registry.to_owned(), message }
    }

    fn answer(&self, rule: &'static str) -> AuthError {
        AuthError::HelperAnswer { program: self.program(), registry: self.registry.to_owned(), rule }
    }

    fn unkeepable(&self, kind: &'static str) -> AuthError {
        AuthError::Unkeepable { kind, place: format!("by the credential helper `{}`", self.program()) }
    }
}

impl Output {
    fn is_not_found(&self) -> bool {
        !self.is_success && String::from_utf8_lossy(&self.stdout).to_ascii_lowercase().contains(NOT_FOUND)
    }

    /// What the helper said, in one line. A text that could be an answer, and with it a
    /// secret, is not repeated.
    fn message(&self, secret: Option<&Secret>) -> String {
        let said = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).trim().to_owned();
            let may_hold_secret =
                text.contains(['{', '}', '"']) || secret.is_some_and(|secret| text.contains(secret.expose()));
            (!text.is_empty() && !may_hold_secret).then_some(text)
        };
        let text =
            said(&self.stdout).or_else(|| said(&self.stderr)).unwrap_or_else(|| "it does not say why".to_owned());
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE_CHARS).collect()
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    if let Some(stream) = stream {
        stream.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > MAX_ANSWER_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
