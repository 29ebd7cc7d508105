//! Why a call gave no answer.

use flowctl_proto::error_metadata;
use flowctl_types::Tie;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::TargetError;

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is none.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Certificates cannot be used.
    #[error("cannot speak TLS to `{address}`")]
    Tls {
        /// As it was written.
        address: String,
        /// What is wrong with them.
        #[source]
        source: tonic::transport::Error,
    },
    /// Nobody answers.
    #[error("no control plane answers at `{address}`")]
    Unreachable {
        /// As it was written.
        address: String,
        /// What came instead.
        #[source]
        source: tonic::transport::Error,
    },
    /// The control plane refused the call, or the connection broke.
    #[error("{message}")]
    Refused {
        /// Which kind of refusal.
        code: Code,
        /// What it said.
        message: String,
        /// What to do about it, where it said so.
        hint: Option<String>,
        /// Faults of a file that was submitted, each with its code and its place.
        faults: Vec<String>,
        /// The code of the error, where it said one that is known here.
        named: Option<flowctl_types::Code>,
        /// The chains among which a pipeline that was submitted leaves it open which one is meant,
        /// where nothing else is wrong with it.
        tie: Option<Box<Tie>>,
    },
}

impl ClientError {
    /// Its code, where it has one.
    #[must_use]
    pub const fn code(&self) -> Option<flowctl_types::Code> {
        match self {
            Self::Unreachable { .. } => Some(flowctl_types::Code::NoControlPlane),
            Self::Refused { named, .. } => *named,
            Self::Target(_) | Self::Tls { .. } => None,
        }
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Target(TargetError::Malformed { .. }) => {
                Some("write HOST:PORT, or https://HOST:PORT where it has TLS".to_owned())
            }
            Self::Target(TargetError::Exposed { .. }) => Some("write https://HOST:PORT".to_owned()),
            Self::Tls { .. } => None,
            Self::Unreachable { .. } => {
                Some("`flowctl serve` starts one; `--control-plane ADDR` or FLOWCTL_ENDPOINT names another".to_owned())
            }
            Self::Refused { hint: Some(hint), .. } => Some(hint.clone()),
            Self::Refused { code: Code::Unauthenticated, .. } => {
                Some("put a token into FLOWCTL_TOKEN; `flowctl tokens create` makes one".to_owned())
            }
            Self::Refused { .. } => None,
        }
    }

    /// A connection that broke, as `message` says.
    #[must_use]
    pub fn broken(message: &str) -> Self {
        Self::from(Status::unavailable(message))
    }

    /// Whether what was asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: Code::NotFound, .. })
    }

    /// Whether the connection failed, so that the same call may do later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused { code: Code::Unavailable, .. })
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        if let Some(cause) = transport_cause(&status) {
            let message = format!("the connection to the control plane broke: {cause}");
            let (faults, code) = (Vec::new(), Code::Unavailable);
            return Self::Refused { code, message, hint: None, faults, named: None, tie: None };
        }
        let details = status.get_error_details();
        let hint = details.localized_message().map(|said| said.message.clone()).filter(|hint| !hint.is_empty());
        // what is wrong with a single field is said whole by the message
        let is_field = details.error_info().is_some_and(|info| info.reason == "INVALID_ARGUMENT");
        let faults = details.bad_request().filter(|_| !is_field).map(|request| &request.field_violations);
        let faults = faults.into_iter().flatten().map(|violation| violation.description.clone()).collect();
        let message = match status.message() {
            "" => format!("the control plane answered `{}`", status.code()),
            said => said.to_owned(),
        };
        let said = |key| details.error_info()?.metadata.get(key);
        let named = said(error_metadata::CODE).and_then(|name| flowctl_types::Code::from_name(name));
        let tie = said(error_metadata::TIE).and_then(|tie| serde_json::from_str(tie).ok());
        Self::Refused { code: status.code(), message, hint, faults, named, tie }
    }
}

/// Why a connection broke, where a status was not sent but made here.
fn transport_cause(status: &Status) -> Option<String> {
    let mut cause = std::error::Error::source(status)?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause.to_string())
}
