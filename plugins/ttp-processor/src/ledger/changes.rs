//! Changes to ledger entries, as the pairs of before and after that the rules ask for.

use flowctl_xdr::{self as xdr, Malformed, Read, Reader};
use stellar_xdr::{LedgerEntryData, LedgerEntryType};

const CREATED: u32 = 0;
const UPDATED: u32 = 1;
const REMOVED: u32 = 2;
const STATE: u32 = 3;
const RESTORED: u32 = 4;

/// A list of changes to ledger entries.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changes<'a>(Option<Reader<'a>>);

/// One ledger entry before and after a change; at least one of the two is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    /// Before: none where the entry was created or restored.
    pub before: Option<Entry<'a>>,
    /// After: none where the entry was removed.
    pub after: Option<Entry<'a>>,
    /// Whether the entry was created, not restored.
    pub is_created: bool,
}

/// The XDR of a `LedgerEntry`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a>(Reader<'a>);

impl<'a> Changes<'a> {
    /// The changes whose number is what `at` reads next.
    pub(crate) fn new(at: Reader<'a>) -> Self {
        Self(Some(at))
    }

    /// Whether nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none_or(|mut r| r.u32() == Ok(0))
    }

    /// Reads the changes in order. A removed or updated entry must follow its state.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Read<Change<'a>>> + use<'a> {
        let mut previous: Option<Entry<'a>> = None;
        self.raw().filter_map(move |item| {
            let (kind, entry) = match item {
                Ok(item) => item,
                Err(error) => return Some(Err(error)),
            };
            let before = previous.take();
            if matches!(kind, STATE | RESTORED) {
                previous = entry;
            }
            match (kind, before) {
                (STATE, _) => None,
                (UPDATED | REMOVED, None) => Some(Err(without_state(entry))),
                (UPDATED, before) => Some(Ok(Change { before, after: entry, is_created: false })),
                (REMOVED, before) => Some(Ok(Change { before, after: None, is_created: false })),
                _ => Some(Ok(Change { before: None, after: entry, is_created: kind == CREATED })),
            }
        })
    }

    /// The last balance of an account in a STATE and in an UPDATED entry, 0 where
    /// there is none, which is how the fees of Soroban transactions are told.
    pub(crate) fn state_and_update(
        changes: impl IntoIterator<Item = Changes<'a>>,
        account: &[u8; 32],
    ) -> Read<(i64, i64)> {
        let (mut state, mut update) = (0, 0);
        for list in changes {
            for item in list.raw() {
                let (kind, Some(entry)) = item? else { continue };
                match (kind, entry.account_balance()?) {
                    (STATE, Some((key, balance))) if key == account => state = balance,
                    (UPDATED, Some((key, balance))) if key == account => update = balance,
                    _ => {}
                }
            }
        }
        Ok((state, update))
    }

    /// Reads the type of each change and its entry; a removal has a key instead.
    fn raw(&self) -> impl Iterator<Item = Read<(u32, Option<Entry<'a>>)>> + use<'a> {
        let mut r = self.0.unwrap_or_else(|| Reader::new(&[0; 4]));
        let n_items = r.u32().unwrap_or_default();
        (0..n_items).map(move |_| {
            let kind = r.u32()?;
            let start = r.position();
            if kind == REMOVED {
                xdr::key(&mut r)?;
                return Ok((kind, None));
            }
            xdr::entry(&mut r)?;
            Ok((kind, Some(Entry(r.span(start, r.position())))))
        })
    }

    pub(super) fn read(r: &mut Reader<'a>) -> Read<Self> {
        let start = *r;
        xdr::changes(r)?;
        Ok(Self::new(start))
    }
}

impl Change<'_> {
    /// The type of the entry.
    pub(crate) fn kind(&self) -> Read<LedgerEntryType> {
        let entry = self.after.or(self.before).expect("a change has an entry before or after it");
        entry.kind()
    }
}

impl<'a> Entry<'a> {
    /// The type of the entry.
    pub(crate) fn kind(&self) -> Read<LedgerEntryType> {
        let mut r = self.0;
        r.skip(4)?;
        let kind = r.i32()?;
        LedgerEntryType::try_from(kind).map_err(|_| r.malformed("unknown type of ledger entry"))
    }

    /// The key and balance of an account, in stroops; none for other entries.
    pub(crate) fn account_balance(&self) -> Read<Option<(&'a [u8; 32], i64)>> {
        let mut r = self.0;
        r.skip(4)?;
        if r.u32()? != 0 {
            return Ok(None);
        }
        r.skip(4)?;
        let key = r.array()?;
        Ok(Some((key, r.i64()?)))
    }

    /// Decodes the entry.
    pub(crate) fn decode(&self) -> Read<LedgerEntryData> {
        let mut r = self.0;
        r.skip(4)?;
        r.decode::<LedgerEntryData>()
    }
}

fn without_state(entry: Option<Entry<'_>>) -> Malformed {
    let offset = entry.map_or(0, |entry| entry.0.position());
    Malformed { offset, what: "change that does not follow the state of its entry" }
}
