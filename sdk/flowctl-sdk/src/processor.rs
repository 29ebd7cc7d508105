//! The traits between generated code and the SDK.
//!
//! Authors do not implement them: `#[flowctl_sdk::processor]` does. They appear
//! in bounds of [`testing`](crate::testing) and [`Emitter`].

use crate::codec::DecodeError;
use crate::{Emitter, Events, Failure};

/// A processor as the host and [`testing`](crate::testing) drive it;
/// `#[flowctl_sdk::processor]` implements it.
///
/// ```
/// use flowctl_sdk::prelude::*;
///
/// #[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
/// mod pass {
///     pub struct Pass;
///
///     impl Pass {
///         fn new() -> Self { Pass }
///         fn process(&mut self, _order: OrderRef<'_>, out: &mut Emitter<Order>) { out.forward(); }
///     }
/// }
/// assert_eq!(<pass::Pass as Processor>::INPUTS, ["example:order/event@1.0.0"]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no flowctl processor",
    note = "put `#[flowctl_sdk::processor(input = \"…\", output = \"…\")]` on the module that holds it"
)]
pub trait Processor: Sized + 'static {
    /// The settings that `new` takes; `()` where it takes none.
    type Config;
    /// What it takes: the event's type, or the enum `Event` where there are
    /// several.
    type Input;
    /// What it gives: the event's type, or the enum `Output` where there are
    /// several.
    type Output;
    /// The declared input types, as WIT ids, by kind.
    const INPUTS: &'static [&'static str];
    /// The declared output types, as WIT ids, by kind.
    const OUTPUTS: &'static [&'static str];

    /// Makes a processor from its settings.
    ///
    /// # Errors
    ///
    /// What `new` says against the settings.
    fn create(config: Self::Config) -> Result<Self, String>;

    /// Takes the events of a batch from index `first` on.
    ///
    /// # Errors
    ///
    /// The failure and the index of the event it came from.
    #[doc(hidden)]
    fn run<'b>(
        &mut self,
        events: Events<'b>,
        first: usize,
        out: &mut Emitter<'b, Self::Output>,
    ) -> Result<(), (usize, Failure)>;
}

/// A type with a name, as flowctl knows it: each record, enum or variant that is
/// an event.
///
/// ```
/// use flowctl_sdk::prelude::*;
///
/// mod types {
///     flowctl_sdk::event_types!("example.order.v1");
/// }
/// assert_eq!(types::Order::TYPE, "example.order.v1");
/// ```
pub trait Event {
    /// The event type's name, such as `example.order.v1`.
    const TYPE: &'static str;
}

/// An event type, or a set of them, that can be read from a payload of kind
/// `kind`; generated for `Order`, `OrderRef<'a>`, and the enums of several.
///
/// ```
/// use flowctl_sdk::FromPayload;
/// use flowctl_sdk::codec::to_bytes;
///
/// mod types {
///     flowctl_sdk::event_types!("stellar.volume.v1");
/// }
/// use types::{Volume, VolumeRef};
///
/// let volume = Volume { asset: "native".into(), from_ledger: 1, to_ledger: 9, count: 2, sum: "7".into() };
/// let payload = to_bytes(&volume);
/// assert_eq!(VolumeRef::from_payload(0, &payload).unwrap().sum, "7");
/// assert_eq!(Volume::from_payload(0, &payload).unwrap(), volume);
/// assert!(Volume::from_payload(0, &payload[1..]).is_err());
/// ```
pub trait FromPayload<'a>: Sized {
    /// Reads a whole payload.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where the bytes are not such an event.
    fn from_payload(kind: u32, payload: &'a [u8]) -> Result<Self, DecodeError>;
}

impl<'a> FromPayload<'a> for &'a [u8] {
    #[inline]
    fn from_payload(_kind: u32, payload: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(payload)
    }
}

impl<'a> FromPayload<'a> for Vec<u8> {
    #[inline]
    fn from_payload(_kind: u32, payload: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(payload.to_vec())
    }
}

/// A value that is an event of `Set`, which is what an [`Emitter`] takes:
/// generated for owned and borrowed events, and references to them.
///
/// ```
/// use flowctl_sdk::Emit;
///
/// // the payload of an opaque event is its bytes
/// let ledger: &[u8] = b"xdr";
/// let mut payload = Vec::new();
/// Emit::<Vec<u8>>::write_payload(ledger, &mut payload);
/// assert_eq!((Emit::<Vec<u8>>::kind(ledger), payload.as_slice()), (0, ledger));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no event of `{Set}`",
    label = "not what this processor declares as its output"
)]
pub trait Emit<Set> {
    /// Which of the set's types it is, from 0.
    fn kind(&self) -> u32;
    /// Appends its payload.
    fn write_payload(&self, out: &mut Vec<u8>);
    /// Appends its partition key; false where the processor defines none.
    #[inline]
    fn write_key(&self, _out: &mut Vec<u8>) -> bool {
        false
    }
}

impl Emit<Vec<u8>> for [u8] {
    #[inline]
    fn kind(&self) -> u32 {
        0
    }
    #[inline]
    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Emit<Vec<u8>> for Vec<u8> {
    #[inline]
    fn kind(&self) -> u32 {
        0
    }
    #[inline]
    fn write_payload(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl<Set, E: Emit<Set> + ?Sized> Emit<Set> for &E {
    #[inline]
    fn kind(&self) -> u32 {
        E::kind(self)
    }
    #[inline]
    fn write_payload(&self, out: &mut Vec<u8>) {
        E::write_payload(self, out);
    }
    #[inline]
    fn write_key(&self, out: &mut Vec<u8>) -> bool {
        E::write_key(self, out)
    }
}

/// A set of output types that holds every input type too, so that an event can
/// be passed on as it came; see [`Emitter::forward`].
///
/// ```
/// use flowctl_sdk::{Emitter, Passthrough};
///
/// /// Passes the event at hand on, whatever its type.
/// fn sample<T: Passthrough>(n_seen: &mut u64, out: &mut Emitter<'_, T>) {
///     *n_seen += 1;
///     if n_seen.is_multiple_of(100) {
///         out.forward();
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`forward` needs an output type that is the input type",
    note = "emit an event of the output type instead"
)]
pub trait Passthrough {
    /// The output kind of an input kind.
    fn output_kind(input_kind: u32) -> u32;
    /// Appends the partition key of a payload of output kind `kind`; false where
    /// the processor defines none, or the payload is not such an event.
    #[inline]
    fn write_key(_kind: u32, _payload: &[u8], _out: &mut Vec<u8>) -> bool {
        false
    }
}
