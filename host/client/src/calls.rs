//! The calls, typed.

use flowctl_proto::admin::host_service_client::HostServiceClient;
use flowctl_proto::admin::pipeline_service_client::PipelineServiceClient;
use flowctl_proto::admin::plugin_service_client::PluginServiceClient;
use flowctl_proto::admin::run_service_client::RunServiceClient;
use flowctl_proto::admin::topology_service_client::TopologyServiceClient;
use flowctl_proto::admin::{self, GetHostRequest};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::pages::{PAGE_LEN, all};
use crate::{ClientError, Target};

/// Largest answer, in bytes: a run's record holds the pipeline's file.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A connection to one control plane, as one caller. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    service: InterceptedService<Channel, Bearer>,
    address: String,
}

/// Puts the caller's token on every call.
#[derive(Clone)]
struct Bearer(Option<MetadataValue<Ascii>>);

/// Messages that the control plane sends as things happen.
pub struct Watch<T>(Streaming<T>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl<T> Watch<T> {
    /// Waits for the next message; none after the last.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when the connection breaks, or the control plane ends the stream.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        Ok(self.0.message().await?)
    }
}

impl Client {
    /// Connects to `target`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unreachable`] when nobody answers there within three seconds;
    /// [`ClientError::Target`] or [`ClientError::Tls`] when it cannot be used at all.
    pub async fn connect(target: &Target) -> Result<Self, ClientError> {
        let token = target.token.as_ref().map(|token| format!("Bearer {token}").parse());
        let mut token: Option<MetadataValue<Ascii>> = token.transpose().map_err(|_| {
            // the text is a secret, and stays out of the message
            Status::unauthenticated("the token has characters that no token has")
        })?;
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        let channel = target.connect().await?;
        Ok(Self { service: InterceptedService::new(channel, Bearer(token)), address: target.address.clone() })
    }

    /// The address that it connected to, as it was written.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The host, and who the caller is to it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`], as of every call here.
    pub async fn host(&self) -> Result<admin::Host, ClientError> {
        let mut service = HostServiceClient::new(self.service.clone());
        Ok(service.get_host(GetHostRequest {}).await?.into_inner())
    }

    /// Plans a pipeline and starts it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`]; nothing was started then.
    pub async fn apply(
        &self,
        request: admin::ApplyPipelineRequest,
    ) -> Result<admin::ApplyPipelineResponse, ClientError> {
        Ok(self.pipelines_service().apply_pipeline(request).await?.into_inner())
    }

    /// One pipeline.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn pipeline(&self, name: &str) -> Result<admin::Pipeline, ClientError> {
        let request = admin::GetPipelineRequest { name: name.to_owned() };
        Ok(self.pipelines_service().get_pipeline(request).await?.into_inner())
    }

    /// All pipelines, or those that run now, by name.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn pipelines(&self, wanted: admin::ListPipelinesRequest) -> Result<Vec<admin::Pipeline>, ClientError> {
        all(usize::MAX, |page_token| async {
            let request = admin::ListPipelinesRequest { page_size: PAGE_LEN, page_token, ..wanted.clone() };
            let answer = self.pipelines_service().list_pipelines(request).await?.into_inner();
            Ok((answer.pipelines, answer.next_page_token))
        })
        .await
    }

    /// Pipelines as they are, then as they change.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn watch_pipelines(&self) -> Result<Watch<admin::WatchPipelinesResponse>, ClientError> {
        let request = admin::WatchPipelinesRequest {};
        Ok(Watch(self.pipelines_service().watch_pipelines(request).await?.into_inner()))
    }

    /// Forgets a pipeline that does not run, with its runs.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn delete_pipeline(&self, name: &str) -> Result<(), ClientError> {
        let request = admin::DeletePipelineRequest { name: name.to_owned() };
        self.pipelines_service().delete_pipeline(request).await?;
        Ok(())
    }

    /// One run.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn run(&self, id: &str) -> Result<admin::Run, ClientError> {
        Ok(self.runs_service().get_run(admin::GetRunRequest { id: id.to_owned() }).await?.into_inner())
    }

    /// Runs, the latest first, at most `max`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn runs(&self, wanted: admin::ListRunsRequest, max: usize) -> Result<Vec<admin::Run>, ClientError> {
        all(max, |page_token| async {
            let page_size = PAGE_LEN.min(u32::try_from(max).unwrap_or(PAGE_LEN));
            let request = admin::ListRunsRequest { page_size, page_token, ..wanted.clone() };
            let answer = self.runs_service().list_runs(request).await?.into_inner();
            Ok((answer.runs, answer.next_page_token))
        })
        .await
    }

    /// A run as it is, then as it changes, to its end.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn watch_run(&self, id: &str) -> Result<Watch<admin::Run>, ClientError> {
        let request = admin::WatchRunRequest { id: id.to_owned() };
        Ok(Watch(self.runs_service().watch_run(request).await?.into_inner()))
    }

    /// Tells a run to stop.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn stop_run(&self, request: admin::StopRunRequest) -> Result<admin::Run, ClientError> {
        Ok(self.runs_service().stop_run(request).await?.into_inner())
    }

    /// What happened in a run so far, the earliest first.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn run_events(&self, wanted: admin::ListRunEventsRequest) -> Result<Vec<admin::RunEvent>, ClientError> {
        all(usize::MAX, |page_token| async {
            let request = admin::ListRunEventsRequest { page_size: PAGE_LEN, page_token, ..wanted.clone() };
            let answer = self.runs_service().list_run_events(request).await?.into_inner();
            Ok((answer.events, answer.next_page_token))
        })
        .await
    }

    /// What happened in a run and what happens, to its end.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn watch_run_events(
        &self,
        request: admin::WatchRunEventsRequest,
    ) -> Result<Watch<admin::RunEvent>, ClientError> {
        Ok(Watch(self.runs_service().watch_run_events(request).await?.into_inner()))
    }

    /// What can be a node, by role and name.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn plugins(&self, wanted: admin::ListPluginsRequest) -> Result<Vec<admin::Plugin>, ClientError> {
        all(usize::MAX, |page_token| async {
            let request = admin::ListPluginsRequest { page_size: PAGE_LEN, page_token, ..wanted.clone() };
            let mut service = PluginServiceClient::new(self.service.clone());
            let answer = service.list_plugins(request).await?.into_inner();
            Ok((answer.plugins, answer.next_page_token))
        })
        .await
    }

    /// One thing that can be a node.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn plugin(&self, id: &str) -> Result<admin::Plugin, ClientError> {
        let mut service = PluginServiceClient::new(self.service.clone());
        Ok(service.get_plugin(admin::GetPluginRequest { id: id.to_owned() }).await?.into_inner())
    }

    /// The topology of a pipeline.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn topology(&self, pipeline: &str) -> Result<admin::Topology, ClientError> {
        let request = admin::GetTopologyRequest { pipeline: pipeline.to_owned() };
        Ok(self.topologies_service().get_topology(request).await?.into_inner())
    }

    /// Changes a pipeline that runs, or plans a change of it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] where the change cannot be made; the pipeline is what it was.
    pub async fn change_topology(
        &self,
        request: admin::ChangeTopologyRequest,
    ) -> Result<admin::ChangeTopologyResponse, ClientError> {
        Ok(self.topologies_service().change_topology(request).await?.into_inner())
    }

    /// What a pipeline was, the latest first.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn revisions(&self, pipeline: &str) -> Result<Vec<admin::Revision>, ClientError> {
        let request = admin::ListRevisionsRequest { pipeline: pipeline.to_owned() };
        Ok(self.topologies_service().list_revisions(request).await?.into_inner().revisions)
    }

    /// Events as they leave a node, or reach it where it is a sink.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`].
    pub async fn tap(&self, request: admin::TapNodeRequest) -> Result<Watch<admin::TappedEvent>, ClientError> {
        Ok(Watch(self.topologies_service().tap_node(request).await?.into_inner()))
    }

    fn pipelines_service(&self) -> PipelineServiceClient<InterceptedService<Channel, Bearer>> {
        PipelineServiceClient::new(self.service.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    fn runs_service(&self) -> RunServiceClient<InterceptedService<Channel, Bearer>> {
        RunServiceClient::new(self.service.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    fn topologies_service(&self) -> TopologyServiceClient<InterceptedService<Channel, Bearer>> {
        TopologyServiceClient::new(self.service.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }
}
