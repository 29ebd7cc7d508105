//! What discovery knows of the connectors.

use std::collections::BTreeMap;

use flowctl_registry::{Accepts, Emits, Entry, Origin};
use flowctl_schema::{ConfigSchema, Role, Schema};

use crate::sql::{postgres, sqlite};
use crate::{
    ConnectorError, blackhole, file_sink, http_sink, http_source, json_lines, load, stdout, stellar_ledgers,
    stellar_rpc,
};

/// The WIT package of the one type that connectors emit by themselves.
const LEDGER_WIT: &str = include_str!("../../../wit/events/stellar-ledger/event.wit");

/// Every connector, those included that this build knows of but cannot run.
#[must_use]
pub fn catalogue() -> Vec<Entry> {
    let ledgers = Schema::from_wit(LEDGER_WIT).expect("the ledger's WIT is checked by this crate's tests");
    let configured = || Emits::Configured { field: "type" };
    vec![
        entry(
            (json_lines::FILE, Role::Source),
            (Accepts::Nothing, configured()),
            json_lines::FILE_CONFIG,
            "reads events from files, one line of JSON each",
        ),
        entry(
            (load::NAME, Role::Source),
            (Accepts::Nothing, configured()),
            load::CONFIG,
            "makes synthetic events of any type, for tests and measurements",
        ),
        entry(
            (http_source::NAME, Role::Source),
            (Accepts::Nothing, configured()),
            http_source::CONFIG,
            "takes events that clients post over HTTP, as JSON or as lines of JSON",
        ),
        entry(
            (stellar_ledgers::NAME, Role::Source),
            (Accepts::Nothing, Emits::Types(ledgers.clone())),
            stellar_ledgers::CONFIG,
            "reads ledgers of the Stellar network from files, in any of the formats in use",
        ),
        entry(
            (stellar_rpc::NAME, Role::Source),
            (Accepts::Nothing, Emits::Types(ledgers)),
            stellar_rpc::CONFIG,
            "follows the ledgers of the Stellar network as a Stellar RPC server gives them out",
        ),
        entry(
            (json_lines::STDIN, Role::Source),
            (Accepts::Nothing, configured()),
            json_lines::STDIN_CONFIG,
            "reads events from standard input, one line of JSON each",
        ),
        entry(
            (blackhole::NAME, Role::Sink),
            (Accepts::Any, Emits::Nothing),
            "",
            "takes events and drops them, for measuring what comes before",
        ),
        entry(
            (file_sink::NAME, Role::Sink),
            (Accepts::Any, Emits::Nothing),
            file_sink::CONFIG,
            "writes events to a file, one line of JSON each",
        ),
        entry(
            (http_sink::NAME, Role::Sink),
            (Accepts::Any, Emits::Nothing),
            http_sink::CONFIG,
            "posts events to an HTTP server as JSON, at least once",
        ),
        with_env(
            entry(
                (postgres::NAME, Role::Sink),
                (Accepts::AnyRecord, Emits::Nothing),
                postgres::CONFIG,
                "writes events to a PostgreSQL database, one row each, exactly once",
            ),
            ("url", postgres::URL_VARIABLE),
        ),
        entry(
            (sqlite::NAME, Role::Sink),
            (Accepts::AnyRecord, Emits::Nothing),
            sqlite::CONFIG,
            "writes events to an SQLite database, a file, one row each, exactly once",
        ),
        entry(
            (stdout::NAME, Role::Sink),
            (Accepts::Any, Emits::Nothing),
            "",
            "writes events to standard output, one line of JSON each",
        ),
    ]
}

/// Why there is no connector `name` of this role.
pub(crate) fn missing(role: Role, name: &str) -> ConnectorError {
    let role_name = match role {
        Role::Source => "source",
        Role::Processor => "processor",
        Role::Sink => "sink",
    };
    let entries: Vec<Entry> = catalogue().into_iter().filter(|entry| entry.role == role).collect();
    if entries.iter().any(|entry| entry.name == name) {
        return ConnectorError::Unavailable { role: role_name, name: name.to_owned() };
    }
    let known: Vec<String> = entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
    ConnectorError::Unknown { role: role_name, name: name.to_owned(), known: known.join(", ") }
}

fn entry((name, role): (&str, Role), (accepts, emits): (Accepts, Emits), config: &str, summary: &'static str) -> Entry {
    let config = (!config.is_empty())
        .then(|| ConfigSchema::from_wit(config).expect("each configuration's WIT is checked by this crate's tests"));
    let origin = Origin::BuiltIn { summary, is_available: true };
    Entry { name: name.to_owned(), role, accepts, emits, config, metadata: BTreeMap::new(), origin }
}

/// Lets an environment variable stand in for a field.
fn with_env(entry: Entry, (field, variable): (&str, &str)) -> Entry {
    Entry { config: entry.config.map(|config| config.with_env(field, variable)), ..entry }
}
