//! One component holds one processor.

#[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
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

    pub struct Other;

    impl Other {
        fn new() -> Self {
            Self
        }

        fn process(&mut self, order: Order, out: &mut Emitter<Order>) {
            out.emit(order);
        }
    }
}

fn main() {}
