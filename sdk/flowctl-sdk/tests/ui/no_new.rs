//! Nothing makes the processor.

#[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
mod mistake {
    pub struct Pass;

    impl Pass {
        fn process(&mut self, order: Order, out: &mut Emitter<Order>) {
            out.emit(order);
        }
    }
}

fn main() {}
