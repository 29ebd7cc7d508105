//! What went wrong while a value was translated, and where: built as the recursion
//! unwinds, so that a translation that succeeds pays nothing for it.

/// Most bytes that one event's payload, or its JSON form, may have: 64 MiB.
pub const MAX_EVENT_BYTES: usize = 64 << 20;

/// Why a value could not be translated. Boxed where it is returned.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) reason: String,
    pub(crate) offset: usize,
    /// The way to the value, innermost first.
    segments: Vec<String>,
}

pub(crate) type Outcome<T = ()> = Result<T, Box<Fault>>;

impl Fault {
    #[cold]
    pub(crate) fn new(offset: usize, reason: impl Into<String>) -> Box<Self> {
        Box::new(Self { reason: reason.into(), offset, segments: Vec::new() })
    }

    #[cold]
    pub(crate) fn in_field(mut self: Box<Self>, name: &str) -> Box<Self> {
        self.segments.push(format!(".{name}"));
        self
    }

    #[cold]
    pub(crate) fn in_element(mut self: Box<Self>, index: usize) -> Box<Self> {
        self.segments.push(format!("[{index}]"));
        self
    }

    /// The way to the value, such as `items[2].price_cents`.
    pub(crate) fn path(&self) -> String {
        let path: String = self.segments.iter().rev().map(String::as_str).collect();
        path.strip_prefix('.').map_or(path.clone(), str::to_owned)
    }
}
