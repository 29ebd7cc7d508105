//! Components that do what a test says, and what is needed to run them.

mod components;
mod database;
mod pipe;

use std::sync::OnceLock;

pub(crate) use components::{Letters, Rule, SinkSpec, SourceSpec, Verdict};
pub(crate) use database::{Crash, Database, Deadly, Point};
use flowctl_runtime::Options;
use flowctl_schema::Schema;
use flowctl_types::{Batch, Columns};
pub(crate) use pipe::{Pipe, id};

/// The event type of all tests: a record of one number.
pub(crate) fn number() -> Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    let wit = "package test:number@1.0.0; interface event { record number { n: u64 } }";
    SCHEMA.get_or_init(|| Schema::from_wit(wit).unwrap().remove(0)).clone()
}

/// A number with a label, or with none.
pub(crate) fn labelled() -> Schema {
    let wit = "package test:labelled@1.0.0; interface event { record labelled { n: u64, label: option<string> } }";
    Schema::from_wit(wit).unwrap().remove(0)
}

pub(crate) fn options() -> Options {
    Options { seed: 1, ..Options::default() }
}

pub(crate) fn push(columns: &mut Columns, n: u64) {
    push_with(columns, n, &[]);
}

/// Appends a number and what follows it in its record.
pub(crate) fn push_with(columns: &mut Columns, n: u64, rest_of_record: &[u8]) {
    let mut rest = n;
    while rest >= 0x80 {
        columns.data.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    columns.data.push(u8::try_from(rest).unwrap());
    columns.data.extend_from_slice(rest_of_record);
    columns.finish_event(n);
}

/// The numbers of a batch's events.
pub(crate) fn numbers(batch: &Batch) -> Vec<u64> {
    let decode = |payload: &[u8]| {
        let end = payload.iter().position(|byte| byte & 0x80 == 0).unwrap();
        payload[..=end].iter().rev().fold(0, |n, byte| n << 7 | u64::from(byte & 0x7f))
    };
    batch.columns.payloads().map(decode).collect()
}

/// The key group of a key: what the SDK's `key_group` says of it.
pub(crate) fn group(key: &str) -> u32 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    u32::from(hash.to_le_bytes().into_iter().fold(0, |folded, byte| folded ^ byte))
}
