//! Components that do what a test says, and pipelines of them.

mod events;
mod pipeline;
mod proxy;
mod servers;

use std::time::Duration;

pub(crate) use events::{id, json_of, ledger, metadata, number, number_schema, numbers, with_cursor};
pub(crate) use pipeline::Pipeline;
pub(crate) use proxy::Proxy;
pub(crate) use servers::{Answer, FakeProcessor, FakeSink, FakeSource, Resumes, Server, address, serve_at};

/// Waits until `is_so`; a minute at most.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waited).await;
    assert!(waited.is_ok(), "it never came to it that {what}");
}
