//! What is emitted is not what was declared.

#[flowctl_sdk::processor(input = "example.order.v1", output = "stellar.volume.v1")]
mod mistake {
    pub struct Pass;

    impl Pass {
        fn new() -> Self {
            Self
        }

        fn process(&mut self, order: Order, out: &mut Emitter<Volume>) {
            out.emit(order);
        }
    }
}

fn main() {}
