//! The version is not there.

#[flowctl_sdk::processor(input = "example:order/event@2.0.0", output = "example.order.v1")]
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
