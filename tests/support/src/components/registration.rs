//! How a component makes itself known: it registers, beats, and takes leave.

use std::time::Duration;

use flowctl_proto::v1::control_plane_service_client::ControlPlaneServiceClient;
use flowctl_proto::v1::{ComponentInfo, HealthStatus, HeartbeatRequest, RegisterRequest, UnregisterRequest};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::environment::{self, ComponentError};
use super::say;

/// Between two attempts to reach a control plane that is not there yet.
const RETRY: Duration = Duration::from_millis(100);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// Under which id a component says that it lives, and how it says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beats {
    /// Under the id that the control plane gave it, with its health.
    Assigned,
    /// Under its own id, whatever it was given, and with nothing else.
    Bare,
}

/// A component that the control plane knows.
pub(super) struct Registration {
    client: ControlPlaneServiceClient<Channel>,
    service_id: String,
    beat_id: String,
    beats: Beats,
    interval: Duration,
}

impl Registration {
    /// Registers where the environment says so; none where it does not. Waits for a
    /// control plane that does not answer yet.
    pub(super) async fn make(info: &ComponentInfo, beats: Beats) -> Result<Option<Self>, ComponentError> {
        if !environment::is_set("ENABLE_FLOWCTL") {
            return Ok(None);
        }
        let interval = environment::interval("FLOWCTL_HEARTBEAT_INTERVAL", DEFAULT_INTERVAL)?;
        let endpoint = environment::needed("FLOWCTL_ENDPOINT")?;
        let channel = Endpoint::from_shared(format!("http://{endpoint}"))?.connect_lazy();
        let mut client = ControlPlaneServiceClient::new(channel);
        let component_id = environment::text("FLOWCTL_COMPONENT_ID").unwrap_or_default();
        let request = RegisterRequest { component: Some(info.clone()), component_id };
        let service_id = loop {
            match client.register_component(request.clone()).await {
                Ok(answer) => break answer.into_inner().service_id,
                Err(status) if status.code() == Code::Unavailable => {
                    say(&format!("not registered yet: {}", code_name(&status)));
                    tokio::time::sleep(RETRY).await;
                }
                Err(status) => return Err(status.into()),
            }
        };
        say(&format!("registered as {service_id}"));
        let beat_id = if beats == Beats::Bare { info.id.clone() } else { service_id.clone() };
        Ok(Some(Self { client, service_id, beat_id, beats, interval }))
    }

    /// Says that the component lives, for as long as it is polled. A heartbeat that does
    /// not arrive is said and passed over.
    pub(super) async fn beat(&self, health: impl Fn() -> (HealthStatus, u64)) -> ! {
        let mut client = self.client.clone();
        let mut ticks = tokio::time::interval(self.interval);
        // the first is at once, and the control plane has just heard of the component
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let mut request = HeartbeatRequest { service_id: self.beat_id.clone(), ..HeartbeatRequest::default() };
            if self.beats == Beats::Assigned {
                let (status, n_events) = health();
                request.set_status(status);
                request.metrics.insert("events_processed".to_owned(), n_events.to_string());
            }
            if let Err(status) = client.heartbeat(request).await {
                say(&format!("no heartbeat: {}", code_name(&status)));
            }
        }
    }

    /// Takes leave.
    pub(super) async fn unregister(mut self) {
        let request = UnregisterRequest { service_id: self.service_id.clone() };
        match self.client.unregister_component(request).await {
            Ok(_) => say(&format!("unregistered {}", self.service_id)),
            Err(status) => say(&format!("not unregistered: {}", code_name(&status))),
        }
    }
}

fn code_name(status: &Status) -> String {
    format!("{:?}", status.code())
}
