//! Components in processes of their own, which speak the wire as existing ones do.
//!
//! The program of a component is the test's own: its `main` calls [`child`] first, and
//! [`Component::start`] starts it anew with a role in its environment. Components in
//! Python, which share no code with flowctl, are started the same way.
//!
//! What is the habit of existing components is theirs here too, also where another would
//! be better: they register `:PORT` as their endpoint, pass over events of types that they
//! do not know without counting them, answer health checks with "unknown" (the source), and
//! beat under their own id with no health at all (the sink). None registers a second time.
//!
//! Environment of all: `PORT`, `HEALTH_PORT` (`50051`, `:50051`, `0.0.0.0:50051`; 0 takes a
//! free one), `ENABLE_FLOWCTL`, `FLOWCTL_ENDPOINT`, `FLOWCTL_HEARTBEAT_INTERVAL` (such as
//! `10s`, `500ms`), `COMPONENT_ID`, `FLOWCTL_COMPONENT_ID`. The faults that a test asks for
//! are told by variables too:
//! - `DIE_AFTER=n`: the process ends with status 1 when the event behind the nth comes.
//! - `BREAK_AFTER=n`: that event's stream ends with UNAVAILABLE, once.
//! - `POISON=id`: the event of that id ends its stream with INTERNAL, whenever it comes.
//! - `MISCOUNT=1`: the sink counts one event too few, once.
//! - `UNHEALTHY_FILE=path`: health is UNHEALTHY while there is such a file.
//!
//! `GO_FILE=path` has the source wait in the middle of its ledgers until there is such a file.
//!
//! Events are counted over all streams of the process.

mod environment;
mod faults;
mod ledgers;
mod process;
mod processor;
mod python;
mod received;
mod registration;
mod server;
mod sink;
mod source;
mod table;
mod transfers;

use std::io::Write as _;
use std::process::ExitCode;

pub use process::Component;
pub use python::{client_answers, python_packages};
pub use received::Received;

/// The variable that makes the test's program a component: its role.
const ROLE: &str = "FLOWCTL_TEST_COMPONENT";
/// The variable that says that whoever started the process holds its stdin open, and is
/// gone when that ends.
const LEASH: &str = "FLOWCTL_TEST_LEASH";

/// What a component does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `stellar-live-source`: emits the ledgers of the file `LEDGERS`, of the network
    /// `NETWORK`, as `stellar.ledger.v1`, and ends; or stays open where `STAY` is `1`.
    Source,
    /// `ttp-processor-v1`: `stellar.ledger.v1` of the network `NETWORK` to a batch of
    /// `stellar.token.transfer.v1` a ledger that has any.
    Processor,
    /// `postgres-sink-v1`: appends `stellar.token.transfer.v1`, and what types
    /// `INPUT_TYPES` lists beside it, to the file `OUTPUT`, or to the column `event` of the
    /// table `received` of the database `DATABASE_URL`: see [`Received`].
    Sink,
}

impl Role {
    const ALL: [Self; 3] = [Self::Source, Self::Processor, Self::Sink];

    /// The name that the environment has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Processor => "processor",
            Self::Sink => "sink",
        }
    }

    /// The id that its component registers under, where `COMPONENT_ID` says no other.
    pub const fn component_id(self) -> &'static str {
        match self {
            Self::Source => "stellar-live-source",
            Self::Processor => "ttp-processor-v1",
            Self::Sink => "postgres-sink-v1",
        }
    }

    /// What makes the test's program this component, for whoever starts it otherwise than
    /// by [`Component::start`]: a variable and its value.
    pub const fn variable(self) -> (&'static str, &'static str) {
        (ROLE, self.name())
    }
}

/// Is the component that the environment asks for, until it is told to end. None where
/// the environment asks for none: then this process is the test's.
///
/// # Panics
///
/// When the environment asks for a role that there is not.
pub fn child() -> Option<ExitCode> {
    let name = std::env::var(ROLE).ok()?;
    let role = Role::ALL.into_iter().find(|role| role.name() == name);
    let role = role.unwrap_or_else(|| panic!("`{ROLE}` is `{name}`, which is no role"));
    if std::env::var_os(LEASH).is_some() {
        std::thread::spawn(end_with_parent);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime can be started");
    let ended = runtime.block_on(async {
        match role {
            Role::Source => source::run().await,
            Role::Processor => processor::run().await,
            Role::Sink => sink::run().await,
        }
    });
    // streams may still be open, and are not waited for
    runtime.shutdown_background();
    Some(match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    })
}

/// Ends the process when its stdin does.
#[allow(clippy::disallowed_methods, reason = "nobody is left for whom anything were to be flushed")]
fn end_with_parent() {
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    std::process::exit(1);
}

/// Writes a line to stdout, for the test that waits for it.
fn say(line: &str) {
    // a test that is gone hears nothing
    let _ = writeln!(std::io::stdout(), "{line}");
}
