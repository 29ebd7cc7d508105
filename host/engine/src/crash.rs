//! Says why a call of a plugin ended badly, in words for the operator.
//!
//! Invariant: the text names the plugin, the node and the call; it is bounded, and
//! what a guest chose of it (names of functions) cannot steer a terminal.

use std::fmt::{self, Write as _};
use std::time::Duration;

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::limits::{LimitOf, Refusal, Usage};
use crate::logs::printable;
use crate::outcome::Lie;

/// Most bytes of a backtrace.
const MAX_BACKTRACE_BYTES: usize = 8 << 10;

/// What the host calls a plugin for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Instantiate,
    Configure,
    Process,
    Save,
    Restore,
    Tick,
    End,
}

/// How a call ended, if not well.
pub(crate) enum Cause<'a> {
    /// wasmtime stopped it.
    Stopped { error: &'a wasmtime::Error, usage: &'a Usage, cpu: Duration, answer_bytes: usize },
    /// It took too long on the wall clock.
    Timeout(Duration),
    /// It answered what cannot be.
    Lie(&'a Lie),
}

/// The whole text.
pub(crate) fn describe(plugin: &str, node: &str, call: Call, cause: &Cause<'_>) -> String {
    let mut text = format!("plugin `{plugin}` at node `{node}` crashed in `{call}`: {cause}");
    if let Cause::Stopped { error, .. } = cause {
        append_backtrace(&mut text, error);
    }
    text
}

fn append_backtrace(text: &mut String, error: &wasmtime::Error) {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return };
    let start = text.len();
    for line in backtrace.to_string().lines() {
        // "   3: 0x1f4 - module!function"; the first line is a heading
        let Some((_, function)) = line.split_once(" - ") else { continue };
        if text.len() - start > MAX_BACKTRACE_BYTES {
            break;
        }
        let _ = write!(text, "\n    at {}", printable(function.as_bytes()));
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instantiate => "instantiate",
            Self::Configure => "configure",
            Self::Process => "process",
            Self::Save => "save",
            Self::Restore => "restore",
            Self::Tick => "tick",
            Self::End => "end",
        })
    }
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(limit) => write!(f, "did not answer within {}", seconds(*limit)),
            Self::Lie(lie) => write!(f, "answered nonsense: {lie}"),
            Self::Stopped { error, usage, cpu, answer_bytes } => {
                let trap = error.downcast_ref::<Trap>();
                if let Some(refusal) = usage.refusal() {
                    write!(f, "out of memory: {refusal}")?;
                    return trap.map_or(Ok(()), |trap| write!(f, " ({trap})"));
                }
                match trap {
                    Some(Trap::Interrupt) if usage.is_out_of_ticks() => {
                        write!(f, "used its CPU budget of {}", seconds(*cpu))
                    }
                    Some(trap) => write!(f, "{trap}"),
                    None if error.is::<I32Exit>() => f.write_str("it called `exit`"),
                    None => write_refused(f, error, *answer_bytes),
                }
            }
        }
    }
}

/// An answer that wasmtime itself refuses: too large, or no value of its type.
fn write_refused(f: &mut fmt::Formatter<'_>, error: &wasmtime::Error, answer_bytes: usize) -> fmt::Result {
    let cause = error.root_cause().to_string();
    if cause.contains("fuel allocated for hostcalls") {
        return write!(f, "handed over more than {} MiB in one call", answer_bytes >> 20);
    }
    write!(f, "broke the contract: {}", printable(cause.as_bytes()))
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.of {
            LimitOf::Instance => "to it",
            LimitOf::Tenant => "to all plugins of its tenant",
            LimitOf::Single => "to a single memory",
        };
        write!(f, "asked for {} of {} allowed {whose}", size(self.asked_bytes), size(self.limit_bytes))
    }
}

fn size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{} KiB", bytes.div_ceil(1 << 10))
    } else {
        format!("{} MiB", bytes.div_ceil(1 << 20))
    }
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) { format!("{} ms", time.as_millis()) } else { format!("{} s", time.as_secs_f64()) }
}
