//! What callers prove who they are with: tokens and certificates.
//!
//! Invariants: a token is shown once and stored as its digest; it is random, so that a
//! look-up by digest gives nothing away. What was revoked holds for a second at most.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use flowctl_store::{CredentialKind, CredentialRecord, HostStore, StateError};
use flowctl_types::Digest;
use jiff::Timestamp;
use ring::rand::SecureRandom as _;

use super::{Principal, Role, Tenant};
use crate::records::{Records, now};

/// How every token begins, so that people and scanners know one when they see it.
const PREFIX: &str = "flowctl_";
/// Random bytes of a token.
const SECRET_BYTES: usize = 32;
/// How long what the store said of a credential is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// How long the store is believed to have none.
const BELIEVED_EMPTY: Duration = Duration::from_millis(100);
/// Credentials that are remembered.
const MAX_REMEMBERED: usize = 4_096;

/// The credentials of this host. Cheap to clone.
#[derive(Clone)]
pub struct Credentials {
    records: Records,
    remembered: Arc<Mutex<Remembered>>,
}

/// What a caller brings.
#[derive(Debug, Clone, Copy)]
pub enum Presented<'a> {
    /// A token.
    Token(&'a str),
    /// The SHA-256 digest of a certificate that was verified, in hex.
    Certificate(&'a str),
    /// Neither.
    Nothing,
}

/// Why a caller is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It brings nothing, and a credential is needed.
    #[error("a credential is needed")]
    Missing,
    /// What it brings is not known here, or no credential at all.
    #[error("the credential is not known")]
    Unknown,
    /// What it brings held until a moment that is past.
    #[error("the credential has expired")]
    Expired,
    /// The store cannot tell.
    #[error("credentials cannot be read")]
    Store(#[from] StateError),
}

/// Why credentials cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// A text is no SHA-256 digest.
    #[error("`{text}` is no fingerprint: 64 hexadecimal digits, colons between them or not")]
    Fingerprint {
        /// What was read.
        text: String,
    },
    /// The store failed.
    #[error("credentials cannot be stored or read")]
    Store(#[from] StateError),
}

/// A token that was just made. It cannot be shown again.
pub struct NewToken {
    /// The token itself.
    pub token: String,
    /// What it is revoked by.
    pub id: String,
}

#[derive(Default)]
struct Remembered {
    /// Until when, what the store said.
    known: HashMap<[u8; 32], (Instant, CredentialRecord)>,
    /// When the store last had none.
    was_empty_at: Option<Instant>,
}

impl Credentials {
    /// The credentials that `store` keeps.
    #[must_use]
    pub fn new(store: HostStore) -> Self {
        Self { records: Records::new(store), remembered: Arc::default() }
    }

    /// Makes a token for `role` in `tenant`, which holds until `expires_at` or for good.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] when it cannot be made or stored.
    pub async fn create_token(
        &self,
        tenant: &Tenant,
        role: Role,
        description: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<NewToken, CredentialError> {
        let token = format!("{PREFIX}{}", BASE64.encode(random::<SECRET_BYTES>()?));
        let digest = sha256(token.as_bytes());
        let id = self.put(tenant, role, CredentialKind::Token, digest, description, expires_at).await?;
        Ok(NewToken { token, id })
    }

    /// Lets the holder of the certificate with the SHA-256 `fingerprint` be `role` in
    /// `tenant`, and answers what that is revoked by.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] when it is no fingerprint, or cannot be stored.
    pub async fn allow_certificate(
        &self,
        tenant: &Tenant,
        role: Role,
        fingerprint: &str,
        description: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<String, CredentialError> {
        let digest = fingerprint_digest(fingerprint)
            .ok_or_else(|| CredentialError::Fingerprint { text: fingerprint.to_owned() })?;
        self.put(tenant, role, CredentialKind::Certificate, digest, description, expires_at).await
    }

    /// The credentials of a tenant, or of all; never the tokens themselves.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Store`].
    pub async fn list(&self, tenant: Option<&Tenant>) -> Result<Vec<CredentialRecord>, CredentialError> {
        let tenant = tenant.map(ToString::to_string);
        Ok(self.records.call(move |store| store.credentials(tenant.as_deref())).await?)
    }

    /// Revokes a credential, and answers whether there was one. Other processes of this
    /// host notice within a second.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Store`].
    pub async fn revoke(&self, id: &str) -> Result<bool, CredentialError> {
        let id = id.to_owned();
        let was_there = self.records.call(move |store| store.revoke(&id)).await?;
        *self.remembered() = Remembered::default();
        Ok(was_there)
    }

    /// Whether there is any credential.
    ///
    /// # Errors
    ///
    /// [`CredentialError::Store`].
    pub async fn are_there(&self) -> Result<bool, CredentialError> {
        Ok(self.records.call(HostStore::has_credentials).await?)
    }

    /// Who a caller is. None where it brings nothing and this host has no credential.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when what it brings, or that it brings nothing, is not enough.
    pub async fn principal(&self, presented: Presented<'_>) -> Result<Option<Principal>, Refusal> {
        let (kind, digest) = match presented {
            Presented::Token(token) => (CredentialKind::Token, Some(sha256(token.as_bytes()))),
            Presented::Certificate(hex) => (CredentialKind::Certificate, fingerprint_digest(hex)),
            Presented::Nothing => {
                return if self.are_none().await? { Ok(None) } else { Err(Refusal::Missing) };
            }
        };
        let record = self.look_up(digest.ok_or(Refusal::Unknown)?).await?;
        if record.kind != kind {
            return Err(Refusal::Unknown);
        }
        if record.expires_at.is_some_and(|expires_at| expires_at <= now()) {
            return Err(Refusal::Expired);
        }
        let tenant = record.tenant.parse().map_err(|_| Refusal::Unknown)?;
        let role = record.role.parse().map_err(|_| Refusal::Unknown)?;
        Ok(Some(Principal { tenant, role }))
    }

    async fn are_none(&self) -> Result<bool, Refusal> {
        if self.remembered().was_empty_at.is_some_and(|at| at.elapsed() < BELIEVED_EMPTY) {
            return Ok(true);
        }
        let are_none = !self.records.call(HostStore::has_credentials).await?;
        self.remembered().was_empty_at = are_none.then(Instant::now);
        Ok(are_none)
    }

    async fn look_up(&self, digest: [u8; 32]) -> Result<CredentialRecord, Refusal> {
        if let Some((at, record)) = self.remembered().known.get(&digest)
            && at.elapsed() < BELIEVED
        {
            return Ok(record.clone());
        }
        let found = self.records.call(move |store| {
            let found = store.credential(&digest)?;
            if let Some(record) = &found {
                store.credential_used(&record.id, now())?;
            }
            Ok(found)
        });
        // what is not known is not remembered: it may be made any moment
        let record = found.await?.ok_or(Refusal::Unknown)?;
        let mut remembered = self.remembered();
        if remembered.known.len() >= MAX_REMEMBERED {
            remembered.known.clear();
        }
        remembered.known.insert(digest, (Instant::now(), record.clone()));
        Ok(record)
    }

    async fn put(
        &self,
        tenant: &Tenant,
        role: Role,
        kind: CredentialKind,
        digest: [u8; 32],
        description: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<String, CredentialError> {
        let id = random::<6>()?.iter().fold(String::new(), |id, byte| format!("{id}{byte:02x}"));
        let record = CredentialRecord {
            id: id.clone(),
            tenant: tenant.to_string(),
            role: role.to_string(),
            kind,
            digest,
            description: crate::text::cut(description, 256).to_owned(),
            created_at: now(),
            expires_at: expires_at.map(Timestamp::as_millisecond),
            last_used_at: None,
        };
        self.records.call(move |store| store.put_credential(&record)).await?;
        *self.remembered() = Remembered::default();
        Ok(id)
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewToken({})", self.id)
    }
}

fn random<const N: usize>() -> Result<[u8; N], CredentialError> {
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| CredentialError::Random)?;
    Ok(bytes)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    *Digest::of(bytes).as_bytes()
}

/// The digest that a fingerprint writes in hex.
fn fingerprint_digest(text: &str) -> Option<[u8; 32]> {
    let hex: String = text.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
    let digest: Digest = format!("sha256:{hex}").parse().ok()?;
    Some(*digest.as_bytes())
}
