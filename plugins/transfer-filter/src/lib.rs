//! Token transfers in, those that meet every condition out, unchanged.
//!
//! Invariant: a transfer that passes keeps its bytes; nothing is decoded into
//! memory of its own.

/// The processor.
#[flowctl_sdk::processor(input = "stellar.token.transfer.v1", output = "stellar.token.transfer.v1")]
pub mod transfer_filter {
    /// Passes token transfers by kind, asset and amount.
    pub struct TransferFilter {
        kinds: Vec<Kind>,
        assets: Vec<String>,
        minimum: Option<i128>,
    }

    /// What has to hold of a transfer that passes; nothing set passes all.
    pub struct Config {
        /// The kinds that pass; empty for all.
        #[config(default = [])]
        pub kinds: Vec<Kind>,
        /// The assets that pass, as `native` or CODE:ISSUER, or the contract (C…)
        /// of a token that only a contract knows; empty for all.
        #[config(default = [])]
        pub assets: Vec<String>,
        /// The smallest amount that passes, as a decimal integer in the asset's
        /// smallest unit (stroops for classic assets).
        pub minimum_amount: Option<String>,
    }

    impl TransferFilter {
        fn new(config: Config) -> Result<Self, String> {
            if let Some(asset) = config.assets.iter().find(|asset| !is_asset(asset)) {
                return Err(format!("asset `{asset}` is neither `native` nor CODE:ISSUER nor a contract (C…)"));
            }
            let minimum = config.minimum_amount.map(|text| amount("minimum-amount", &text)).transpose()?;
            Ok(Self { kinds: config.kinds, assets: config.assets, minimum })
        }

        fn process(&mut self, transfer: TokenTransferRef<'_>, out: &mut Emitter<TokenTransfer>) -> Result<(), Reject> {
            if let Some(minimum) = self.minimum
                && amount("amount", transfer.amount)? < minimum
            {
                return Ok(());
            }
            let has_kind = self.kinds.is_empty() || self.kinds.contains(&transfer.kind);
            let asset = transfer.asset.unwrap_or(transfer.contract_address);
            if has_kind && (self.assets.is_empty() || self.assets.iter().any(|wanted| wanted == asset)) {
                out.forward();
            }
            Ok(())
        }
    }

    fn amount(name: &str, text: &str) -> Result<i128, String> {
        text.parse().map_err(|_| format!("{name} `{text}` is no integer of 128 bits"))
    }

    fn is_asset(text: &str) -> bool {
        let is_strkey = |text: &str, first: char| text.len() == 56 && text.starts_with(first);
        let is_classic = |(code, issuer): (&str, &str)| (1..=12).contains(&code.len()) && is_strkey(issuer, 'G');
        text == "native" || text.split_once(':').map_or_else(|| is_strkey(text, 'C'), is_classic)
    }
}
