//! The host itself, and who the caller is to it.

use flowctl_proto::admin::host_service_server::HostService;
use flowctl_proto::admin::{GetHostRequest, Host};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use super::{Services, caller};
use crate::HostKind;

#[tonic::async_trait]
impl HostService for Services {
    async fn get_host(&self, request: Request<GetHostRequest>) -> Result<Response<Host>, Status> {
        let caller = caller(&request)?;
        let plane = &self.plane;
        Ok(Response::new(Host {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: Some(timestamp(plane.started_at)),
            n_active_runs: plane.controller.active(&caller.tenant).len() as u64,
            n_components: plane.directory.count(&caller.tenant) as u64,
            tenant: caller.tenant.to_string(),
            role: caller.role.to_string(),
            is_serving: plane.kind == HostKind::Serving,
        }))
    }
}
