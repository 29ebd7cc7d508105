//! Token transfers in; count and sum by asset and window of ledgers out. A token that
//! only a contract knows counts by its contract. Several instances share the assets
//! with `key: asset`; all such tokens are on one of them.
//!
//! Windows are aligned: one of 10 ledgers runs from 10 to 19, from 20 to 29, and
//! so on. A window comes out when the first transfer of a later one arrives, and
//! when the stream ends; its time is that of the transfer that closed it, so that
//! watermarks hold.
//!
//! Invariant: no asset's window comes out twice. A transfer that is older than the
//! newest window is rejected.

/// The processor.
#[flowctl_sdk::processor(input = "stellar.token.transfer.v1", output = "stellar.volume.v1")]
pub mod volume_aggregator {
    use std::collections::BTreeMap;

    /// Counts and sums token transfers by asset and window of ledgers.
    pub struct VolumeAggregator {
        n_ledgers: u32,
        /// First ledger of the newest window.
        newest: u32,
        /// By asset, or by the contract of a token that only a contract knows.
        windows: BTreeMap<String, Window>,
    }

    /// How to aggregate.
    pub struct Config {
        /// The length of a window in ledgers, at least 1; a ledger is about 5
        /// seconds.
        #[config(default = 60)]
        pub window: u32,
    }

    struct Window {
        from_ledger: u32,
        count: u64,
        sum: i128,
        /// Time of its last transfer.
        latest: u64,
    }

    impl VolumeAggregator {
        fn new(config: Config) -> Result<Self, String> {
            if config.window == 0 {
                return Err("window `0` holds no ledger: set 1 or more".into());
            }
            Ok(Self { n_ledgers: config.window, newest: 0, windows: BTreeMap::new() })
        }

        fn process(&mut self, transfer: TokenTransferRef<'_>, out: &mut Emitter<Volume>) -> Result<(), Reject> {
            let (ledger, text) = (transfer.ledger_sequence, transfer.amount);
            let amount: i128 = text.parse().map_err(|_| format!("amount `{text}` is no integer of 128 bits"))?;
            let from_ledger = ledger - ledger % self.n_ledgers;
            if from_ledger < self.newest {
                let newest = self.newest;
                return Err(format!("ledger {ledger} is older than the window that begins at {newest}").into());
            }
            if from_ledger > self.newest {
                self.close(from_ledger.into(), out.timestamp(), out);
                self.newest = from_ledger;
            }
            let asset = transfer.asset.unwrap_or(transfer.contract_address);
            match self.windows.get_mut(asset) {
                Some(window) => {
                    window.sum = window
                        .sum
                        .checked_add(amount)
                        .ok_or_else(|| format!("the sum of `{asset}` leaves 128 bits"))?;
                    window.count += 1;
                    window.latest = window.latest.max(out.timestamp());
                }
                None => {
                    let latest = out.timestamp();
                    self.windows.insert(asset.to_owned(), Window { from_ledger, count: 1, sum: amount, latest });
                }
            }
            Ok(())
        }

        /// Volumes of one asset stay together.
        fn key(volume: &VolumeRef<'_>) -> String {
            volume.asset.to_owned()
        }

        /// Emits the windows that begin before `ledger`, by asset, with time `now`.
        fn close(&mut self, ledger: u64, now: u64, out: &mut Emitter<Volume>) {
            let n_ledgers = self.n_ledgers;
            self.windows.retain(|asset, window| {
                let is_closed = u64::from(window.from_ledger) < ledger;
                if is_closed {
                    out.emit(VolumeRef {
                        asset,
                        from_ledger: window.from_ledger,
                        to_ledger: window.from_ledger.saturating_add(n_ledgers - 1),
                        count: window.count,
                        sum: &window.sum.to_string(),
                    })
                    .at(now);
                }
                !is_closed
            });
        }
    }

    /// What the transfers of an asset are divided by on several instances: their field
    /// `asset`, which tokens that only a contract knows do not have.
    fn partition(asset: &str) -> &str {
        if asset == "native" || asset.contains(':') { asset } else { "" }
    }

    impl State for VolumeAggregator {
        fn save(&self, parts: &mut Parts) {
            for (asset, window) in &self.windows {
                parts.put(partition(asset), &(asset, window.from_ledger, window.count, window.sum, window.latest));
            }
        }

        fn restore(&mut self, _version: &str, parts: &Parts) -> Result<(), String> {
            for entry in parts.entries::<(String, u32, u64, i128, u64)>() {
                let (asset, from_ledger, count, sum, latest) = entry?;
                // A window of another length would overlap with those to come.
                if from_ledger % self.n_ledgers != 0 {
                    let n_ledgers = self.n_ledgers;
                    return Err(format!("the saved window from ledger {from_ledger} is none of {n_ledgers} ledgers"));
                }
                self.newest = self.newest.max(from_ledger);
                self.windows.insert(asset, Window { from_ledger, count, sum, latest });
            }
            Ok(())
        }
    }

    impl Timer for VolumeAggregator {
        fn end(&mut self, out: &mut Emitter<Volume>) -> Result<(), Failure> {
            // Not `out.timestamp()`, which an instance that took over would not know.
            let latest = self.windows.values().map(|window| window.latest).max().unwrap_or_default();
            self.close(u64::MAX, latest, out);
            Ok(())
        }
    }
}
