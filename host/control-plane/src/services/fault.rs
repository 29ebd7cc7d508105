//! Errors as callers get them: a status with details that programs and people read.
//!
//! Invariant: what belongs to another tenant and what is not there give the same answer.

use std::collections::HashMap;

use flowctl_proto::error_metadata;
use flowctl_types::{Code as Named, one_of};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use tracing::error;

use crate::controller::{ControlError, FileFault, PlanFailure};
use crate::directory::DirectoryError;
use crate::tenants::{Refusal, Role};
use crate::text::cut;

/// Who says so, in the details.
const DOMAIN: &str = "flowctl";
/// Bytes of a message; headers carry it.
const MESSAGE_BYTES: usize = 2 << 10;
/// Bytes of all faults in one answer. Headers carry them, as base64, and many clients take no
/// more than 16 KiB of headers.
const FAULTS_BYTES: usize = 8 << 10;

/// A status with a reason for programs and a hint for people.
pub(crate) fn status(code: Code, reason: &str, message: &str, hint: Option<&str>) -> Status {
    with_details(code, message, details(reason, hint))
}

/// A field of the request that cannot be used.
pub(crate) fn invalid(field: &str, description: &str) -> Status {
    let mut details = details("INVALID_ARGUMENT", None);
    details.add_bad_request_violation(field, description);
    with_details(Code::InvalidArgument, &format!("`{field}` {description}"), details)
}

/// Something that is not there, or belongs to another tenant.
pub(crate) fn not_found(what: &str, name: &str) -> Status {
    unknown::<&str>(what, name, &[])
}

/// As [`not_found`], with names that the caller may have meant.
pub(crate) fn unknown<T: AsRef<str>>(what: &str, name: &str, nearest: &[T]) -> Status {
    let hint = (!nearest.is_empty()).then(|| format!("did you mean {}?", one_of(nearest)));
    status(Code::NotFound, "NOT_FOUND", &format!("there is no {what} `{}`", cut(name, 128)), hint.as_deref())
}

pub(crate) fn refused(refusal: &Refusal) -> Status {
    let hint = "put a token into FLOWCTL_TOKEN; `flowctl tokens create` makes one";
    match refusal {
        Refusal::Missing => status(Code::Unauthenticated, "CREDENTIAL_MISSING", &refusal.to_string(), Some(hint)),
        Refusal::Unknown => status(Code::Unauthenticated, "CREDENTIAL_UNKNOWN", &refusal.to_string(), Some(hint)),
        Refusal::Expired => status(Code::Unauthenticated, "CREDENTIAL_EXPIRED", &refusal.to_string(), Some(hint)),
        Refusal::Store(error) => internal("credentials", error),
    }
}

pub(crate) fn forbidden(role: Role, least: Role) -> Status {
    let message = format!("the role `{role}` may not do that: it takes `{least}`");
    status(Code::PermissionDenied, "ROLE_TOO_LOW", &message, None)
}

/// A failure of this host, told to its log and not to the caller.
pub(crate) fn internal(doing: &str, error: &(dyn std::error::Error + 'static)) -> Status {
    error!(doing, error, "a call failed");
    status(Code::Internal, "INTERNAL", "the control plane could not do that; its log says why", None)
}

impl From<ControlError> for Status {
    fn from(error: ControlError) -> Self {
        let message = error.to_string();
        match error {
            ControlError::Plan(failure) => planning(&failure),
            ControlError::RunsAlready { .. } | ControlError::RunsElsewhere { .. } => {
                let hint = "stop its run first: `flowctl pipelines stop PIPELINE`";
                status(Code::FailedPrecondition, "RUNS_ALREADY", &message, Some(hint))
            }
            ControlError::Quota { .. } => status(Code::ResourceExhausted, "QUOTA_EXCEEDED", &message, None),
            ControlError::NoPipeline { name, nearest } => unknown("pipeline", &name, &nearest),
            ControlError::NoRun { id, nearest } => unknown("run", &id, &nearest),
            ControlError::NoNode { node, nearest, .. } => unknown("node", &node, &nearest),
            ControlError::NotRunning { .. } => status(Code::FailedPrecondition, "NOT_RUNNING", &message, None),
            ControlError::NoRevision { .. } => {
                let hint = "`flowctl topology history` lists those that are";
                status(Code::NotFound, "NO_REVISION", &message, Some(hint))
            }
            ControlError::PlanMoved { .. } => {
                let hint = "look at the plan again with `--dry-run`";
                status(Code::Aborted, "PLAN_MOVED", &message, Some(hint))
            }
            ControlError::NotChanged { .. } => status(Code::FailedPrecondition, "NOT_CHANGED", &message, None),
            ControlError::Draining => status(Code::Unavailable, "DRAINING", &message, None),
            ControlError::Store(error) => internal("store", &error),
        }
    }
}

impl From<DirectoryError> for Status {
    fn from(error: DirectoryError) -> Self {
        let message = error.to_string();
        match error {
            DirectoryError::Invalid { field, reason } => invalid(field, &reason),
            DirectoryError::Full { .. } => status(Code::ResourceExhausted, "TOO_MANY_COMPONENTS", &message, None),
            DirectoryError::Unknown { id } => not_found("component", &id),
            DirectoryError::Store(error) => internal("directory", &error),
        }
    }
}

fn planning(failure: &PlanFailure) -> Status {
    use crate::controller::PlanFailureKind::{Denied, Invalid, Missing, Unavailable};
    let (code, reason) = match failure.kind {
        Invalid => (Code::InvalidArgument, "PIPELINE_INVALID"),
        Missing => (Code::NotFound, "NOT_FOUND"),
        Denied => (Code::PermissionDenied, "POLICY_VIOLATION"),
        Unavailable => (Code::FailedPrecondition, "CANNOT_START"),
    };
    let mut details = named(reason, failure.code.or_else(|| code_of(reason)), failure.hint.as_deref());
    if !failure.faults.is_empty() {
        details.set_bad_request(violations(&failure.faults));
    }
    if let (Some(tie), Some(info)) = (&failure.tie, details.error_info().cloned()) {
        let mut metadata = info.metadata;
        metadata.insert(error_metadata::TIE.to_owned(), serde_json::json!(tie).to_string());
        details.set_error_info(info.reason, info.domain, metadata);
    }
    with_details(code, &failure.message, details)
}

/// The faults of a file, as many as an answer holds; a last one says how many more there are.
fn violations(faults: &[FileFault]) -> Vec<FieldViolation> {
    let mut violations = Vec::new();
    let mut n_left = FAULTS_BYTES;
    for (index, fault) in faults.iter().enumerate() {
        let violation = FieldViolation::new(cut(&fault.place, 256), cut(&fault.message, MESSAGE_BYTES));
        let n_bytes = violation.field.len() + violation.description.len();
        let Some(rest) = n_left.checked_sub(n_bytes) else {
            let more = format!("{} more faults follow; correct these first", faults.len() - index);
            violations.push(FieldViolation::new("", more));
            break;
        };
        n_left = rest;
        violations.push(violation);
    }
    violations
}

/// The code that a reason has by itself.
fn code_of(reason: &str) -> Option<Named> {
    Some(match reason {
        "CREDENTIAL_MISSING" | "CREDENTIAL_UNKNOWN" | "CREDENTIAL_EXPIRED" => Named::Unauthenticated,
        "ROLE_TOO_LOW" => Named::Forbidden,
        "NOT_FOUND" | "NO_REVISION" => Named::NotThere,
        "RUNS_ALREADY" => Named::RunsAlready,
        "QUOTA_EXCEEDED" | "TOO_MANY_COMPONENTS" => Named::QuotaExceeded,
        "PLAN_MOVED" => Named::PlanMoved,
        "NOT_CHANGED" => Named::ChangeRefused,
        "POLICY_VIOLATION" => Named::PolicyViolation,
        _ => return None,
    })
}

fn details(reason: &str, hint: Option<&str>) -> ErrorDetails {
    named(reason, code_of(reason), hint)
}

/// Details with a code, which `flowctl explain` knows.
fn named(reason: &str, code: Option<Named>, hint: Option<&str>) -> ErrorDetails {
    let metadata: HashMap<_, _> = code.iter().map(|code| (error_metadata::CODE.to_owned(), code.to_string())).collect();
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    if let Some(hint) = hint {
        details.set_localized_message("en", cut(hint, MESSAGE_BYTES));
    }
    details
}

fn with_details(code: Code, message: &str, details: ErrorDetails) -> Status {
    Status::with_error_details(code, cut(message, MESSAGE_BYTES), details)
}
