//! A collector of traces over OTLP that keeps what it is sent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use serde_json::{Map, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// A collector on a loopback port of its own. It ends when it is dropped.
pub struct Collector {
    address: SocketAddr,
    kept: Kept,
    _runtime: Runtime,
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<serde_json::Value>>>);

impl Collector {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When no port can be had.
    #[must_use]
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime starts");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let kept = Kept::default();
        let service = TraceServiceServer::new(kept.clone());
        runtime.spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, kept, _runtime: runtime }
    }

    /// Its address as the exporters' variables have it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans that came: `name`, `is_root`, and the attributes of the span and of what
    /// sent it under their own names.
    #[must_use]
    pub fn spans(&self) -> Vec<serde_json::Value> {
        self.kept.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for of_resource in request.into_inner().resource_spans {
            let sender = of_resource.resource.unwrap_or_default().attributes;
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let mut fields: Map<_, _> = sender.iter().chain(&span.attributes).map(field).collect();
                fields.insert("name".to_owned(), span.name.into());
                fields.insert("is_root".to_owned(), span.parent_span_id.is_empty().into());
                kept.push(fields.into());
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn field(attribute: &KeyValue) -> (String, serde_json::Value) {
    let value = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => json!(text),
        Some(Value::IntValue(number)) => json!(number),
        Some(Value::BoolValue(is_so)) => json!(is_so),
        Some(Value::DoubleValue(number)) => json!(number),
        _ => json!(null),
    };
    (attribute.key.clone(), value)
}
