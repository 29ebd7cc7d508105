//! Plugins as OCI artifacts: what an artifact is, where it is kept, how it travels.
//!
//! An [`Artifact`] is a component with what its bytes say about it, laid out as the CNCF
//! has it for Wasm. A [`Layout`] is an OCI image layout on disk, the [`Store`] the one
//! that all processes of a user share. The [`Client`] talks to registries; [`pull`] and
//! [`push`] move artifacts between all three. [`auth`] knows the logins of registries, [`sign`]
//! makes and checks signatures, and a [`policy`] says who needs which. An [`index`] lists
//! plugins that are not here yet.
//!
//! Invariants: bytes are hashed while they stream, and nothing is in the store before its
//! digest, its size, its form and its types were checked. Whatever a registry or a file
//! says is bounded before it is read. No error and no log holds a secret. What the store
//! holds by digest is never asked of the network.
//!
//! Leaves out the environment, terminals and what a pipeline is: the caller brings paths,
//! settings and a [`Progress`].

pub mod annotations;
mod artifact;
pub mod auth;
mod client;
mod descriptor;
mod error;
mod files;
pub mod index;
mod layout;
pub mod policy;
mod progress;
mod pull;
mod push;
mod reference;
pub mod sign;
mod store;

pub use annotations::Facts;
pub use artifact::{Artifact, ArtifactError, ArtifactManifest, ComponentLists, Created, WasmConfig};
pub use client::{BlobSink, Client, ClientOptions, Logins, Patience};
pub use descriptor::{Descriptor, media};
pub use error::OciError;
pub use layout::{Layout, LayoutEntry, LayoutError};
pub use progress::{Progress, Silent};
pub use pull::{Admission, Marks, PullError, PullOptions, Pulled, Refusal, TagLookup, pull, pull_from_layout};
pub use push::{PushError, push, push_to_layout};
pub use reference::{RegistryRef, RegistryRefError};
pub use store::{Collected, Damaged, Depth, Entry, Partial, Removed, Store, StoreError, Untagged, Verified};
