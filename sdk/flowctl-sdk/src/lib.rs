//! Write processors for [flowctl](https://github.com/flowctl/flowctl) pipelines.
//!
//! A processor is a struct, its settings, and one function per event. The macro
//! [`processor`] turns the module they stand in into a WebAssembly component that
//! says itself which event types it takes and gives.
//!
//! ```
//! #[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
//! mod order_filter {
//!     /// Passes orders of at least `minimum`.
//!     pub struct OrderFilter { config: Config }
//!
//!     pub struct Config {
//!         /// Smallest total that passes, in cents.
//!         #[config(default = 100)]
//!         pub minimum: u64,
//!     }
//!
//!     impl OrderFilter {
//!         fn new(config: Config) -> Result<Self, String> { Ok(OrderFilter { config }) }
//!
//!         fn process(&mut self, order: Order, out: &mut Emitter<Order>) -> Result<(), Reject> {
//!             if order.total_cents >= self.config.minimum { out.emit(order); }
//!             Ok(())
//!         }
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! A crate with `crate-type = ["cdylib", "rlib"]` is built with
//! `cargo build --release --target wasm32-wasip2`, and tested natively with
//! [`testing`]. It depends on `flowctl-sdk` alone.
//!
//! Invariant: the payload bytes follow from the WIT type alone ([`codec`]), so
//! that the host and components in other languages read and write the same.

mod columns;
mod emitter;
mod events;
mod failure;
mod host;
mod instance;
mod processor;
mod timer;

pub mod codec;
pub mod contract;
pub mod log;
pub mod metrics;
pub mod state;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use self::emitter::{Emitted, Emitter};
pub use self::events::{Events, Received};
pub use self::failure::{Failure, Reject};
pub use self::processor::{Emit, Event, FromPayload, Passthrough, Processor};
pub use self::state::State;
pub use self::timer::Timer;

/// Generates the Rust form of event types, owned and borrowed, for code that is
/// no processor. It stands in a module, and takes names of event types and
/// `wit = "folder"` where they are your own.
///
/// ```
/// mod types {
///     flowctl_sdk::event_types!("stellar.volume.v1");
/// }
/// use flowctl_sdk::codec::{from_bytes, to_bytes};
///
/// let volume = types::Volume { asset: "native".into(), from_ledger: 1, to_ledger: 9, count: 2, sum: "7".into() };
/// let bytes = to_bytes(&volume);
/// let borrowed: types::VolumeRef<'_> = from_bytes(&bytes).unwrap();
/// assert_eq!((borrowed.sum, borrowed.into_owned()), ("7", volume));
/// ```
pub use flowctl_sdk_macros::event_types;

/// Turns a module into a processor.
///
/// # Arguments
///
/// - `input`, `output`: the event types, as `"stellar.ledger.v1"` or
///   `"stellar:ledger/event@1.0.0"`; a list where there are several. The types of
///   flowctl itself are built in. Your own stand below `wit/` in your crate: each
///   folder with `.wit` files is one package.
/// - `wit = "folder"`: another folder than `wit`.
/// - `metadata(network = "pubnet", …)`: facts for the registry.
///
/// # What the module holds
///
/// - A struct with `fn process`, and `fn new` that makes it from its settings:
///   `fn new(config: Config) -> Result<Self, String>`, or without settings or
///   without `Result`.
/// - `fn process(&mut self, event: Order, out: &mut Emitter<Order>)`. The event is
///   taken owned (`Order`), or borrowed from the payload (`OrderRef<'_>`), which
///   copies no text; an opaque one as `&[u8]` or `Vec<u8>`. It returns nothing,
///   `Result<(), Reject>`, or `Result<(), Failure>`. Of several input types it
///   takes the enum `Event` or `EventRef<'_>`; of several output types
///   `Emitter<Output>` takes each.
/// - Or `fn process_batch(&mut self, events: &Events<'_>, out: &mut Emitter<Order>)`.
/// - Perhaps `fn key(event: &Order) -> String` (any `AsRef<[u8]>`): the partition
///   key of what comes out; else it is the input event's.
/// - Perhaps `impl` [`State`] and `impl` [`Timer`] for the struct.
/// - The settings: a struct of `bool`, integers to 64 bits, floats, `char`,
///   `String`, `Option`, `Vec`, structs and enums without values of the same
///   module, or enums of the event types. `#[config(default = …)]` takes a
///   literal. What has a default or is an `Option` may be left out.
///
/// The generated types stand in the module and in its `events`. The component is
/// the crate's, so there is one processor in a crate.
///
/// ```
/// #[flowctl_sdk::processor(input = "stellar.ledger.v1", output = "stellar.volume.v1")]
/// mod sizes {
///     /// The size of each ledger.
///     pub struct Sizes;
///
///     impl Sizes {
///         fn new() -> Self { Sizes }
///
///         fn process(&mut self, ledger: &[u8], out: &mut Emitter<Volume>) -> Result<(), Reject> {
///             if ledger.is_empty() {
///                 return Err("an empty ledger".into());
///             }
///             let sum = ledger.len().to_string();
///             out.emit(VolumeRef { asset: "native", from_ledger: 0, to_ledger: 0, count: 1, sum: &sum });
///             Ok(())
///         }
///     }
/// }
/// use flowctl_sdk::testing::Host;
///
/// let answer = Host::<sizes::Sizes>::start(()).unwrap().send([&b"abc"[..], b""]).unwrap();
/// assert_eq!(answer.events[0].sum, "3");
/// assert_eq!(answer.rejected, [(1, "an empty ledger".to_owned())]);
/// ```
pub use flowctl_sdk_macros::processor;

/// What a processor's module needs; the macro imports it there. To code beside the
/// module it is of use too.
///
/// ```
/// use flowctl_sdk::prelude::*;
///
/// fn refuse() -> Result<(), Reject> { Err("not today".into()) }
/// assert!(refuse().is_err());
/// ```
pub mod prelude {
    pub use crate::codec::{Decode as _, Encode as _};
    pub use crate::state::{Parts, key_group};
    pub use crate::{Emitter, Event as _, Events, Failure, Processor, Received, Reject, State, Timer, log, metrics};
}
