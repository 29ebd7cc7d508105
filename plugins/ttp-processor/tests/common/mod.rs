//! What the tests over the shared data have in common.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::Path;

use flowctl_test_support::{DataFile, Event, Kind, Muxed, UnitCase, must_have_data, shared_data};
use libtest_mimic::{Failed, Trial};
use ttp_processor::Transfer;

/// The number of cases derived from the reference's unit tests.
pub(crate) const N_UNIT_CASES: usize = 154;

/// One test a file. Without the data it is ignored, or fails where it must be there.
pub(crate) fn trials(
    files: &'static [DataFile],
    name: impl Fn(&DataFile) -> String,
    test: fn(&DataFile, &Path) -> Result<(), Failed>,
) -> Vec<Trial> {
    let trial = |file: &'static DataFile| match shared_data() {
        Some(folder) => Trial::test(name(file), move || test(file, &folder)),
        None => absent(name(file)),
    };
    files.iter().map(trial).collect()
}

/// One test a unit case; a single one, ignored or failed, where there is no data.
pub(crate) fn unit_trials(cases: Vec<UnitCase>, test: fn(UnitCase) -> Result<(), Failed>) -> Vec<Trial> {
    if shared_data().is_none() {
        return vec![absent("unit_case::all".to_owned())];
    }
    let n_cases = cases.len();
    let count = move || match n_cases {
        N_UNIT_CASES => Ok(()),
        n_cases => Err(format!("{n_cases} unit cases, where there should be {N_UNIT_CASES}").into()),
    };
    let mut tests = vec![Trial::test("unit_case::all_are_there", count)];
    tests.extend(cases.into_iter().map(|case| Trial::test(format!("unit_case::{}", case.name), move || test(case))));
    tests
}

/// The transfer in the form of the expected events.
pub(crate) fn event_of(transfer: &Transfer<'_>) -> Event {
    use ttp_processor::{Kind as Found, Muxed as User};
    Event {
        kind: match transfer.kind {
            Found::Transfer => Kind::Transfer,
            Found::Mint => Kind::Mint,
            Found::Burn => Kind::Burn,
            Found::Clawback => Kind::Clawback,
            Found::Fee => Kind::Fee,
        },
        ledger_sequence: transfer.ledger_sequence,
        closed_at: transfer.closed_at,
        tx_hash: transfer.tx_hash.to_owned(),
        transaction_index: transfer.transaction_index,
        operation_index: transfer.operation_index,
        contract_address: transfer.contract_address.to_owned(),
        from: transfer.from.map(str::to_owned),
        to: transfer.to.map(str::to_owned),
        asset: transfer.asset.map(str::to_owned),
        amount: transfer.amount.to_owned(),
        to_muxed: transfer.to_muxed.as_ref().map(|user| match user {
            User::Id(id) => Muxed::Id(*id),
            User::Text(text) => Muxed::Text(text.clone().into_owned()),
            User::Hash(hash) => Muxed::Hash(flowctl_test_support::base64(hash)),
        }),
    }
}

fn absent(name: String) -> Trial {
    let missing = || Err("the shared data is absent: set FLOWCTL_STELLAR_DATA to its folder".into());
    Trial::test(name, missing).with_ignored_flag(!must_have_data())
}
