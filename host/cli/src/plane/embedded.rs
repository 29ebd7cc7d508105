//! The control plane that `flowctl run` brings along, where none is running: components
//! register at it, the run can be watched and stopped through it, and is written down.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use flowctl_control_plane::controller::{Adopted, Locking, PipelineFile, PlanRequest, Planned, Variables};
use flowctl_control_plane::tenants::{Credentials, Policies, Policy, Tenant};
use flowctl_control_plane::{
    ControlPlane, Controller, ControllerSettings, Directory, DirectorySettings, HostKind, ServeSettings, Server,
};
use flowctl_store::HostStore;
use flowctl_topology::render;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::children::{Children, Running};
use super::planner::{HostPlanner, origin};
use crate::report::hinted;
use crate::state::unusable_host;
use crate::{logs, pipeline};

/// The file in a pipeline's state directory that says where its run answers.
pub(super) const ENDPOINT_FILE: &str = "endpoint";

/// A control plane in this process.
pub(crate) struct Embedded {
    controller: Controller,
    directory: Directory,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    /// Where it is written down; removed at the end.
    endpoint: PathBuf,
}

impl Embedded {
    /// Starts it on `port` of the loopback interface, 0 for any that is free.
    ///
    /// # Errors
    ///
    /// When the port or the database cannot be had, with a hint.
    pub(crate) async fn start(base_dir: &Path, state_dir: &Path, port: u16, planner: HostPlanner) -> Result<Self> {
        let store = HostStore::open(base_dir).map_err(unusable_host)?;
        let directory = Directory::open(store.clone(), DirectorySettings::default()).await.map_err(unusable_host)?;
        let (policies, settings) = (Policies::without_file(), ControllerSettings::default());
        let made = Arc::new(planner.clone());
        let controller = Controller::open(store.clone(), made, directory.clone(), policies, settings).await;
        let controller = controller.map_err(unusable_host)?;
        logs::keep_in(controller.log());
        let control_plane = ControlPlane {
            controller: controller.clone(),
            directory: directory.clone(),
            credentials: Credentials::new(store),
            kind: HostKind::Embedded,
            started_at: Timestamp::now(),
        };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let server = Server::bind(ServeSettings { listen, ..ServeSettings::default() }, control_plane).await;
        let server = server.map_err(|error| hinted(error.hint(), error))?;
        let address = server.address();
        planner.serves_at(address.to_string());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async {
            // dropped, it says the same
            let _ = stopped.await;
        }));
        let endpoint = state_dir.join(ENDPOINT_FILE);
        // who looks for the run finds it by this; without it, by its address
        if let Err(error) = std::fs::write(&endpoint, format!("{address}\n")) {
            tracing::warn!(path = %endpoint.display(), %error, "where the run answers cannot be written down");
        }
        Ok(Self { controller, directory, address, stop: Some(stop), serving, endpoint })
    }

    /// Writes down that the run of what was planned from `file`, name and text, starts;
    /// `components` are files of plugins that belong to it.
    ///
    /// # Errors
    ///
    /// When the database fails, or the lock file cannot be made text.
    pub(crate) async fn adopt(
        &self,
        file: (&str, &str),
        components: Vec<PathBuf>,
        planned: &pipeline::Planned,
    ) -> Result<Adopted> {
        let topology = &planned.topology;
        let plan = PlanRequest {
            tenant: Tenant::unnamed(),
            policy: Arc::new(Policy::everything()),
            file: PipelineFile {
                name: file.0.to_owned(),
                text: file.1.to_owned(),
                // that of this process, when the pipeline is changed
                variables: Variables::Host,
                base_dir: std::env::current_dir().context("cannot find the working directory")?,
                plugins: components,
                lock: None,
            },
            locking: Locking::Follow,
            live: Vec::new(),
        };
        let planned = Planned {
            topology: topology.clone(),
            chain: render::line(topology),
            lock: planned.lock.text()?,
            warnings: Vec::new(),
            origins: topology.nodes.iter().map(|node| (node.id.to_string(), origin(node))).collect(),
            redaction: planned.redaction.clone(),
            carried: Arc::new(()),
        };
        Ok(self.controller.adopt(plan, planned).await?)
    }

    /// Where it answers.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// What starts the processes of `command:` nodes of run `run`.
    pub(crate) fn children(&self, run: &str, running: &Arc<Running>) -> Children {
        Children {
            tenant: Tenant::unnamed(),
            policy: Arc::new(Policy::everything()),
            run: run.to_owned(),
            endpoint: self.address.to_string(),
            base_dir: None,
            directory: self.directory.clone(),
            log: self.controller.log(),
            running: Arc::clone(running),
        }
    }

    /// Ends it.
    pub(crate) async fn end(mut self) {
        self.controller.log().flush().await;
        self.directory.flush().await;
        drop(self.stop.take());
        // it ends within its grace
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.serving.abort();
        // gone already, it is gone
        let _ = std::fs::remove_file(&self.endpoint);
    }
}
