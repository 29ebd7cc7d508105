//! Credentials: who may call the control plane.
//!
//! Invariant: what proves a credential never comes here, only its SHA-256.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::values::words;
use super::{Durability, HostStore};
use crate::StateError;

/// What proves a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// A random token.
    Token,
    /// The certificate of a client.
    Certificate,
}

words!(CredentialKind { Token = "token", Certificate = "certificate" });

/// A credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRecord {
    /// A short random id, which may be shown.
    pub id: String,
    /// The tenant that it speaks for.
    pub tenant: String,
    /// What it may do, as a word.
    pub role: String,
    /// What proves it.
    pub kind: CredentialKind,
    /// The SHA-256 of the token, or of the certificate.
    pub digest: [u8; 32],
    /// What it is for.
    pub description: String,
    /// When it was made.
    pub created_at: i64,
    /// From when on it proves nothing; none where it does not expire.
    pub expires_at: Option<i64>,
    /// When it was last used, as far as that was noted.
    pub last_used_at: Option<i64>,
}

/// The columns of [`record`].
const RECORD: &str = "id, tenant, role, kind, digest, description, created_at, expires_at, last_used_at";

/// The credentials of one tenant or of all, by tenant, the earliest first.
pub(crate) fn listed(database: &Connection, tenant: Option<&str>) -> rusqlite::Result<Vec<CredentialRecord>> {
    let select =
        format!("SELECT {RECORD} FROM credential WHERE ?1 IS NULL OR tenant = ?1 ORDER BY tenant, created_at, id");
    database.prepare_cached(&select)?.query_map([tenant], record)?.collect()
}

impl HostStore {
    /// Stores a new credential.
    ///
    /// # Errors
    ///
    /// [`StateError::Exists`] when there is one of that id or digest, any other
    /// [`StateError`] when the database fails. Nothing was stored.
    pub fn put_credential(&self, credential: &CredentialRecord) -> Result<(), StateError> {
        let insert = format!(
            "INSERT INTO credential ({RECORD}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING"
        );
        let n_inserted = self.write(Durability::Now, |transaction| {
            transaction.prepare_cached(&insert)?.execute(params![
                credential.id,
                credential.tenant,
                credential.role,
                credential.kind,
                credential.digest,
                credential.description,
                credential.created_at,
                credential.expires_at,
                credential.last_used_at,
            ])
        })?;
        if n_inserted == 0 {
            let object = format!("a {} as that of `{}`", credential.kind, credential.id);
            return Err(StateError::Exists { object });
        }
        Ok(())
    }

    /// The credential that what has this digest proves, also one that has expired.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn credential(&self, digest: &[u8; 32]) -> Result<Option<CredentialRecord>, StateError> {
        let select = format!("SELECT {RECORD} FROM credential WHERE digest = ?1");
        self.read(|database| database.prepare_cached(&select)?.query_row([digest], record).optional())
    }

    /// The credentials of one tenant or of all, by tenant, the earliest first.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn credentials(&self, tenant: Option<&str>) -> Result<Vec<CredentialRecord>, StateError> {
        self.read(|database| listed(database, tenant))
    }

    /// Notes that a credential was used. Does nothing where it is gone, or was used later.
    /// A crash of the machine may lose it.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails. Nothing was noted.
    pub fn credential_used(&self, id: &str, at: i64) -> Result<(), StateError> {
        self.write(Durability::Soon, |transaction| {
            let set = "UPDATE credential SET last_used_at = ?2 WHERE id = ?1 AND ifnull(last_used_at < ?2, 1)";
            transaction.prepare_cached(set)?.execute(params![id, at])?;
            Ok(())
        })
    }

    /// Forgets a credential, which proves nothing from now on. Answers whether it was
    /// there.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails. It is still there.
    pub fn revoke(&self, id: &str) -> Result<bool, StateError> {
        self.write(Durability::Now, |transaction| {
            Ok(transaction.prepare_cached("DELETE FROM credential WHERE id = ?1")?.execute([id])? > 0)
        })
    }

    /// Whether there is any credential: also one that has expired counts, so that time
    /// alone opens no door.
    ///
    /// # Errors
    ///
    /// [`StateError`] when the database fails.
    pub fn has_credentials(&self) -> Result<bool, StateError> {
        self.read(|database| database.prepare_cached("SELECT 1 FROM credential LIMIT 1")?.exists([]))
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<CredentialRecord> {
    Ok(CredentialRecord {
        id: row.get(0)?,
        tenant: row.get(1)?,
        role: row.get(2)?,
        kind: row.get(3)?,
        digest: row.get(4)?,
        description: row.get(5)?,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
        last_used_at: row.get(8)?,
    })
}
