//! How far bytes have come, for whoever shows it.

use flowctl_types::Digest;

/// Is told of blobs on their way, in either direction. Calls come from many tasks at once
/// and must return quickly.
pub trait Progress: Send + Sync {
    /// A blob of `total_bytes` begins.
    fn begin(&self, blob: &Digest, total_bytes: u64) {
        let _ = (blob, total_bytes);
    }

    /// So much of it is through. It may go back, where a peer makes one start over.
    fn reach(&self, blob: &Digest, position_bytes: u64) {
        let _ = (blob, position_bytes);
    }

    /// It is through, or it was there already.
    fn end(&self, blob: &Digest) {
        let _ = blob;
    }
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
