//! The control plane as its clients see it.
