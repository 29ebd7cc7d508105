//! What a processor says instead of "done": refuse this event, try again later,
//! give up.

use std::fmt;

/// Refuses one event: it goes to the dead-letter sink with this reason, what was
/// emitted for it is taken back, and the stream goes on.
///
/// It comes from a `String`, a `&str`, or with [`Reject::new`] from anything that
/// can be displayed, such as an error.
///
/// ```
/// use flowctl_sdk::Reject;
///
/// fn amount(text: &str) -> Result<i128, Reject> {
///     if text.is_empty() {
///         return Err("`amount` is empty".into());
///     }
///     text.parse().map_err(Reject::new)
/// }
/// assert_eq!(amount("x").unwrap_err().reason(), "invalid digit found in string");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    reason: String,
}

impl Reject {
    /// Refuses with the displayed form of `reason`.
    #[cold]
    pub fn new(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string() }
    }

    /// Why, in words for the operator.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<String> for Reject {
    fn from(reason: String) -> Self {
        Self { reason }
    }
}

impl From<&str> for Reject {
    fn from(reason: &str) -> Self {
        Self { reason: reason.to_owned() }
    }
}

/// Everything that can go wrong with an event; `?` turns a [`Reject`] into it.
///
/// A processor that only refuses events returns `Result<(), Reject>`; one that
/// may also have to wait or to give up returns `Result<(), Failure>`.
///
/// ```
/// use flowctl_sdk::{Failure, Reject};
///
/// fn price(sku: &str, rates: Option<&[u64]>) -> Result<u64, Failure> {
///     let index: usize = sku.parse().map_err(Reject::new)?;
///     let rates = rates.ok_or_else(|| Failure::retry("the rates are not here yet"))?;
///     Ok(*rates.get(index).ok_or("no rate for this sku")?)
/// }
/// assert_eq!(price("1", None), Err(Failure::Retry("the rates are not here yet".into())));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Refuse this event and go on.
    Reject(Reject),
    /// Something outside is not ready: the host calls again after a pause that
    /// grows, and the processor goes on from this event. Return it before
    /// changing any state for the event.
    Retry(String),
    /// The processor cannot go on; the host does not call this instance again.
    Fatal(String),
}

impl Failure {
    /// [`Failure::Retry`] with the displayed form of `reason`.
    #[cold]
    pub fn retry(reason: impl fmt::Display) -> Self {
        Self::Retry(reason.to_string())
    }

    /// [`Failure::Fatal`] with the displayed form of `reason`.
    #[cold]
    pub fn fatal(reason: impl fmt::Display) -> Self {
        Self::Fatal(reason.to_string())
    }
}

impl From<Reject> for Failure {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Reject(reason.into())
    }
}

impl From<&str> for Failure {
    fn from(reason: &str) -> Self {
        Self::Reject(reason.into())
    }
}

/// What `process` may return: nothing, or a `Result` whose error becomes a
/// [`Failure`].
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`process` cannot return `{Self}`",
    label = "return `Result<(), Reject>`",
    note = "`Result<(), Failure>` may also retry or give up; without `-> …` every event is taken"
)]
pub trait Verdict {
    /// The same, as one type.
    fn into_result(self) -> Result<(), Failure>;
}

impl Verdict for () {
    #[inline]
    fn into_result(self) -> Result<(), Failure> {
        Ok(())
    }
}

impl<E: Into<Failure>> Verdict for Result<(), E> {
    #[inline]
    fn into_result(self) -> Result<(), Failure> {
        self.map_err(Into::into)
    }
}
