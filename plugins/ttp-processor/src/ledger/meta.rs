//! Transaction meta: the changes made by the operations, and the events.

use std::num::NonZeroU32;
use std::ops::Range;

use flowctl_xdr::{self as xdr, Read, Reader};
use stellar_xdr::SorobanTransactionMetaExt;

use super::changes::Changes;

/// What applying a transaction changed and announced.
#[derive(Debug, Clone)]
pub(crate) struct Meta<'a> {
    /// The version of `TransactionMeta`, 0 to 4.
    pub version: u32,
    /// Which of the ledger's operation metas are this transaction's.
    pub operations: Range<usize>,
    /// The changes made after the operations (refunds before protocol 23).
    pub changes_after: Changes<'a>,
    /// The contract events of version 3, which belong to the only operation.
    pub soroban_events: Events<'a>,
    /// The events of the transaction as a whole, since version 4.
    pub transaction_events: Events<'a>,
}

/// Where the changes and events of an operation are, in bytes from the ledger's start.
/// Kept small: a ledger of a few bytes may claim one for every four of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperationMetaAt {
    changes: u32,
    events: Option<NonZeroU32>,
}

/// What applying an operation changed and announced.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OperationMeta<'a> {
    /// The changes to ledger entries.
    pub changes: Changes<'a>,
    /// The contract events, since version 4.
    pub events: Events<'a>,
}

impl OperationMetaAt {
    /// Finds the parts in the ledger that the positions were found in.
    pub(crate) fn of<'a>(&self, ledger: Reader<'a>) -> OperationMeta<'a> {
        let events = self.events.map(|at| Events { items: Some(ledger.at(at.get() as usize)), has_stages: false });
        let changes = Changes::new(ledger.at(self.changes as usize));
        OperationMeta { changes, events: events.unwrap_or_default() }
    }
}

/// A list of contract events.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Events<'a> {
    items: Option<Reader<'a>>,
    has_stages: bool,
}

impl<'a> Events<'a> {
    /// Reads the events in order: each reader is at a `ContractEvent`.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Read<Reader<'a>>> + use<'a> {
        let Self { items, has_stages } = *self;
        let mut r = items.unwrap_or_else(|| Reader::new(&[0; 4]));
        let n_items = r.u32().unwrap_or_default();
        (0..n_items).map(move |_| {
            if has_stages {
                r.skip(4)?;
            }
            let event = r;
            xdr::event(&mut r)?;
            Ok(event)
        })
    }

    fn read(r: &mut Reader<'a>, has_stages: bool) -> Read<Self> {
        let start = *r;
        r.list(u32::MAX, |r| {
            if has_stages {
                r.choice(2, "unknown stage of an event")?;
            }
            xdr::event(r)
        })?;
        Ok(Self { items: Some(start), has_stages })
    }
}

/// Reads a `TransactionMeta`, adding the metas of its operations to `operations`.
pub(super) fn read<'a>(r: &mut Reader<'a>, operations: &mut Vec<OperationMetaAt>) -> Read<Meta<'a>> {
    let version = r.choice(4, "unknown version of transaction meta")?;
    if version >= 3 {
        r.no_extension()?;
    }
    if version >= 1 {
        xdr::changes(r)?;
    }
    let first = operations.len();
    r.list(u32::MAX, |r| {
        if version == 4 {
            r.no_extension()?;
        }
        let changes = position(r)?;
        xdr::changes(r)?;
        let mut events = None;
        if version == 4 {
            events = NonZeroU32::new(position(r)?);
            r.list(u32::MAX, xdr::event)?;
        }
        operations.push(OperationMetaAt { changes, events });
        Ok(())
    })?;
    let mut meta = Meta {
        version,
        operations: first..operations.len(),
        changes_after: Changes::default(),
        soroban_events: Events::default(),
        transaction_events: Events::default(),
    };
    if version >= 2 {
        meta.changes_after = Changes::read(r)?;
    }
    match version {
        3 if r.boolean()? => {
            r.skip_decoded::<SorobanTransactionMetaExt>()?;
            meta.soroban_events = Events::read(r, false)?;
            xdr::value(r)?;
            diagnostic_events(r)?;
        }
        4 => {
            r.optional(|r| {
                r.skip_decoded::<SorobanTransactionMetaExt>()?;
                r.optional(xdr::value)
            })?;
            meta.transaction_events = Events::read(r, true)?;
            diagnostic_events(r)?;
        }
        _ => {}
    }
    Ok(meta)
}

fn position(r: &Reader<'_>) -> Read<u32> {
    u32::try_from(r.position()).map_err(|_| r.malformed("ledger of more than 4 GiB"))
}

fn diagnostic_events(r: &mut Reader<'_>) -> Read<()> {
    r.list(u32::MAX, |r| {
        r.boolean()?;
        xdr::event(r)
    })
    .map(drop)
}
