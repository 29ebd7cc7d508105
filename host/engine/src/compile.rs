//! Compiles components, in a child process that can be stopped.
//!
//! Cranelift cannot be cancelled and takes memory without asking, so untrusted bytes
//! are compiled by a program of their own: it reads the component from its input,
//! writes the code to its output, and has limits on time, memory and files. It gets
//! an empty environment.
//!
//! Invariant: what comes back is used only if the child ended well and the checksum
//! that it wrote before the code holds.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::str::FromStr;
use std::time::Duration;

use flowctl_types::Digest;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use wasmtime::Engine;

use crate::EngineError;
use crate::aot::Artifact;
use crate::config::{CodeSettings, CompileLimits, Compiler};
use crate::logs::printable;

/// What precedes the code: its checksum.
const CHECKSUM_BYTES: usize = 32;
/// Most compiled code that is taken from the child.
const MAX_CODE_BYTES: u64 = 2 << 30;
/// Most that is read of what the child complains.
const MAX_COMPLAINT_BYTES: u64 = 4 << 10;

/// Compiles `bytes`, which name themselves `plugin` in errors.
///
/// # Errors
///
/// [`EngineError::Compile`] and its kin; nothing is left running.
pub(crate) async fn compile(
    engine: &Engine,
    settings: CodeSettings,
    compiler: &Compiler,
    limits: CompileLimits,
    plugin: &str,
    bytes: Vec<u8>,
) -> Result<Artifact, EngineError> {
    match compiler {
        Compiler::InProcess => {
            let engine = engine.clone();
            let compiled = tokio::task::spawn_blocking(move || engine.precompile_component(&bytes)).await;
            let refused = |reason| EngineError::Compile { plugin: plugin.to_owned(), reason };
            match compiled {
                Ok(Ok(code)) => Ok(Artifact::from_compiler(code)),
                Ok(Err(error)) => Err(refused(format!("{error:#}"))),
                Err(error) => Err(refused(error.to_string())),
            }
        }
        Compiler::Child { program, args } => {
            let child = ChildCompiler { program, args, settings, limits, plugin };
            child.compile(&bytes).await.map(Artifact::from_compiler)
        }
    }
}

/// The main function of the compiler's process. `args` are those that follow
/// [`Compiler::Child`]'s own.
///
/// It reads a component from stdin and writes code to stdout, complaints to stderr.
#[must_use]
pub fn compile_child_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match compile_stdin(args.into_iter().collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            let _ = writeln!(io::stderr(), "{reason}");
            ExitCode::FAILURE
        }
    }
}

struct ChildCompiler<'a> {
    program: &'a Path,
    args: &'a [OsString],
    settings: CodeSettings,
    limits: CompileLimits,
    plugin: &'a str,
}

impl ChildCompiler<'_> {
    async fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, EngineError> {
        let start = |source| EngineError::CompilerStart { program: PathBuf::from(self.program), source };
        let mut child = Command::new(self.program)
            .args(self.args)
            .arg(self.settings.memory_reservation_bytes.to_string())
            .arg(self.limits.time.as_secs().max(1).to_string())
            .arg(self.limits.memory_bytes.to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(start)?;
        let ended = tokio::time::timeout(self.limits.time, exchange(&mut child, bytes)).await;
        let (status, output, complaint) = match ended {
            Ok(result) => result.map_err(start)?,
            Err(_) => {
                // waiting as well, so that no zombie is left
                let _ = child.kill().await;
                return Err(EngineError::CompileTime { plugin: self.plugin.to_owned(), limit: self.limits.time });
            }
        };
        let refused = |reason| EngineError::Compile { plugin: self.plugin.to_owned(), reason };
        if !status.success() {
            return Err(refused(self.explain(status, &complaint)));
        }
        let code = output.get(CHECKSUM_BYTES..).unwrap_or_default();
        if Digest::of(code).as_bytes()[..] != output[..output.len().min(CHECKSUM_BYTES)] {
            return Err(refused("the compiler's output is incomplete".to_owned()));
        }
        Ok(code.to_vec())
    }

    /// Why the child failed: its own words, or what the signal that ended it means.
    fn explain(&self, status: ExitStatus, complaint: &[u8]) -> String {
        use std::os::unix::process::ExitStatusExt;
        let complaint = printable(complaint);
        match status.signal() {
            None if complaint.is_empty() => format!("the compiler ended with {status}"),
            None => complaint,
            Some(signal) => {
                let limit = self.limits.memory_bytes >> 20;
                let words = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
                format!("the compiler was stopped by signal {signal}, its memory is limited to {limit} MiB{words}")
            }
        }
    }
}

/// Gives the child its input while reading its output, and waits for its end.
async fn exchange(child: &mut Child, bytes: &[u8]) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let no_pipe = || io::Error::other("the compiler has no pipes");
    let mut stdin = child.stdin.take().ok_or_else(no_pipe)?;
    let stdout = child.stdout.take().ok_or_else(no_pipe)?;
    let stderr = child.stderr.take().ok_or_else(no_pipe)?;
    let (mut output, mut complaint) = (Vec::new(), Vec::new());
    let give = async move {
        // a child that ends early closes the pipe; its status says why
        let _ = stdin.write_all(bytes).await;
        drop(stdin);
        Ok(0)
    };
    let mut stdout = stdout.take(MAX_CODE_BYTES);
    let mut stderr = stderr.take(MAX_COMPLAINT_BYTES);
    tokio::try_join!(give, stdout.read_to_end(&mut output), stderr.read_to_end(&mut complaint))?;
    // dropped before waiting: a child that has more to say ends on the closed pipe
    drop((stdout, stderr));
    Ok((child.wait().await?, output, complaint))
}

fn compile_stdin(args: Vec<OsString>) -> Result<(), String> {
    let [reservation, seconds, memory] = <[OsString; 3]>::try_from(args)
        .map_err(|args| format!("the compiler takes 3 numbers, found {}", args.len()))?;
    let settings = CodeSettings { memory_reservation_bytes: number(&reservation)? };
    limit_self(number(&seconds)?, number(&memory)?);
    let engine = Engine::new(&settings.to_wasmtime()).map_err(|error| format!("{error:#}"))?;
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map_err(|error| format!("cannot read the component: {error}"))?;
    let code = engine.precompile_component(&bytes).map_err(|error| format!("{error:#}"))?;
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(Digest::of(&code).as_bytes())
        .and_then(|()| stdout.write_all(&code))
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("cannot write the code: {error}"))
}

/// Bounds what this process may use. A bound that cannot be set is left: the parent
/// watches the time as well.
fn limit_self(seconds: u64, memory_bytes: u64) {
    let set = |resource, limit| {
        let _ = setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) });
    };
    let n_threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    set(Resource::Core, 0);
    set(Resource::Fsize, 0);
    set(Resource::Cpu, Duration::from_secs(seconds).as_secs().saturating_mul(n_threads));
    set(Resource::As, memory_bytes);
}

fn number<T: FromStr>(text: &OsStr) -> Result<T, String> {
    let text = text.to_string_lossy();
    text.parse().map_err(|_| format!("`{text}` is no number"))
}
