//! Who may do what: tenants, their credentials and roles, what a policy lets their
//! pipelines touch, and what they use.
//!
//! Invariant: what no policy names is refused. Checking a policy does no I/O.

mod credentials;
mod policies;
mod policy;
mod principal;
mod quota;

pub use credentials::{CredentialError, Credentials, NewToken, Presented, Refusal};
pub use policies::{Policies, PolicyError};
pub use policy::{Policy, PolicyRequest, Touch, Use, Violation, is_internal};
pub use principal::{Principal, Role, RoleError, Tenant};
pub use quota::{Demand, Quotas};
