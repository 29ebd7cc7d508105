//! What is spoken without gRPC: whether the host lives and is ready, and its figures.

use axum::Router;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tracing::warn;

use crate::access::METRICS;
use crate::tenants::Principal;
use crate::{ControlPlane, metrics};

/// What Prometheus wants to read.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) fn routes(plane: &ControlPlane) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route(METRICS, get(figures))
        .with_state(plane.clone())
}

/// Whether calls can be served: the store answers, and the host is not about to stop.
async fn ready(State(plane): State<ControlPlane>) -> Response {
    if plane.controller.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    match plane.credentials.are_there().await {
        Ok(_) => "ready\n".into_response(),
        Err(error) => {
            warn!(error = %crate::text::chain(&error), "the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response()
        }
    }
}

/// The figures of the caller's tenant.
async fn figures(State(plane): State<ControlPlane>, Extension(caller): Extension<Principal>) -> Response {
    match metrics::text(&plane, &caller.tenant) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            warn!(%error, "figures cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
