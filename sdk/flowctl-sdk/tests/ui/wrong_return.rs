//! An order is no verdict.

#[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
mod mistake {
    pub struct Pass;

    impl Pass {
        fn new() -> Self {
            Self
        }

        fn process(&mut self, order: Order, out: &mut Emitter<Order>) -> bool {
            out.emit(order);
            true
        }
    }
}

fn main() {}
