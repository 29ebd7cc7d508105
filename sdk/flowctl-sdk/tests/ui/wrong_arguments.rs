//! The emitter is missing.

#[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
mod mistake {
    pub struct Pass;

    impl Pass {
        fn new() -> Self {
            Self
        }

        fn process(&mut self, order: Order) -> Order {
            order
        }
    }
}

fn main() {}
