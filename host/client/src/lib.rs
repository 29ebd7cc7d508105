//! The control plane as its clients see it: the command line and the dashboard.
//!
//! A [`Client`] is a connection to one control plane, as one caller. Invariant: what it
//! answers is the wire's own messages, and an error says what the control plane said,
//! with its hint. Leaves out where a control plane is to be found, and printing; the words
//! that both of its users print are here.

mod calls;
mod error;
mod pages;
mod target;
mod words;

pub use calls::{Client, Watch};
pub use error::ClientError;
pub use flowctl_proto::admin;
pub use prost_types::{Duration as Length, Timestamp as Moment};
pub use target::{Target, TargetError, Tls};
pub use words::{is_over, plain, status_word};
