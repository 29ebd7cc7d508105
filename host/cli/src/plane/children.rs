//! The processes of `command:` nodes: started when their node is made ready, and stopped
//! in order when the run has ended.
//!
//! Invariant: a process is never without an owner; what is not stopped is killed when
//! this is dropped.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use flowctl_control_plane::Directory;
use flowctl_control_plane::controller::RunLog;
use flowctl_control_plane::tenants::{Policy, Tenant};
use flowctl_remote::{Child, ChildSettings, LineFrom, LineSink, free_port};
use flowctl_schema::Role;
use flowctl_store::EventLevel;
use flowctl_topology::{Component, Node};

use super::peers::Starter;
use super::reach;
use crate::report::Hinted;

/// How long a process may take until it has registered.
const REGISTER_WITHIN: Duration = Duration::from_secs(60);

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);

/// Starts the processes of one run.
pub(crate) struct Children {
    pub(crate) tenant: Tenant,
    /// Where they may serve, the port that they are given aside.
    pub(crate) policy: Arc<Policy>,
    pub(crate) run: String,
    /// Where they find the control plane.
    pub(crate) endpoint: String,
    /// Relative programs are looked for there; none for where this process runs.
    pub(crate) base_dir: Option<PathBuf>,
    pub(crate) directory: Directory,
    pub(crate) log: RunLog,
    pub(crate) running: Arc<Running>,
}

/// The processes that run.
#[derive(Default)]
pub(crate) struct Running(Mutex<Vec<(Role, Child)>>);

/// Writes what a process says into the run's log.
struct Lines {
    run: String,
    node: String,
    log: RunLog,
}

impl LineSink for Lines {
    fn line(&self, from: LineFrom, text: &str) {
        let (level, kind) = match from {
            LineFrom::Stdout => (EventLevel::Info, "stdout"),
            LineFrom::Stderr => (EventLevel::Info, "stderr"),
            _ => (EventLevel::Warn, "process"),
        };
        self.log.append(&self.run, level, kind, &self.node, text);
    }
}

#[async_trait]
impl Starter for Children {
    async fn start(&self, node: &Node) -> Result<String> {
        let Component::Command { argv, env, .. } = &node.component else {
            return Err(anyhow::anyhow!("`{}` is no process of its own", node.id));
        };
        let port = |name: &str| -> Result<u16> {
            let said = env.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
            // `9090`, `:9090` and `127.0.0.1:9090` are all in use
            let said = said.and_then(|text| text.rsplit(':').next()).and_then(|text| text.parse().ok());
            said.map_or_else(|| free_port().context("there is no free port"), Ok)
        };
        let log = Lines { run: self.run.clone(), node: node.id.to_string(), log: self.log.clone() };
        let port_given = port("PORT")?;
        let child = Child::start(ChildSettings {
            node: node.id.clone(),
            run: self.run.clone(),
            argv: argv.clone(),
            dir: self.base_dir.clone(),
            env: env.clone(),
            endpoint_env: self.endpoint.clone(),
            port: port_given,
            health_port: port("HEALTH_PORT")?,
            log: Arc::new(log),
        })?;
        self.running.keep(node.role, child);
        let found = self.directory.wait_for_node(&self.tenant, node.id.as_str(), REGISTER_WITHIN).await;
        let found = found.ok_or_else(|| {
            Hinted::error(
                format!("its process did not register within {} s", REGISTER_WITHIN.as_secs()),
                format!("what it wrote is in the log: `flowctl pipelines logs {} --node {}`", self.run, node.id),
            )
        })?;
        let endpoint = found.registration.endpoint.clone();
        // a port that the file chose is like any other address
        let given = (!env.iter().any(|(name, _)| name == "PORT")).then_some(port_given);
        let (policy, id, said) = (Arc::clone(&self.policy), node.id.clone(), endpoint.clone());
        let checked = tokio::task::spawn_blocking(move || reach::check_served(&policy, id.as_str(), &said, given));
        checked.await.context("cannot look up where it serves")??;
        Ok(endpoint)
    }
}

impl Running {
    fn keep(&self, role: Role, child: Child) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((role, child));
    }

    /// Stops all of them, in the order in which events flow, and waits for their ends.
    pub(crate) async fn stop(&self) {
        let mut children = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        children.sort_by_key(|(role, _)| match role {
            Role::Source => 0,
            Role::Processor => 1,
            Role::Sink => 2,
        });
        for (_, child) in children {
            child.stop(GRACE).await;
        }
    }
}
