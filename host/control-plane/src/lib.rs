//! The control plane: what runs on this host, who may touch it, and the port through
//! which that is done.
//!
//! A [`Controller`] owns the pipelines and runs of this process, a [`Directory`] knows
//! the components that registered, and a [`Server`] serves both as gRPC and HTTP.
//!
//! Invariants: whoever calls sees and touches one tenant's objects; no run stays in a
//! state without a limit; every list, stream and text is bounded.
//!
//! Leaves out the engine, connectors, registries of plugins and terminals: what it needs
//! of them comes through [`Planner`].

mod access;
mod connection;
pub mod controller;
mod deadline;
pub mod directory;
mod http;
mod metrics;
mod records;
mod redaction;
mod routes;
mod server;
mod services;
pub mod tenants;
mod text;
mod tls;

use jiff::Timestamp;

pub use access::Peer;
pub use controller::{Controller, ControllerSettings, Planner};
pub use directory::{Directory, DirectorySettings};
pub use redaction::Redaction;
pub use server::{ServeError, ServeSettings, Server};
pub use tls::{Tls, TlsError};

use tenants::Credentials;

/// Everything that a server serves. Cheap to clone.
#[derive(Clone)]
pub struct ControlPlane {
    /// The pipelines and runs.
    pub controller: Controller,
    /// The components that registered.
    pub directory: Directory,
    /// Who may call.
    pub credentials: Credentials,
    /// What the host is there for.
    pub kind: HostKind,
    /// When it started.
    pub started_at: Timestamp,
}

/// What a host is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// Pipelines that come and go.
    Serving,
    /// The one run of a command.
    Embedded,
}
