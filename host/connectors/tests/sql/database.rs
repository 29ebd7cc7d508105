//! A database of a test's own, and sinks that write to it.

use std::sync::Arc;

use flowctl_connectors::{ConnectorError, sink};
use flowctl_runtime::{Fault, Sink};
use flowctl_schema::{Role, Schema};
use flowctl_test_support::postgres::{PASSWORD, Server};
use flowctl_types::{Batch, Columns, Ids};
use serde_json::{Value, json};

use crate::support::{node, pipeline, schema};

/// An event of one number and one text.
pub(crate) const NOTE: &str =
    "package test:note@1.0.0; interface event { record note { id: u32, text: string, more: option<string> } }";

/// A database on a server that the tests share.
pub(crate) struct Database {
    pub(crate) server: Arc<Server>,
    pub(crate) url: String,
}

impl Database {
    pub(crate) fn new(name: &str) -> Self {
        let server = Server::shared();
        let url = server.create_database(name);
        Self { server, url }
    }

    /// Runs SQL, and answers its rows.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.server.psql(&self.url, sql)
    }

    /// A sink for notes, configured by `config` beside the URL; opened.
    pub(crate) async fn notes(&self, config: Value) -> Box<dyn Sink> {
        let mut sink = self.sink(config);
        sink.open().await.unwrap();
        sink
    }

    /// The same, not opened.
    pub(crate) fn sink(&self, config: Value) -> Box<dyn Sink> {
        postgres(&self.url, config, vec![schema(NOTE)]).unwrap()
    }

    /// Ends every other connection to the database.
    pub(crate) fn end_connections(&self) {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        assert_ne!(self.sql(sql), "0", "nobody was connected");
    }

    /// The notes in the table, by their numbers.
    pub(crate) fn notes_there(&self) -> String {
        self.sql("SELECT coalesce(string_agg(id::text || ':' || text, ' ' ORDER BY id), '') FROM test_note_v1")
    }

    /// The epochs of all sinks.
    pub(crate) fn epochs(&self) -> String {
        self.sql("SELECT pipeline, state_id, node, epoch FROM flowctl_epochs")
    }
}

/// A sink `postgres`.
pub(crate) fn postgres(url: &str, mut config: Value, inputs: Vec<Schema>) -> Result<Box<dyn Sink>, ConnectorError> {
    config["url"] = url.into();
    sink(&node("postgres", Role::Sink, config, inputs, vec![]), &pipeline())
}

/// A batch of these events, as JSON.
pub(crate) fn batch(schema: &Schema, events: &[Value]) -> Arc<Batch> {
    let mut columns = Columns::default();
    for event in events {
        schema.json_to_payload(event.to_string().as_bytes(), &mut columns.data).unwrap();
        columns.finish_event(0);
    }
    Arc::new(Batch::new(columns, Ids::numbered("test", 0)))
}

/// A batch of notes: number and text.
pub(crate) fn notes(notes: &[(u32, &str)]) -> Arc<Batch> {
    let events: Vec<Value> = notes.iter().map(|(id, text)| json!({ "id": id, "text": text })).collect();
    batch(&schema(NOTE), &events)
}

/// Writes notes, all of which have to be taken.
pub(crate) async fn write(sink: &mut dyn Sink, these: &[(u32, &str)]) {
    assert_eq!(sink.write(&notes(these)).await, Ok(vec![]));
}

/// Writes the notes again and again, until the sink says that what it had is lost.
pub(crate) async fn write_until_lost(sink: &mut dyn Sink, these: &[(u32, &str)]) -> Fault {
    loop {
        match sink.write(&notes(these)).await {
            // nobody waits for the server's word before the flush
            Ok(rejected) => assert_eq!(rejected, []),
            Err(fault) => {
                assert!(said(&fault).starts_with("lost: "), "{fault:?}");
                return fault;
            }
        }
    }
}

/// What a fault says, after its kind. It never has the password.
pub(crate) fn said(fault: &Fault) -> String {
    let kind = match fault {
        Fault::Retry(_) => "retry",
        Fault::Fatal(_) => "fatal",
        Fault::Lost(_) => "lost",
        Fault::Crashed { .. } => "crashed",
    };
    let text = format!("{kind}: {fault}");
    assert!(!text.contains(PASSWORD), "{text}");
    assert!(!format!("{fault:?}").contains(PASSWORD), "{fault:?}");
    text
}
