//! Why a registry did not do what was asked.

use std::io;
use std::path::PathBuf;

use flowctl_types::{Code, Digest};

use crate::auth::AuthError;

/// Why a registry did not do what was asked. None of them holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    /// No answer came, however often it was asked.
    #[error("registry `{registry}` cannot be reached: {reason}")]
    Unreachable {
        /// The registry.
        registry: String,
        /// What the system said.
        reason: String,
    },
    /// Its certificate is not trusted.
    #[error("the certificate of registry `{registry}` is not trusted: {reason}")]
    Untrusted {
        /// The registry.
        registry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It wants to know who one is, or does not allow it to whom one is.
    #[error("registry `{registry}` denies access to `{repository}`: {reason}")]
    Unauthorized {
        /// The registry.
        registry: String,
        /// The repository inside it.
        repository: String,
        /// What it said.
        reason: String,
    },
    /// The credentials for it could not be found out.
    #[error("the credentials for registry `{registry}` cannot be read")]
    Login {
        /// The registry.
        registry: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It has no such thing.
    #[error("registry `{registry}` has no {what} in `{repository}`")]
    NotFound {
        /// The registry.
        registry: String,
        /// The repository inside it.
        repository: String,
        /// A manifest or a blob, and which.
        what: String,
    },
    /// It answers that it cannot serve now, and went on to.
    #[error("registry `{registry}` is not able to answer (HTTP {status}): {reason}")]
    Failing {
        /// The registry.
        registry: String,
        /// The last status.
        status: u16,
        /// What it said.
        reason: String,
    },
    /// It will not do it.
    #[error("registry `{registry}` refuses (HTTP {status}): {reason}")]
    Refused {
        /// The registry.
        registry: String,
        /// The status.
        status: u16,
        /// What it said.
        reason: String,
    },
    /// What it sent is not what it is said to be.
    #[error("registry `{registry}` sent a wrong {what}: {reason}")]
    Content {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Its bytes have another digest.
    #[error("registry `{registry}` sent a tampered {what}: its digest is {found}")]
    Digest {
        /// The registry.
        registry: String,
        /// What was asked for, with the digest it must have.
        what: String,
        /// The digest of what came.
        found: Digest,
    },
    /// It is larger than may be read.
    #[error("{what} has more than {limit_bytes} bytes")]
    TooLarge {
        /// What it is.
        what: String,
        /// How much may be read.
        limit_bytes: u64,
    },
    /// What came could not be kept.
    #[error("what registry `{registry}` sent cannot be kept")]
    Sink {
        /// The registry.
        registry: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of certificates cannot be used.
    #[error("`{path}` cannot be used as certificates: {reason}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No connection can be secured here.
    #[error("TLS cannot be used here: {reason}")]
    Tls {
        /// Why.
        reason: String,
    },
}

impl OciError {
    /// Its code, where it has one.
    #[must_use]
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Unreachable { .. } | Self::Untrusted { .. } | Self::Failing { .. } | Self::Tls { .. } => {
                Some(Code::RegistryUnreachable)
            }
            Self::Unauthorized { .. } | Self::Login { .. } | Self::Refused { .. } => Some(Code::RegistryRefuses),
            Self::NotFound { .. } => Some(Code::PluginNotFound),
            Self::Content { .. } | Self::Digest { .. } => Some(Code::PluginDamaged),
            Self::TooLarge { .. } | Self::Sink { .. } | Self::Certificates { .. } => None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { registry, .. } => Some(format!(
                "see that `{registry}` is spelled right and can be reached from here; a registry without TLS that is \
                 not on this machine needs `--insecure`"
            )),
            Self::Untrusted { .. } => Some("name the authority that signed it with `--ca-file`".to_owned()),
            Self::Unauthorized { registry, .. } => {
                Some(format!("`flowctl login {registry}` keeps credentials; they must allow this repository"))
            }
            Self::NotFound { .. } => Some("see that repository and tag are spelled right".to_owned()),
            Self::Failing { .. } => Some("it may pass: try again later".to_owned()),
            Self::Digest { .. } => Some("nothing of it was kept; tell who runs the registry".to_owned()),
            Self::Login { source, .. } => source.downcast_ref::<AuthError>().and_then(AuthError::hint),
            Self::Tls { .. } => Some("install the package `ca-certificates`, or use `--ca-file`".to_owned()),
            _ => None,
        }
    }

    /// Whether it says that something is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}
