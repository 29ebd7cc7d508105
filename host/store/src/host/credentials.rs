//! Credentials.

use super::HostStore;
use crate::StateError;

/// What proves a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// A random token.
    Token,
    /// A client's certificate.
    Certificate,
}

/// A credential. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRecord {
    pub id: String,
    pub tenant: String,
    pub role: String,
    pub kind: CredentialKind,
    /// SHA-256 of the token or of the certificate.
    pub digest: [u8; 32],
    pub description: String,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub last_used_at: Option<i64>,
}

impl HostStore {
    pub fn put_credential(&self, credential: &CredentialRecord) -> Result<(), StateError> {
        todo!()
    }
    pub fn credential(&self, digest: &[u8; 32]) -> Result<Option<CredentialRecord>, StateError> {
        todo!()
    }
    pub fn credentials(&self, tenant: Option<&str>) -> Result<Vec<CredentialRecord>, StateError> {
        todo!()
    }
    /// Notes that a credential was used.
    pub fn credential_used(&self, id: &str, at: i64) -> Result<(), StateError> {
        todo!()
    }
    /// Whether there was one.
    pub fn revoke(&self, id: &str) -> Result<bool, StateError> {
        todo!()
    }
    pub fn has_credentials(&self) -> Result<bool, StateError> {
        todo!()
    }
}
