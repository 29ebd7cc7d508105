//! Who one is to a registry.
//!
//! [`Credentials`] finds the [`Login`] for a registry where docker keeps it: in its
//! configuration file, or with the credential helper that the file names.
//!
//! Invariant: a secret is never shown. [`Secret`] prints nothing of itself, no [`AuthError`]
//! holds one, and secrets travel to helpers by their standard input.
//!
//! Leaves out the environment: the caller says which folder holds the file and where
//! helpers are.

mod config;
mod credentials;
mod error;
mod helper;
mod hosts;
mod secret;

pub use credentials::{Credentials, Kept, Summary};
pub use error::AuthError;
pub(crate) use hosts::is_docker_hub;
pub use secret::Secret;

/// How a client shows a registry who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    Anonymous,
    /// By name and password, which also buy a token where the registry wants one.
    Basic {
        /// The user.
        username: String,
        /// The password, or a token that stands for it.
        password: Secret,
    },
    /// By a token that was made elsewhere and is sent as it is.
    Bearer(Secret),
    /// By a refresh token, which buys access tokens.
    Identity(Secret),
}
