//! The wire: messages, clients and servers of `proto/`, generated.
//!
//! Leaves out everything but the wire. The generated code is committed, and a test
//! holds it equal to what the protocol files give.

/// What components and the control plane speak: `flowctl.v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub mod v1 {
    include!("generated/flowctl.v1.rs");
}

/// What the control plane is managed by: `flowctl.admin.v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub mod admin {
    include!("generated/flowctl.admin.v1.rs");
}

/// Payloads of existing components: `stellar.v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
pub mod stellar {
    include!("generated/stellar.v1.rs");
}

/// What an error's `google.rpc.ErrorInfo` has in its metadata, by key.
pub mod error_metadata {
    /// The code of the error, which `flowctl explain` knows.
    pub const CODE: &str = "code";
    /// The chains among which a pipeline leaves it open which one is meant, as JSON.
    pub const TIE: &str = "tie";
}

/// All protocol files, for reflection: an encoded `FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/descriptors.bin");
