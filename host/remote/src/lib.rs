//! Components in other processes as nodes of a pipeline.
//!
//! A [`Peer`] is one component: its connection and how it is. [`source()`], [`processor()`]
//! and [`sink()`] make of it what the runtime runs; a [`Child`] is the process of a
//! component that the pipeline starts itself.
//!
//! Invariant: no event is lost on the way. A source goes on behind the last event that it
//! handed over; a processor's batch is repeated as a whole when its stream breaks; a sink
//! that cannot prove that it took an epoch says that it lost it. A component that is away
//! or unwell makes its node wait, visibly, and does not end the run.
//!
//! Leaves out which components there are, and who may reach them: the caller knows.

mod child;
mod codec;
mod error;
mod fault;
mod peer;
mod processor;
mod sink;
mod source;

pub use child::{Child, ChildError, ChildSettings, LineFrom, LineSink, free_port};
pub use error::RemoteError;
pub use peer::{Peer, PeerSettings};
pub use processor::processor;
pub use sink::sink;
pub use source::source;
