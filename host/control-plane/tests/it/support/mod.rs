//! Hosts to test, and callers of them.

mod host;
mod planner;

pub(crate) use host::{Caller, Host, Setup, eventually, request, within};
pub(crate) use planner::FakePlanner;
