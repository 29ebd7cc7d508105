//! The attribute stands on a struct.

#[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
struct Pass;

fn main() {}
