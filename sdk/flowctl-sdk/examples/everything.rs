//! A processor with everything that one can have; most need a fraction of it.
//!
//! `cargo build -p flowctl-sdk --example everything --target wasm32-wasip2` makes a
//! component of it.

/// The processor.
#[flowctl_sdk::processor(
    input = ["example.order.v1", "stellar:ledger/event@1.0.0"],
    output = ["example.order.v1", "stellar.volume.v1"],
    metadata(network = "pubnet")
)]
pub mod everything {
    use std::collections::BTreeMap;

    /// Passes large orders, and counts ledgers.
    pub struct Everything {
        config: Config,
        n_seen: BTreeMap<String, u64>,
    }

    /// Settings of every type there is.
    pub struct Config {
        /// Smallest total that passes, in cents.
        #[config(default = 100)]
        pub minimum: u64,
        /// What has to be true of the customer.
        pub customer: Option<Rule>,
        /// More of the same.
        #[config(default = [])]
        pub rules: Vec<Rule>,
        /// How far an order has to be.
        #[config(default = Status::Paid)]
        pub status: Status,
        /// What to do with the others.
        #[config(default = Otherwise::RejectIt)]
        pub otherwise: Otherwise,
        /// Numbers of each kind.
        pub r#type: Option<char>,
        /// A share, from 0 to 1.
        #[config(default = 0.5)]
        pub share: f64,
        /// A temperature.
        #[config(default = -40)]
        pub temperature: i16,
        /// Whether to log.
        #[config(default = true)]
        pub verbose: bool,
        /// A name.
        #[config(default = "everything")]
        pub name: String,
    }

    /// A condition.
    pub struct Rule {
        /// The text that has to be there.
        pub contains: String,
        /// How often at least.
        #[config(default = 1)]
        pub times: u32,
    }

    /// What happens to an order that does not pass.
    pub enum Otherwise {
        /// It goes to the dead letters.
        RejectIt,
        /// It is forgotten.
        DropIt,
    }

    impl Everything {
        fn new(config: Config) -> Result<Self, String> {
            if !(0.0..=1.0).contains(&config.share) {
                return Err(format!("share {} is not within 0 and 1", config.share));
            }
            log::info!("{} is ready at {} {:?}", config.name, config.temperature, config.r#type);
            Ok(Self { config, n_seen: BTreeMap::new() })
        }

        fn process(&mut self, event: EventRef<'_>, out: &mut Emitter<Output>) -> Result<(), Failure> {
            match event {
                EventRef::Order(order) => {
                    let rules = self.config.customer.iter().chain(&self.config.rules);
                    let is_match = |rule: &Rule| order.customer.matches(&rule.contains).count() >= rule.times as usize;
                    if order.status == self.config.status && rules.into_iter().all(is_match) {
                        out.emit(&order).key(order.customer);
                        return Ok(());
                    }
                    match self.config.otherwise {
                        Otherwise::RejectIt => Err("the order meets not every rule".into()),
                        Otherwise::DropIt => Ok(()),
                    }
                }
                EventRef::Ledger(xdr) => {
                    let network = out.attribute("network").ok_or_else(|| Failure::fatal("which network?"))?;
                    let n_seen = self.n_seen.entry(network.to_owned()).or_default();
                    *n_seen += 1;
                    if self.config.verbose {
                        metrics::counter("ledger_bytes", xdr.len() as u64);
                    }
                    Ok(())
                }
            }
        }
    }

    impl State for Everything {
        fn save(&self, parts: &mut Parts) {
            for (network, n_seen) in &self.n_seen {
                parts.put(network, &(network, n_seen));
            }
        }

        fn restore(&mut self, version: &str, parts: &Parts) -> Result<(), String> {
            log::info!("state of version {version}");
            self.n_seen = parts.entries::<(String, u64)>().collect::<Result<_, _>>()?;
            Ok(())
        }
    }

    impl Timer for Everything {
        fn tick(&mut self, now: u64, out: &mut Emitter<Output>) -> Result<(), Failure> {
            let count: u64 = self.n_seen.values().sum();
            let sum = count.to_string();
            out.emit(Volume { asset: "native".into(), from_ledger: 0, to_ledger: 0, count, sum }).at(now);
            Ok(())
        }
    }
}
