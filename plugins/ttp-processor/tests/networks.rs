//! Ledgers that say which network they are of, and a processor that is set up for one.
#![allow(clippy::unwrap_used)]

use flowctl_sdk::contract::Fault;
use flowctl_sdk::testing::{Host, batch};
use ttp_processor::plugin::{Config, Mode, TtpProcessor};

const TESTNET: &str = "Test SDF Network ; September 2015";

/// Sends what is no ledger, of the network that is said; answers why it was refused.
fn refused(said: Option<&str>) -> Result<String, Fault> {
    let mut host = Host::<TtpProcessor>::start(Config { network: "testnet".to_owned(), mode: Mode::Derive }).unwrap();
    let mut batch = batch::<Vec<u8>, _>([b"no ledger".to_vec()]);
    batch.attributes.extend(said.map(|network| ("network".to_owned(), network.to_owned())));
    host.send_batch(batch).map(|answer| answer.rejected[0].1.clone())
}

#[test]
fn a_network_goes_by_its_name_or_passphrase_and_need_not_be_said() {
    for said in [None, Some("testnet"), Some(TESTNET)] {
        assert!(refused(said).unwrap().starts_with("malformed ledger"), "{said:?}");
    }
}

#[test]
fn ledgers_of_another_network_stop_the_processor() {
    let expected =
        format!("the ledgers are of the network `pubnet`, but `network` is `{TESTNET}`: configure both alike");
    assert_eq!(refused(Some("pubnet")), Err(Fault::Fatal(expected)));
}
