//! Sinks that write events as rows of a database, exactly once.
//!
//! What is the same for every database is here: a [`Table`] made of an event type's
//! record ([`table`]), whether a table that exists will do ([`fit`]), and what the
//! configuration says of both. Each database has its folder.
//!
//! Invariant: the rows of an epoch and its number, in the table `flowctl_epochs`, are
//! committed in one transaction. So a sink that is asked holds either all rows of an
//! epoch or none, whatever died in between.

mod fit;
pub(crate) mod postgres;
pub(crate) mod sqlite;
mod table;

use flowctl_topology::Node;
use serde::Deserialize;

use self::table::Table;
use crate::{ConnectorError, Pipeline};

/// The table of epochs: one row for each sink of each pipeline that writes here.
const EPOCHS: &str = "flowctl_epochs";

/// What happens to a row whose key is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Rows have no key; every event is a row.
    #[default]
    Append,
    /// The last event of a key is its row.
    Upsert,
}

/// What the configuration says of tables, whatever the database.
#[derive(Debug, Default)]
struct Wanted {
    table: Option<String>,
    mode: Option<Mode>,
    key: Option<Vec<String>>,
}

impl Wanted {
    /// The tables for the inputs of `node`, by `kind`.
    fn tables(&self, connector: &'static str, node: &Node) -> Result<Vec<Table>, ConnectorError> {
        if let (Some(name), 2..) = (&self.table, node.inputs.len()) {
            let types: Vec<_> = node.inputs.iter().map(|schema| format!("`{}`", schema.event_type())).collect();
            let reason = format!(
                "is `{name}`, but the sink takes {}, each of which needs a table of its own: leave `table` out, or give each type a sink",
                types.join(" and ")
            );
            return Err(ConnectorError::field(connector, "table", reason));
        }
        let key = self.key(connector)?;
        let table = |schema| Table::of(connector, node, schema, self.table.as_deref(), key);
        node.inputs.iter().map(table).collect()
    }

    /// The columns that tell rows apart; none where every event is a row.
    fn key(&self, connector: &'static str) -> Result<Option<&[String]>, ConnectorError> {
        let wrong = |reason: &str| Err(ConnectorError::field(connector, "key", reason));
        match (self.mode.unwrap_or_default(), self.key.as_deref()) {
            (Mode::Append, None) => Ok(None),
            (Mode::Append, Some(_)) => wrong("has no use where every event is a row: add `mode: upsert`"),
            (Mode::Upsert, None | Some([])) => {
                wrong("is missing: `mode: upsert` needs the columns that tell rows apart, `key: [COLUMN]`")
            }
            (Mode::Upsert, Some(key)) => Ok(Some(key)),
        }
    }
}

/// Under which key a sink keeps its epoch, and whose it is.
#[derive(Debug, Clone)]
struct Place {
    pipeline: String,
    state_id: String,
    node: String,
}

impl Place {
    fn of(pipeline: &Pipeline, node: &Node) -> Self {
        Self { pipeline: pipeline.name.to_string(), state_id: pipeline.state_id.clone(), node: node.id.to_string() }
    }
}

/// A name as both databases read it, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names as a list of them, quoted.
fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}
