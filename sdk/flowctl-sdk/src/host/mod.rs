//! The way out of a processor: the contract's imports on wasm, a recorder
//! elsewhere.

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod wasm;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use self::native::{Recording, counter, log, record};
#[cfg(target_arch = "wasm32")]
pub(crate) use self::wasm::{counter, log};
