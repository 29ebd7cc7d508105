//! An event of another type cannot be passed on.

#[flowctl_sdk::processor(input = "example.order.v1", output = "stellar.volume.v1")]
mod mistake {
    pub struct Pass;

    impl Pass {
        fn new() -> Self {
            Self
        }

        fn process(&mut self, _order: OrderRef<'_>, out: &mut Emitter<Volume>) {
            out.forward();
        }
    }
}

fn main() {}
