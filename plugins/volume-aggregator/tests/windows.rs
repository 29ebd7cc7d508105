//! When windows close, what is in them, and that they survive a swap.
#![allow(clippy::unwrap_used)]

use flowctl_sdk::state::{Parts, key_group};
use flowctl_sdk::testing::Host;
use volume_aggregator::volume_aggregator::{Config, Kind, TokenTransfer, Volume, VolumeAggregator};

/// The contract of a token that has no asset.
const TOKEN: &str = "CTOKEN";

fn transfer(ledger_sequence: u32, asset: Option<&str>, amount: &str) -> TokenTransfer {
    TokenTransfer {
        kind: Kind::Transfer,
        ledger_sequence,
        closed_at: 1_700_000_000,
        tx_hash: "ab".repeat(32),
        transaction_index: 1,
        operation_index: Some(1),
        contract_address: TOKEN.into(),
        from: Some("GA".into()),
        to: Some("GB".into()),
        asset: asset.map(Into::into),
        amount: amount.into(),
        to_muxed: None,
    }
}

fn volume(asset: &str, from_ledger: u32, count: u64, sum: &str) -> Volume {
    Volume { asset: asset.into(), from_ledger, to_ledger: from_ledger + 9, count, sum: sum.into() }
}

fn host() -> Host<VolumeAggregator> {
    Host::start(Config { window: 10 }).unwrap()
}

#[test]
fn window_comes_out_with_the_first_later_ledger_and_at_the_end() {
    let mut host = host();
    let first = [
        transfer(10, Some("native"), "5"),
        transfer(19, None, "1"),
        transfer(19, Some("native"), "-2"),
        transfer(25, Some("native"), "7"),
        transfer(29, None, "2"),
    ];
    let answer = host.send(first).unwrap();
    assert_eq!(answer.events, [volume(TOKEN, 10, 1, "1"), volume("native", 10, 2, "3")]);
    let output = &answer.outcome.outputs[0];
    assert_eq!((output.origins.as_slice(), output.timestamps.as_slice()), (&[3, 3][..], &[3, 3][..]));
    assert_eq!((output.key_ends.as_slice(), output.keys.as_slice()), (&[6, 12][..], &b"CTOKENnative"[..]));
    assert_eq!(host.end().unwrap().events, [volume(TOKEN, 20, 1, "2"), volume("native", 20, 1, "7")]);
    assert_eq!(host.end().unwrap().events, []);
}

#[test]
fn tokens_of_different_contracts_are_not_added_up() {
    let of = |contract: &str, amount: &str| TokenTransfer {
        contract_address: contract.into(),
        ..transfer(10, None, amount)
    };
    let mut host = host();
    host.send([of("CB", "1"), of("CA", "20"), of("CB", "300")]).unwrap();
    let parts = host.save();
    let want = [volume("CA", 10, 1, "20"), volume("CB", 10, 2, "301")];
    assert_eq!(host.end().unwrap().events, want);
    // `key: asset` sends what has none to one instance, whatever its contract
    assert_eq!(parts.groups().map(|(group, _)| group).collect::<Vec<_>>(), [key_group("")]);
    let mut restored = Host::<VolumeAggregator>::restored(Config { window: 10 }, "0.1.0", &parts).unwrap();
    assert_eq!(restored.end().unwrap().events, want);
}

#[test]
fn older_ledgers_and_overflow_are_rejected_and_leave_no_trace() {
    let mut host = host();
    let max = i128::MAX.to_string();
    let events = [
        transfer(30, Some("native"), &max),
        transfer(29, Some("native"), "1"),
        transfer(30, Some("native"), "1"),
        transfer(30, Some("native"), "x"),
    ];
    let answer = host.send(events).unwrap();
    let reasons = [
        (1, "ledger 29 is older than the window that begins at 30".to_owned()),
        (2, "the sum of `native` leaves 128 bits".to_owned()),
        (3, "amount `x` is no integer of 128 bits".to_owned()),
    ];
    assert_eq!((answer.events.as_slice(), answer.rejected.as_slice()), (&[][..], &reasons[..]));
    assert_eq!(host.end().unwrap().events, [volume("native", 30, 1, &max)]);
}

#[test]
fn state_moves_to_another_instance_by_key_group() {
    let before = [transfer(10, Some("native"), "5"), transfer(11, None, "1"), transfer(12, Some("A:G"), "3")];
    let after = [transfer(13, Some("native"), "4"), transfer(20, None, "8")];
    let mut whole = host();
    whole.send(before.clone()).unwrap();
    let parts = whole.save();
    assert_eq!(parts.groups().map(|(group, _)| group).collect::<Vec<_>>(), {
        let mut groups = [key_group("native"), key_group(""), key_group("A:G")];
        groups.sort_unstable();
        groups
    });
    let mut restored = Host::<VolumeAggregator>::restored(Config { window: 10 }, "0.1.0", &parts).unwrap();
    assert_eq!(restored.save(), parts);
    assert_eq!(restored.send(&after).unwrap(), whole.send(&after).unwrap());
    assert_eq!(restored.end().unwrap(), whole.end().unwrap());
}

#[test]
fn unusable_settings_and_state_are_refused() {
    assert_eq!(
        Host::<VolumeAggregator>::start(Config { window: 0 }).unwrap_err(),
        "window `0` holds no ledger: set 1 or more"
    );
    let mut host = host();
    host.send([transfer(10, None, "1")]).unwrap();
    let other = Host::<VolumeAggregator>::restored(Config { window: 7 }, "0.1.0", &host.save());
    assert_eq!(other.unwrap_err(), "the saved window from ledger 10 is none of 7 ledgers");
    let mut damaged = Parts::default();
    damaged.group_mut(0).push(9);
    let other = Host::<VolumeAggregator>::restored(Config { window: 10 }, "0.1.0", &damaged);
    assert_eq!(other.unwrap_err(), "the bytes end too early");
}
