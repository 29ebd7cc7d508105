//! The default is of another type.

#[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
mod mistake {
    pub struct Pass;

    pub struct Config {
        #[config(default = "ten")]
        pub limit: u64,
    }

    impl Pass {
        fn new(_config: Config) -> Self {
            Self
        }

        fn process(&mut self, order: Order, out: &mut Emitter<Order>) {
            out.emit(order);
        }
    }
}

fn main() {}
