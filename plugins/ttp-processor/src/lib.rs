//! Token transfers from Stellar ledgers.
//!
//! Owns the rules (CAP-67) that turn one closed ledger into the transfers, mints,
//! burns, clawbacks and fees that it holds. The data flows through the modules in this
//! order: `ledger` reads the XDR in place (`flowctl_xdr`), `rules` walks its transactions and
//! asks `fees` or `unified`, `operations` and `contract_events` for movements, `render`
//! writes them out as [`Transfer`]s.
//!
//! Invariant: a ledger gives all of its transfers or an error, never a part of them.

mod contract_events;
mod error;
mod fees;
mod ledger;
mod movement;
mod network;
mod operations;
mod render;
mod rules;
mod transfer;
mod unified;
pub use error::{OperationFault, RuleError, TransactionFault};
pub use network::{Mode, Network, SettingError};
pub use rules::{Rules, transfers};
pub use transfer::{Kind, Muxed, Transfer};

/// The processor: ledgers in, token transfers out. A ledger that cannot be understood
/// is rejected as a whole.
#[flowctl_sdk::processor(input = "stellar.ledger.v1", output = "stellar.token.transfer.v1")]
pub mod plugin {
    use crate::{Network, Rules};

    /// Derives transfers, mints, burns, clawbacks and fees from Stellar ledgers (CAP-67).
    pub struct TtpProcessor {
        network: Network,
        rules: Rules,
    }

    /// Which ledgers, and where to look.
    pub struct Config {
        /// The network of the ledgers: `pubnet`, `testnet`, or a network passphrase. Where
        /// their batches say which network they are of, it has to be this one.
        pub network: String,
        /// Where transfers are read from: `derive` takes operations, results and ledger
        /// changes, and works on every ledger; `unified` takes the events that stellar-core
        /// wrote with EMIT_CLASSIC_EVENTS and BACKFILL_STELLAR_ASSET_EVENTS.
        #[config(default = Mode::Derive)]
        pub mode: Mode,
    }

    /// Where transfers are read from.
    pub enum Mode {
        /// From operations, results and ledger changes.
        Derive,
        /// From the events that stellar-core wrote.
        Unified,
    }

    impl TtpProcessor {
        fn new(config: Config) -> Result<Self, String> {
            let network = Network::new(&config.network).map_err(|error| error.to_string())?;
            let mode = match config.mode {
                Mode::Derive => crate::Mode::Derive,
                Mode::Unified => crate::Mode::Unified,
            };
            Ok(Self { rules: Rules::new(network.clone(), mode), network })
        }

        fn process(&mut self, ledger: LedgerRef<'_>, out: &mut Emitter<TokenTransfer>) -> Result<(), Failure> {
            // what is set up wrongly is wrong for every ledger: none becomes a dead letter for it
            if let Some(network) = out.attribute("network").filter(|network| !self.network.is(network)) {
                let own = self.network.passphrase();
                return Err(Failure::Fatal(format!(
                    "the ledgers are of the network `{network}`, but `network` is `{own}`: configure both alike"
                )));
            }
            let outcome = self.rules.transfers(ledger, &mut |transfer| {
                out.emit(record(transfer));
            });
            outcome.map_err(|error| Reject::new(error).into())
        }
    }

    /// The transfer as the event type has it.
    fn record<'t>(transfer: &'t crate::Transfer<'t>) -> TokenTransferRef<'t> {
        TokenTransferRef {
            kind: match transfer.kind {
                crate::Kind::Transfer => Kind::Transfer,
                crate::Kind::Mint => Kind::Mint,
                crate::Kind::Burn => Kind::Burn,
                crate::Kind::Clawback => Kind::Clawback,
                crate::Kind::Fee => Kind::Fee,
            },
            ledger_sequence: transfer.ledger_sequence,
            closed_at: transfer.closed_at,
            tx_hash: transfer.tx_hash,
            transaction_index: transfer.transaction_index,
            operation_index: transfer.operation_index,
            contract_address: transfer.contract_address,
            from: transfer.from,
            to: transfer.to,
            asset: transfer.asset,
            amount: transfer.amount,
            to_muxed: transfer.to_muxed.as_ref().map(|user| match user {
                crate::Muxed::Id(id) => MuxedRef::Id(*id),
                crate::Muxed::Text(text) => MuxedRef::Text(text),
                crate::Muxed::Hash(hash) => MuxedRef::Hash(hash),
            }),
        }
    }
}
