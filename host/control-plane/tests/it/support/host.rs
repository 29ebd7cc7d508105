//! A host with its port, and callers with their tokens.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flowctl_control_plane::controller::ControllerSettings;
use flowctl_control_plane::directory::DirectorySettings;
use flowctl_control_plane::tenants::{Credentials, Policies, Role};
use flowctl_control_plane::{ControlPlane, Controller, Directory, HostKind, ServeSettings, Server};
use flowctl_proto::admin::host_service_client::HostServiceClient;
use flowctl_proto::admin::pipeline_service_client::PipelineServiceClient;
use flowctl_proto::admin::plugin_service_client::PluginServiceClient;
use flowctl_proto::admin::run_service_client::RunServiceClient;
use flowctl_proto::admin::topology_service_client::TopologyServiceClient;
use flowctl_proto::admin::{ApplyPipelineRequest, GetRunRequest, PipelineFile, Run, RunStatus};
use flowctl_proto::v1::control_plane_service_client::ControlPlaneServiceClient;
use flowctl_store::HostStore;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::FakePlanner;

/// Nothing that is waited for takes this long.
const LIMIT: Duration = Duration::from_secs(30);

/// How a host is set up.
pub(crate) struct Setup {
    pub(crate) controller: ControllerSettings,
    pub(crate) directory: DirectorySettings,
    pub(crate) policies: Policies,
    pub(crate) serve: ServeSettings,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            controller: ControllerSettings::default(),
            directory: DirectorySettings::default(),
            policies: Policies::without_file(),
            serve: ServeSettings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..ServeSettings::default() },
        }
    }
}

/// A host that serves.
pub(crate) struct Host {
    pub(crate) plane: ControlPlane,
    pub(crate) planner: Arc<FakePlanner>,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Host {
    pub(crate) async fn start(dir: &Path) -> Self {
        Self::with(dir, Setup::default()).await
    }

    pub(crate) async fn with(dir: &Path, setup: Setup) -> Self {
        let plane_and_planner = Self::plane(dir, &setup).await;
        let (plane, planner) = plane_and_planner;
        let server = Server::bind(setup.serve, plane.clone()).await.unwrap();
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Self { plane, planner, address, stop: Some(stop), served }
    }

    /// What a server serves, without a server.
    pub(crate) async fn plane(dir: &Path, setup: &Setup) -> (ControlPlane, Arc<FakePlanner>) {
        let store = HostStore::open(dir).unwrap();
        let directory = Directory::open(store.clone(), setup.directory).await.unwrap();
        let planner = Arc::new(FakePlanner::default());
        let (policies, settings) = (setup.policies.clone(), setup.controller);
        let controller =
            Controller::open(store.clone(), planner.clone(), directory.clone(), policies, settings).await.unwrap();
        let credentials = Credentials::new(store);
        let (kind, started_at) = (HostKind::Serving, Timestamp::now());
        (ControlPlane { controller, directory, credentials, kind, started_at }, planner)
    }

    /// A caller without a token.
    pub(crate) async fn caller(&self) -> Caller {
        Caller::new(self.address, None).await
    }

    /// A caller with a new token.
    pub(crate) async fn caller_of(&self, tenant: &str, role: Role) -> Caller {
        let made = self.plane.credentials.create_token(&tenant.parse().unwrap(), role, "", None).await.unwrap();
        Caller::new(self.address, Some(&made.token)).await
    }

    /// Stops the server, and waits for its end.
    pub(crate) async fn stop(&mut self) {
        drop(self.stop.take());
        within(&mut self.served).await.unwrap();
    }

    /// Stops everything, as a process does that is told to.
    pub(crate) async fn end(mut self) {
        self.plane.controller.drain(Duration::from_secs(5)).await;
        self.stop().await;
    }
}

/// Who calls a host.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) channel: Channel,
    token: Option<AsciiMetadataValue>,
}

pub(crate) type Authorised = InterceptedService<Channel, Caller>;

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl Caller {
    pub(crate) async fn new(address: SocketAddr, token: Option<&str>) -> Self {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let token = token.map(|token| format!("Bearer {token}").parse().unwrap());
        Self { channel, token }
    }

    fn service(&self) -> Authorised {
        InterceptedService::new(self.channel.clone(), self.clone())
    }

    pub(crate) fn components(&self) -> ControlPlaneServiceClient<Authorised> {
        ControlPlaneServiceClient::new(self.service())
    }

    pub(crate) fn host(&self) -> HostServiceClient<Authorised> {
        HostServiceClient::new(self.service())
    }

    pub(crate) fn pipelines(&self) -> PipelineServiceClient<Authorised> {
        PipelineServiceClient::new(self.service())
    }

    pub(crate) fn runs(&self) -> RunServiceClient<Authorised> {
        RunServiceClient::new(self.service())
    }

    pub(crate) fn topologies(&self) -> TopologyServiceClient<Authorised> {
        TopologyServiceClient::new(self.service())
    }

    pub(crate) fn plugins(&self) -> PluginServiceClient<Authorised> {
        PluginServiceClient::new(self.service())
    }

    /// Applies the pipeline that `text` says.
    pub(crate) async fn apply(&self, text: &str) -> Result<Run, Status> {
        let answer = self.pipelines().apply_pipeline(request(text)).await?;
        Ok(answer.into_inner().run.unwrap())
    }

    pub(crate) async fn run(&self, id: &str) -> Run {
        self.runs().get_run(GetRunRequest { id: id.to_owned() }).await.unwrap().into_inner()
    }

    /// Waits until a run has this status.
    pub(crate) async fn until(&self, id: &str, status: RunStatus) -> Run {
        eventually(async || Some(self.run(id).await).filter(|run| run.status() == status)).await
    }
}

/// A request to apply the pipeline that `text` says.
pub(crate) fn request(text: &str) -> ApplyPipelineRequest {
    let file = PipelineFile {
        name: "a.yaml".to_owned(),
        text: text.to_owned(),
        base_dir: "/srv".to_owned(),
        ..PipelineFile::default()
    };
    ApplyPipelineRequest { file: Some(file), ..ApplyPipelineRequest::default() }
}

/// Waits for what `look` finds.
pub(crate) async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(found).await
}

/// What comes within the limit.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("what is waited for does not come")
}
