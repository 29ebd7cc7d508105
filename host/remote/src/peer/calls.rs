//! The calls that every role has, and the clients of each.

use flowctl_proto::v1;
use flowctl_proto::v1::consumer_service_client::ConsumerServiceClient;
use flowctl_proto::v1::processor_service_client::ProcessorServiceClient;
use flowctl_proto::v1::source_service_client::SourceServiceClient;
use flowctl_schema::Role;
use tonic::Status;
use tonic::transport::Channel;

use crate::codec::MAX_MESSAGE_BYTES;

/// Room for what is around the payload of the largest event.
const MAX_BYTES: usize = MAX_MESSAGE_BYTES + (1 << 20);

/// A client of one role's service.
#[derive(Debug)]
pub(crate) enum Calls {
    Source(SourceServiceClient<Channel>),
    Processor(ProcessorServiceClient<Channel>),
    Sink(ConsumerServiceClient<Channel>),
}

impl Calls {
    pub(crate) fn new(role: Role, channel: Channel) -> Self {
        match role {
            Role::Source => Self::Source(Self::source(channel)),
            Role::Processor => Self::Processor(Self::processor(channel)),
            Role::Sink => Self::Sink(Self::sink(channel)),
        }
    }

    pub(crate) fn source(channel: Channel) -> SourceServiceClient<Channel> {
        let client = SourceServiceClient::new(channel);
        client.max_decoding_message_size(MAX_BYTES).max_encoding_message_size(MAX_BYTES)
    }

    pub(crate) fn processor(channel: Channel) -> ProcessorServiceClient<Channel> {
        let client = ProcessorServiceClient::new(channel);
        client.max_decoding_message_size(MAX_BYTES).max_encoding_message_size(MAX_BYTES)
    }

    pub(crate) fn sink(channel: Channel) -> ConsumerServiceClient<Channel> {
        let client = ConsumerServiceClient::new(channel);
        client.max_decoding_message_size(MAX_BYTES).max_encoding_message_size(MAX_BYTES)
    }

    pub(super) async fn health(&mut self) -> Result<v1::HealthCheckResponse, Status> {
        let request = v1::HealthCheckRequest::default();
        let answer = match self {
            Self::Source(client) => client.health_check(request).await,
            Self::Processor(client) => client.health_check(request).await,
            Self::Sink(client) => client.health_check(request).await,
        };
        answer.map(tonic::Response::into_inner)
    }

    pub(super) async fn info(&mut self) -> Result<v1::ComponentInfo, Status> {
        let answer = match self {
            Self::Source(client) => client.get_info(()).await,
            Self::Processor(client) => client.get_info(()).await,
            Self::Sink(client) => client.get_info(()).await,
        };
        answer.map(tonic::Response::into_inner)
    }
}
