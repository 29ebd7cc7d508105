//! Reading the XDR of Stellar ledgers in place: a borrowing cursor, and walks over the
//! types of a ledger.
//!
//! Each walk leaves the reader after the value. The integer literals are the
//! discriminants of the XDR definitions of the protocol. Nothing is decoded that is only
//! walked over, a few rare types aside, which `stellar-xdr` decodes.
//!
//! The one crate that both the host and a plugin use: no I/O, no threads, builds for
//! WebAssembly.

mod entries;
mod ledger;
mod operations;
mod reader;
mod transactions;
mod values;

pub use entries::{changes, entry, key, signer_key};
pub use ledger::ledger;
pub use operations::{muxed_account, operation, operation_result};
pub use reader::{MAX_NESTING, Malformed, Read, Reader};
pub use transactions::{envelope, preconditions, result, signatures, soroban_data, transaction_meta};
pub use values::{account_id, event, value};
