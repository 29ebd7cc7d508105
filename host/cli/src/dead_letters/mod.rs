//! Events that a pipeline set aside: reading their letters, and putting them back in.

pub(crate) mod letters;
pub(crate) mod replay;
