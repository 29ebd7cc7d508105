//! Components in other processes, as they registered and beat.
//!
//! Leaves out whether one lives: that follows from `last_heartbeat`, and is the directory's
//! to say.

use std::collections::BTreeMap;

use rusqlite::{Row, params};

use super::values::{Json, json, words};
use super::{Durability, HostStore};
use crate::StateError;

/// What a component does in a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComponentRole {
    /// It emits events.
    Source,
    /// It takes events and emits others.
    Processor,
    /// It takes events.
    Sink,
}

words!(ComponentRole { Source = "source", Processor = "processor", Sink = "sink" });

/// A component as it registered, with its last heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentRecord {
    /// Whose it is.
    pub tenant: String,
    /// What it is called by, within its tenant.
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// What it says of itself.
    pub description: String,
    /// Its own version.
    pub version: String,
    /// What it does in a pipeline.
    pub role: ComponentRole,
    /// The event types that it takes.
    pub input_types: Vec<String>,
    /// The event types that it emits.
    pub output_types: Vec<String>,
    /// Where it is called.
    pub endpoint: String,
    /// What else it says of itself, by key.
    pub metadata: BTreeMap<String, String>,
    /// The node of a pipeline that it was started for, where it was.
    pub node: Option<String>,
    /// When it registered.
    pub registered_at: i64,
    /// When it last said that it lives.
    pub last_heartbeat: i64,
    /// The health that it last said, as a word.
    pub status: String,
    /// The figures that it last said, by name.
    pub metrics: BTreeMap<String, String>,
}

/// A component's word that it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Whose component it is.
    pub tenant: String,
    /// The component.
    pub id: String,
    /// When it was heard.
    pub at: i64,
    /// The health that it says, as a word.
    pub status: String,
    /// The figures that it says, by name. They take the place of those before.
    pub metrics: BTreeMap<String, String>,
}

impl HostStore {
    /// Stores a component, in the place of the tenant's one of that id.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails. Nothing was stored.
    pub fn put_component(&self, component: &ComponentRecord) -> Result<(), StateError> {
        let put = "INSERT OR REPLACE INTO component
            (tenant, id, name, description, version, role, input_types, output_types, endpoint, metadata, node,
             registered_at, last_heartbeat, status, metrics)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
        self.write(Durability::Now, |transaction| {
            transaction.prepare_cached(put)?.execute(params![
                component.tenant,
                component.id,
                component.name,
                component.description,
                component.version,
                component.role,
                Json(&component.input_types),
                Json(&component.output_types),
                component.endpoint,
                Json(&component.metadata),
                component.node,
                component.registered_at,
                component.last_heartbeat,
                component.status,
                Json(&component.metrics),
            ])?;
            Ok(())
        })
    }

    /// Stores heartbeats, in one transaction. One of a component that is not there, or
    /// that is older than what is stored, changes nothing. A crash of the machine may lose
    /// them: the next ones follow.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails. Nothing was stored.
    pub fn beat(&self, heartbeats: &[Heartbeat]) -> Result<(), StateError> {
        if heartbeats.is_empty() {
            return Ok(());
        }
        let beat = "UPDATE component SET last_heartbeat = ?3, status = ?4, metrics = ?5
            WHERE tenant = ?1 AND id = ?2 AND last_heartbeat <= ?3";
        self.write(Durability::Soon, |transaction| {
            let mut statement = transaction.prepare_cached(beat)?;
            for Heartbeat { tenant, id, at, status, metrics } in heartbeats {
                statement.execute(params![tenant, id, at, status, Json(metrics)])?;
            }
            Ok(())
        })
    }

    /// Forgets a component. Answers whether it was there.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails. It is still there.
    pub fn remove_component(&self, tenant: &str, id: &str) -> Result<bool, StateError> {
        self.write(Durability::Now, |transaction| {
            let remove = "DELETE FROM component WHERE tenant = ?1 AND id = ?2";
            Ok(transaction.prepare_cached(remove)?.execute([tenant, id])? > 0)
        })
    }

    /// The components of all tenants, by tenant and id.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn components(&self) -> Result<Vec<ComponentRecord>, StateError> {
        let list = "SELECT tenant, id, name, description, version, role, input_types, output_types, endpoint, metadata,
            node, registered_at, last_heartbeat, status, metrics FROM component ORDER BY tenant, id";
        self.read(|database| database.prepare_cached(list)?.query_map([], component)?.collect())
    }
}

fn component(row: &Row<'_>) -> rusqlite::Result<ComponentRecord> {
    Ok(ComponentRecord {
        tenant: row.get(0)?,
        id: row.get(1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        version: row.get(4)?,
        role: row.get(5)?,
        input_types: json(row, 6)?,
        output_types: json(row, 7)?,
        endpoint: row.get(8)?,
        metadata: json(row, 9)?,
        node: row.get(10)?,
        registered_at: row.get(11)?,
        last_heartbeat: row.get(12)?,
        status: row.get(13)?,
        metrics: json(row, 14)?,
    })
}
