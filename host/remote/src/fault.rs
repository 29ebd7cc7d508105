//! What an answer of a component means for the call.

use std::error::Error as _;

use flowctl_runtime::Fault;
use tonic::{Code, Status};

/// Whether the connection is to blame, not the component's code.
pub(crate) fn is_broken(status: &Status) -> bool {
    // what a component answers itself has no cause on this side
    status.source().is_some() || matches!(status.code(), Code::Unavailable | Code::Cancelled)
}

/// Whether the component has no such call.
pub(crate) fn is_unknown(status: &Status) -> bool {
    status.code() == Code::Unimplemented
}

/// The fault of a call: repeated where that may help, else the input is to blame.
pub(crate) fn of_call(status: &Status) -> Fault {
    let reason = describe(status);
    let may_pass = matches!(
        status.code(),
        Code::Unavailable | Code::Cancelled | Code::Aborted | Code::DeadlineExceeded | Code::ResourceExhausted
    );
    if may_pass || is_broken(status) { Fault::Retry(reason) } else { Fault::Fatal(reason) }
}

/// What happened, in words.
pub(crate) fn describe(status: &Status) -> String {
    let message: String = status.message().chars().take(1_000).collect();
    let Some(cause) = status.source() else {
        return format!("the component answered `{:?}`: {message}", status.code());
    };
    let mut texts = vec![message];
    let mut cause = Some(cause);
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    format!("the connection broke: {}", texts.join(": "))
}
