//! The control plane.
mod connection;
mod deadline;
mod tls;
mod tenants {
    mod policies;
    mod policy;
    mod principal;
    mod quota;
    pub use policies::{Policies, PolicyError};
    pub use policy::{Policy, PolicyRequest, Touch, Use, Violation, is_internal};
    pub use principal::{Principal, Role, RoleError, Tenant};
    pub use quota::{Demand, Quotas};
}
mod directory { mod component; }
mod access {
    #[derive(Clone)]
    pub struct Peer { pub address: std::net::SocketAddr, pub certificate: Option<std::sync::Arc<str>>, pub(crate) has_called: std::sync::Arc<std::sync::atomic::AtomicBool> }
}
