//! The type has no version.

#[flowctl_sdk::processor(input = "example.order", output = "example.order.v1")]
mod mistake {
    pub struct Pass;

    impl Pass {
        fn new() -> Self {
            Self
        }

        fn process(&mut self, order: Order, out: &mut Emitter<Order>) {
            out.emit(order);
        }
    }
}

fn main() {}
