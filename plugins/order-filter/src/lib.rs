//! The example of the documentation: `example.order.v1` in, the larger orders out.
//!
//! It owns one rule and no state; what a processor can do beyond that is shown by
//! the plugins beside it.

/// The processor.
#[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
pub mod order_filter {
    /// Passes orders of at least `minimum`.
    pub struct OrderFilter {
        config: Config,
    }

    /// What to pass.
    pub struct Config {
        /// The smallest total that passes, in hundredths of the currency's unit.
        #[config(default = 100)]
        pub minimum: u64,
        /// ISO 4217 codes of the currencies that pass; empty for all.
        #[config(default = [])]
        pub currencies: Vec<String>,
    }

    impl OrderFilter {
        fn new(config: Config) -> Self {
            Self { config }
        }

        fn process(&mut self, order: OrderRef<'_>, out: &mut Emitter<Order>) -> Result<(), Reject> {
            if order.currency.is_empty() {
                return Err("it has no currency".into());
            }
            let Config { minimum, currencies } = &self.config;
            let is_wanted = currencies.is_empty() || currencies.iter().any(|code| code == order.currency);
            if is_wanted && order.total_cents >= *minimum {
                out.forward();
            }
            Ok(())
        }
    }
}
