//! Reading XDR in place: a borrowing cursor and walks over the types of a ledger.
//!
//! Each walk leaves the reader after the value. The integer literals are the
//! discriminants of the XDR definitions of the protocol.

mod entries;
mod operations;
mod reader;
mod values;

pub use entries::{changes, entry, key, signer_key};
pub use operations::{muxed_account, operation, operation_result};
pub use reader::{MAX_NESTING, Malformed, Read, Reader};
pub use values::{account_id, event, value};
