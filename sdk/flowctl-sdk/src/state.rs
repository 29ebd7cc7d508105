//! State that outlives the instance: saved at checkpoints and before the
//! instance is exchanged, restored into the next one.

use std::collections::BTreeMap;

use crate::codec::{Decode, DecodeError, Encode, Reader};

/// Makes a processor stateful: implement it beside `process`, in the same module,
/// and the component exports `flowctl:processor/state`.
///
/// ```
/// #[flowctl_sdk::processor(input = "example.order.v1", output = "example.order.v1")]
/// mod first_order {
///     use std::collections::HashMap;
///
///     /// Passes the first order of each customer.
///     pub struct FirstOrder { seen: HashMap<String, u64> }
///
///     impl FirstOrder {
///         fn new() -> Self { FirstOrder { seen: HashMap::new() } }
///
///         fn process(&mut self, order: OrderRef<'_>, out: &mut Emitter<Order>) {
///             if self.seen.insert(order.customer.to_owned(), order.placed_at).is_none() {
///                 out.forward();
///             }
///         }
///     }
///
///     impl State for FirstOrder {
///         fn save(&self, parts: &mut Parts) {
///             for (customer, placed_at) in &self.seen {
///                 parts.put(customer, &(customer, placed_at));
///             }
///         }
///
///         fn restore(&mut self, _version: &str, parts: &Parts) -> Result<(), String> {
///             for entry in parts.entries::<(String, u64)>() {
///                 let (customer, placed_at) = entry?;
///                 self.seen.insert(customer, placed_at);
///             }
///             Ok(())
///         }
///     }
/// }
/// # fn main() {}
/// ```
pub trait State {
    /// Writes the whole state. It must not depend on anything but the state.
    fn save(&self, parts: &mut Parts);

    /// Takes over state that `save` wrote, perhaps in several instances, perhaps
    /// in an older version of this processor: `version` is its manifest's, the
    /// empty string where it had none. Called once at most, before the first
    /// event.
    ///
    /// # Errors
    ///
    /// Why the state cannot be used; the change that needed it is not made then.
    fn restore(&mut self, version: &str, parts: &Parts) -> Result<(), String>;
}

/// State in parts, one for each key group in use.
///
/// ```
/// use flowctl_sdk::state::{Parts, key_group};
///
/// let mut parts = Parts::default();
/// parts.put("ada", &("ada", 1u64));
/// parts.put("bob", &("bob", 2u64));
/// let mut entries: Vec<(String, u64)> = parts.entries().collect::<Result<_, _>>().unwrap();
/// entries.sort();
/// assert_eq!(entries, [("ada".to_owned(), 1), ("bob".to_owned(), 2)]);
/// assert_eq!(parts.groups().count(), if key_group("ada") == key_group("bob") { 1 } else { 2 });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    groups: BTreeMap<u8, Vec<u8>>,
}

impl Parts {
    /// Appends an entry to the part of the key's group.
    ///
    /// On several instances an entry comes back to the instance that gets the events of
    /// its key. So the key has to be the bytes that the host divides events by: what
    /// `fn key` gives, or, where the node has a `key:`, the text of that field. A string
    /// or an enum is its own text, a number its decimal text (`7`, not eight bytes), an
    /// option without a value the empty key, anything else its JSON form.
    ///
    /// The encoding is that of [`codec`](crate::codec); the entry names its key
    /// itself where `restore` needs it.
    pub fn put(&mut self, key: impl AsRef<[u8]>, entry: &(impl Encode + ?Sized)) {
        entry.encode(self.group_mut(key_group(key)));
    }

    /// Appends an entry that belongs to no key: it goes to group 0.
    pub fn put_global(&mut self, entry: &(impl Encode + ?Sized)) {
        entry.encode(self.group_mut(0));
    }

    /// All entries, by ascending group and in the order they were put.
    ///
    /// Ends after the first error.
    pub fn entries<'a, T: Decode<'a> + 'a>(&'a self) -> impl Iterator<Item = Result<T, DecodeError>> + 'a {
        let mut has_failed = false;
        let mut readers = self.groups.values().map(|bytes| Reader::new(bytes));
        let mut current = Reader::new(&[]);
        std::iter::from_fn(move || {
            while current.remaining() == 0 {
                current = readers.next()?;
            }
            if has_failed {
                return None;
            }
            let entry = T::decode(&mut current);
            has_failed = entry.is_err();
            Some(entry)
        })
    }

    /// The bytes of one group, to be written in a format of one's own.
    pub fn group_mut(&mut self, group: u8) -> &mut Vec<u8> {
        self.groups.entry(group).or_default()
    }

    /// The groups that hold something, ascending, with their bytes.
    pub fn groups(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.groups.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(&group, bytes)| (group, bytes.as_slice()))
    }

    /// From the contract's form; parts of one group are joined in order.
    #[doc(hidden)]
    pub fn from_contract(parts: Vec<(u32, Vec<u8>)>) -> Result<Self, String> {
        let mut groups = BTreeMap::<u8, Vec<u8>>::new();
        for (group, bytes) in parts {
            let group = u8::try_from(group).map_err(|_| format!("key group `{group}` is not within 0 to 255"))?;
            groups.entry(group).or_default().extend(bytes);
        }
        Ok(Self { groups })
    }

    /// To the contract's form.
    #[doc(hidden)]
    #[must_use]
    pub fn into_contract(self) -> Vec<(u32, Vec<u8>)> {
        let used = self.groups.into_iter().filter(|(_, bytes)| !bytes.is_empty());
        used.map(|(group, bytes)| (u32::from(group), bytes)).collect()
    }
}

/// The key group of a key, 0 to 255: the 64-bit FNV-1a hash of its bytes, folded
/// to 8 bits by xor of its eight bytes.
///
/// It never changes: saved state is found by it, and the host sends the events
/// of a key to the instance that owns the group.
///
/// ```
/// use flowctl_sdk::state::key_group;
///
/// // an asset that is not there, and the ledger 1,000
/// assert_eq!(key_group(""), 0xe1);
/// assert_eq!(key_group(1_000u32.to_string()), key_group("1000"));
/// assert_eq!(key_group("native"), key_group(b"native"));
/// ```
#[must_use]
pub fn key_group(key: impl AsRef<[u8]>) -> u8 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for &byte in key.as_ref() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash.to_le_bytes().into_iter().fold(0, |folded, byte| folded ^ byte)
}
