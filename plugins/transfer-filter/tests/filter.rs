//! What passes the filter, and what it says against bad settings and events.
#![allow(clippy::unwrap_used)]

use flowctl_sdk::testing::Host;
use transfer_filter::transfer_filter::{Config, Kind, TokenTransfer, TransferFilter};

const USDC: &str = "USDC:GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN";
const TOKEN: &str = "CAS3J7GYLGXMF6TDJBBYYSE3HQ6BBSMLNUQ34T6TZMYMW2EVH34XOWMA";

fn transfer(kind: Kind, asset: Option<&str>, amount: &str) -> TokenTransfer {
    TokenTransfer {
        kind,
        ledger_sequence: 52,
        closed_at: 1_700_000_000,
        tx_hash: "ab".repeat(32),
        transaction_index: 1,
        operation_index: Some(1),
        contract_address: TOKEN.into(),
        from: Some("GA".into()),
        to: None,
        asset: asset.map(Into::into),
        amount: amount.into(),
        to_muxed: None,
    }
}

fn all() -> Vec<TokenTransfer> {
    vec![
        transfer(Kind::Transfer, Some("native"), "100"),
        transfer(Kind::Transfer, Some(USDC), "2000000000000000000000"),
        transfer(Kind::Fee, Some("native"), "-5"),
        transfer(Kind::Mint, None, "7"),
    ]
}

fn config() -> Config {
    Config { kinds: vec![], assets: vec![], minimum_amount: None }
}

/// Checks which of [`all`] pass, by index.
fn check(config: Config, passes: &[usize]) {
    let answer = Host::<TransferFilter>::start(config).unwrap().send(all()).unwrap();
    let expected: Vec<TokenTransfer> = passes.iter().map(|&index| all()[index].clone()).collect();
    assert_eq!(answer.events, expected);
    assert_eq!(answer.rejected, []);
    let origins: Vec<usize> =
        answer.outcome.outputs.iter().flat_map(|output| &output.origins).map(|&o| o as usize).collect();
    assert_eq!(origins, passes);
}

#[test]
fn nothing_set_passes_all() {
    check(config(), &[0, 1, 2, 3]);
}

#[test]
fn kinds_assets_and_amount_each_narrow() {
    check(Config { kinds: vec![Kind::Fee, Kind::Mint], ..config() }, &[2, 3]);
    check(Config { assets: vec!["native".into()], ..config() }, &[0, 2]);
    check(Config { assets: vec![USDC.into(), TOKEN.into()], ..config() }, &[1, 3]);
    check(Config { minimum_amount: Some("8".into()), ..config() }, &[0, 1]);
    check(Config { minimum_amount: Some("-5".into()), ..config() }, &[0, 1, 2, 3]);
}

#[test]
fn conditions_hold_together() {
    let config =
        Config { kinds: vec![Kind::Transfer], assets: vec!["native".into()], minimum_amount: Some("100".into()) };
    check(config, &[0]);
}

#[test]
fn bad_settings_are_refused_by_name() {
    let refused = |config: Config| Host::<TransferFilter>::start(config).unwrap_err();
    assert_eq!(
        refused(Config { minimum_amount: Some("1.5".into()), ..config() }),
        "minimum-amount `1.5` is no integer of 128 bits"
    );
    assert_eq!(
        refused(Config { assets: vec!["USDC".into()], ..config() }),
        "asset `USDC` is neither `native` nor CODE:ISSUER nor a contract (C…)"
    );
}

#[test]
fn an_amount_that_is_no_number_is_rejected_alone() {
    let mut host = Host::<TransferFilter>::start(Config { minimum_amount: Some("1".into()), ..config() }).unwrap();
    let (good, bad) = (transfer(Kind::Burn, None, "1"), transfer(Kind::Burn, None, "one"));
    let answer = host.send([&good, &bad, &good]).unwrap();
    assert_eq!(answer.events, [good.clone(), good.clone()]);
    assert_eq!(answer.rejected, [(1, "amount `one` is no integer of 128 bits".to_owned())]);
}
