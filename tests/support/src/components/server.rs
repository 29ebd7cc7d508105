//! What every component does beside its own service: listens, answers health, registers,
//! and ends when it is told to.

use std::sync::Arc;

use flowctl_proto::v1::{ComponentInfo, ComponentType, HealthCheckResponse, HealthStatus};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;

use super::environment::{self, ComponentError};
use super::faults::Faults;
use super::registration::{Beats, Registration};
use super::{Role, say};
use crate::http_server::{HttpServer, Reply};

/// What a component says of itself and of its health.
#[derive(Debug)]
pub(super) struct Itself {
    pub(super) info: ComponentInfo,
    pub(super) faults: Faults,
    /// What a health check answers while all is well.
    pub(super) well: HealthStatus,
    listener: std::net::TcpListener,
}

impl Itself {
    /// Reads the environment and takes the port.
    pub(super) fn new(role: Role, inputs: &[&str], outputs: &[&str]) -> Result<Self, ComponentError> {
        let port = environment::port("PORT")?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", port));
        let listener = listener.map_err(|source| ComponentError::Listen { port, source })?;
        let bound = listener.local_addr().map_err(|source| ComponentError::Listen { port, source })?;
        let (name, component_type, well) = match role {
            Role::Source => ("Stellar Live Source", ComponentType::Source, HealthStatus::Unknown),
            Role::Processor => ("Token Transfer Processor", ComponentType::Processor, HealthStatus::Healthy),
            Role::Sink => ("PostgreSQL Consumer", ComponentType::Consumer, HealthStatus::Healthy),
        };
        let owned = |types: &[&str]| types.iter().map(|&name| name.to_owned()).collect();
        let mut info = ComponentInfo {
            id: environment::text("COMPONENT_ID").unwrap_or_else(|| role.component_id().to_owned()),
            name: name.to_owned(),
            description: format!("A {} for tests", role.name()),
            version: "1.0.0".to_owned(),
            input_event_types: owned(inputs),
            output_event_types: owned(outputs),
            endpoint: format!(":{}", bound.port()),
            ..ComponentInfo::default()
        };
        info.set_type(component_type);
        if let Some(network) = environment::text("NETWORK") {
            info.metadata.insert("network".to_owned(), network);
        }
        Ok(Self { info, faults: Faults::from_environment()?, well, listener })
    }

    /// What a health check answers.
    pub(super) fn health(&self) -> HealthCheckResponse {
        let status = self.faults.health(self.well);
        let message = format!("{} is {}", self.info.id, status.as_str_name());
        let metrics = [("events_processed".to_owned(), self.faults.n_events().to_string())].into();
        HealthCheckResponse { status: status.into(), metrics, message, ..HealthCheckResponse::default() }
    }

    /// Whether it is to be left alone.
    fn is_unhealthy(&self) -> bool {
        self.faults.health(self.well) == HealthStatus::Unhealthy
    }
}

/// Serves until the process is told to end, and takes leave. Streams that are open then
/// are cut.
pub(super) async fn serve(itself: Arc<Itself>, routes: Routes, beats: Beats) -> Result<(), ComponentError> {
    let listen = |port| move |source| ComponentError::Listen { port, source };
    let mut told_to_end = signal(SignalKind::terminate()).map_err(listen(0))?;
    let health_port = environment::port("HEALTH_PORT")?;
    let health = TcpListener::bind(("127.0.0.1", health_port)).await.map_err(listen(health_port))?;
    let answering = Arc::clone(&itself);
    let health = HttpServer::serve(
        health,
        |stream: TcpStream| async { Ok(stream) },
        move |request| match request.path.as_str() {
            "/health" if answering.is_unhealthy() => Reply::new(503, r#"{"status":"unhealthy"}"#),
            "/health" => Reply::new(200, r#"{"status":"healthy"}"#),
            _ => Reply::new(404, ""),
        },
    );
    let listener = itself.listener.try_clone().and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    let incoming = TcpListenerStream::new(listener.map_err(listen(0))?);
    let server = tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(incoming));
    say(&format!("listening on {}, health on :{}", itself.info.endpoint, health.address().port()));

    let registration = tokio::select! {
        registration = Registration::make(&itself.info, beats) => registration?,
        _ = told_to_end.recv() => return Ok(()),
    };
    let beating = async {
        match &registration {
            Some(registration) => registration.beat(|| (itself.health().status(), itself.faults.n_events())).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = server => {
            if let Ok(Err(error)) = ended {
                return Err(error.into());
            }
        }
        _ = told_to_end.recv() => {}
        never = beating => never,
    }
    if let Some(registration) = registration {
        registration.unregister().await;
    }
    Ok(())
}
